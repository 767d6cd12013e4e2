"""The whole of `rung submit`: write a job, start it, follow it, stop it."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from rung.errors import RungError
from rung.run import dump_json, write_atomic
from rung.submit import sagemaker, slurm
from rung.submit.command import Command
from rung.submit.folder import sent
from rung.submit.settings import SageMaker, Slurm, check_name

PAUSE = 20.0
"""Seconds between two looks at a job that is followed."""
Say = Callable[[str], None]


def default_name(command: Command) -> str:
    """A name that says what and when: of a job, not of what it makes, so a clock may be in it."""
    return f"rung-{command.words[0]}-{time.strftime('%Y%m%d-%H%M%S')}"


def submit(
    command: Command, settings: Slurm | SageMaker, *, name: str = "", out: Path | None = None, begin: bool, say: Say
) -> str:
    """Write the job to `out` (default: NAME.sbatch or NAME.json in the command's folder), and with `begin` start it.

    Returns its name. Raises RungError before anything is written or sent, where that can be told.
    """
    name = name or default_name(command)
    check_name(name)
    file = out or command.folder / (f"{name}.sbatch" if isinstance(settings, Slurm) else f"{name}.json")
    if file.exists():
        raise RungError("is there already", where=str(file), mend="name another with --out or --name")
    if isinstance(settings, Slurm):
        text = slurm.script(name, command, settings)
        if begin:
            slurm.need("sbatch")
        write_atomic(file, text)
        say(f"wrote   {file}")
        say(f"started job {slurm.start(file)}" if begin else f"next    sbatch {file}")
        return name
    asked = sagemaker.request(name, command, settings)
    files = sent(command, settings.leave)
    write_atomic(file, dump_json(asked))
    say(f"wrote   {file}")
    if begin:
        say(f"started {sagemaker.start(asked, files, settings, say)}")
    else:
        say(f"        {len(files.files):,} files, {files.size / 1e6:,.1f} MB, would be sent; --start sends and starts")
    return name


def follow(name: str, settings: Slurm | SageMaker, say: Say, *, once: bool) -> bool | None:
    """Say how a job goes until it ends, or once: whether it completed; None where it is under way."""
    if isinstance(settings, SageMaker):
        return sagemaker.follow(name, settings, say, once=once, pause=PAUSE)
    last = ""
    while True:
        state = slurm.state(name)
        if state.split()[0] != last:
            say(f"{time.strftime('%H:%M:%S')}  {state}")
        last, over = state.split()[0], slurm.ended(state)
        if over is not None or once:
            return over
        time.sleep(PAUSE)


def stop(name: str, settings: Slurm | SageMaker, say: Say) -> None:
    """End a job."""
    if isinstance(settings, SageMaker):
        sagemaker.stop(name, settings)
    else:
        slurm.stop(name)
    say(f"stopped {name}; what it wrote is kept, and the same command goes on from there")
