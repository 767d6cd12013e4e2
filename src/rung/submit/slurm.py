"""A command as a batch script of Slurm, and the calls that hand it in, follow it and stop it.

The script is complete: it runs by hand under bash too. What it runs goes on where it stopped, so that a job requeued
after a preemption, a lost node or the end of its time continues by the same words.
"""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from rung.errors import RungError
from rung.submit.command import Command
from rung.submit.settings import Slurm

NOTICE = 120
"""Seconds before the end of its time at which a job is told."""
ENDED = ("COMPLETED", "FAILED", "CANCELLED", "TIMEOUT", "NODE_FAIL", "OUT_OF_MEMORY", "BOOT_FAIL", "DEADLINE")

_STOP = """\
stop() {  # the time is nearly up: end the work, then ask for another turn
  trap '' USR1
  echo "rung: the time is nearly up; it goes on in the next turn" >&2
  kill -TERM "$work" 2>/dev/null
  wait "$work"
  scontrol requeue "$SLURM_JOB_ID"
  exit
}
trap stop USR1
"""
_RENDEZVOUS = """\
# One of the nodes is where the processes of all of them meet (torchrun).
if command -v scontrol >/dev/null && [ -n "${{SLURM_JOB_NODELIST:-}}" ]; then
  MASTER_ADDR=$(scontrol show hostnames "$SLURM_JOB_NODELIST" | head -n 1)
fi
export MASTER_ADDR="${{MASTER_ADDR:-127.0.0.1}}" MASTER_PORT="${{MASTER_PORT:-{port}}}"
"""


def script(name: str, command: Command, settings: Slurm) -> str:
    """The batch script. Raises RungError for a command that cannot be spread as asked."""
    processes = _processes(command, settings)
    command.check_spread(settings.nodes, processes)
    many = settings.nodes * processes > 1
    lines = [
        "#!/bin/bash",
        f"# {' '.join(str(command).split())}",
        "# Handed in again, it goes on where it stopped.",
        *[f"#SBATCH {option}" for option in _options(name, command, settings)],
        "set -uo pipefail",
        f"cd {shlex.quote(str(command.folder))} || exit 2",
        f"export PATH={shlex.quote(str(Path(sys.executable).parent))}:$PATH",
        *[f"export {key}={shlex.quote(value)}" for key, value in sorted(settings.env.items())],
        *settings.setup,
    ]
    if settings.cpus and many:
        lines.append(f"export OMP_NUM_THREADS={max(1, settings.cpus // processes)}")
    parts = ["\n".join(lines) + "\n"]
    parts += [_RENDEZVOUS.format(port=settings.port)] if many else []
    parts += [_STOP] if settings.requeue else []
    parts.append(f'{_launch(command, settings)} &\nwork=$!\nwait "$work"\nexit\n')
    return "\n".join(parts)


def _processes(command: Command, settings: Slurm) -> int:
    """How many processes run on a node."""
    return settings.processes or (max(1, settings.gpus) if command.spreads else 1)


def _options(name: str, command: Command, settings: Slurm) -> Iterator[str]:
    yield f"--job-name={name}"
    yield f"--nodes={settings.nodes}"
    yield "--ntasks-per-node=1"
    if settings.gpus:
        yield f"--gpus-per-node={settings.gpus}"
    if settings.cpus:
        yield f"--cpus-per-task={settings.cpus}"
    if settings.memory:
        yield f"--mem={settings.memory}"
    if settings.hours:
        yield f"--time={_time(settings.hours)}"
    if settings.partition:
        yield f"--partition={settings.partition}"
    if settings.account:
        yield f"--account={settings.account}"
    if settings.requeue:
        yield "--requeue"
        yield f"--signal=B:USR1@{NOTICE}"
    yield "--open-mode=append"
    # %x and %j are Slurm's own words for the job's name and number, so a % of the path is written twice.
    yield f'--output="{str(command.folder).replace("%", "%%")}/%x-%j.out"'
    yield from settings.options


def _time(hours: float) -> str:
    """Slurm's hours:minutes:seconds.

    >>> _time(1.5), _time(100)
    ('1:30:00', '100:00:00')
    """
    seconds = round(hours * 3600)
    return f"{seconds // 3600}:{seconds // 60 % 60:02d}:{seconds % 60:02d}"


def _launch(command: Command, settings: Slurm) -> str:
    """The line that runs the command, in as many processes as asked."""
    nodes, processes = settings.nodes, _processes(command, settings)
    run = str(command)
    if nodes * processes > 1:
        meet = '--rdzv-backend=c10d --rdzv-id="${SLURM_JOB_ID:-0}" --rdzv-endpoint="$MASTER_ADDR:$MASTER_PORT"'
        run = f"torchrun --nnodes={nodes} --nproc-per-node={processes} {meet} --no-python {run}"
    return f"srun --kill-on-bad-exit=1 {run}" if nodes > 1 else run


# -- the cluster -------------------------------------------------------------------------------------------------------


def need(program: str) -> None:
    """Raises RungError where a program of Slurm is not on this machine."""
    if shutil.which(program) is None:
        mend = "run the command on a login node of the cluster, or leave --start out and copy the script there"
        raise RungError(f"there is no {program} on this machine", where="slurm", mend=mend)


def start(file: Path) -> str:
    """Hand in a script; the job's number."""
    said = _call("sbatch", "--parsable", str(file))
    return said.split(";")[0].strip()


def state(name: str) -> str:
    """The state of the newest job of this name, in Slurm's word and detail: in the queue first, then in the accounts.

    Raises RungError where neither knows it.
    """
    queued = _call("squeue", "--me", f"--name={name}", "--noheader", "--format=%T job %i, %M of %l, %R")
    if queued.strip():
        return queued.strip().splitlines()[-1]
    if shutil.which("sacct"):
        told = _call("sacct", "--allocations", "--noheader", "--parsable2", f"--name={name}", "--format=State,JobID,Elapsed,ExitCode")  # fmt: skip
        if told.strip():
            word, job, elapsed, code = told.strip().splitlines()[-1].split("|")[:4]
            return f"{word} job {job}, {elapsed}, exit code {code}"
    raise RungError(f"knows no job named {name!r}", where="slurm", mend="squeue --me lists those in the queue")


def ended(state: str) -> bool | None:
    """None while a job is under way; else whether it completed."""
    word = re.split(r"[\s+]", state)[0]
    return word == "COMPLETED" if word in ENDED else None


def stop(name: str) -> None:
    """Take a job out of the queue. Raises RungError where there is none of that name."""
    if not _call("squeue", "--me", f"--name={name}", "--noheader", "--format=%i").strip():
        raise RungError(f"has no job named {name!r} in its queue", where="slurm", mend="squeue --me lists them")
    _call("scancel", "--me", f"--name={name}")


def _call(program: str, *words: str) -> str:
    need(program)
    done = subprocess.run([program, *words], capture_output=True, text=True, check=False)
    if done.returncode:
        told = (done.stderr.strip() or done.stdout.strip() or f"exit code {done.returncode}").splitlines()[-1]
        raise RungError(f"{program} refuses ({told})", where="slurm", mend="mend the settings, or ask the cluster")
    return done.stdout
