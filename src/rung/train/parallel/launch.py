"""`--nproc`: the same command line again, once for each process, under the variables that `torchrun` would set.

One process that ends early ends them all, with one line; what the first says goes through, what others say is kept and
shown only where it is the reason. What the processes do is not known here, and torch is not imported.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rung.errors import RungError

BAD_INPUT, BROKEN, LOST_PEER, INTERRUPTED = 2, 1, 75, 130
MARK = "RUNG_LAUNCHED"  # set in processes that were started here
GRACE = 10.0  # seconds between asking a process to end and ending it
GO_ON = "what is finished is kept; run the same command again to go on"


@dataclass
class Member:
    """One started process. `said` is the file of what it wrote to stderr, None for the first, who speaks himself."""

    rank: int
    process: subprocess.Popen[bytes]
    said: Path | None


def launched() -> bool:
    """Whether this process is one of several already, whoever started them."""
    return "RANK" in os.environ and "WORLD_SIZE" in os.environ


def launch(words: Sequence[str], processes: int) -> int:
    """Run `rung WORDS` in so many processes on this machine. Returns the exit code; says why on stderr where it is not 0.

    Raises RungError for a number below 1.
    """
    if processes < 1:
        raise RungError(f"{processes} processes", where="--nproc", mend="give a whole number from 1")
    with tempfile.TemporaryDirectory(prefix="rung-") as folder:
        members = [_start(words, rank, processes, _free_port_of(folder), Path(folder)) for rank in range(processes)]
        try:
            return _watch(members)
        except KeyboardInterrupt:
            print(f"\nrung: stopped; {GO_ON}", file=sys.stderr)
            return INTERRUPTED
        finally:
            _end(members)


def _free_port_of(folder: str) -> int:
    """A port for all processes of this launch: the same for one folder."""
    file = Path(folder) / "port"
    if not file.exists():
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            file.write_text(str(probe.getsockname()[1]))
    return int(file.read_text())


def _start(words: Sequence[str], rank: int, processes: int, port: int, folder: Path) -> Member:
    named = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": processes, "LOCAL_WORLD_SIZE": processes, MARK: 1,
             "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}  # fmt: skip
    said = folder / f"{rank}.txt" if rank else None
    stream = said.open("wb") if said else None
    try:
        process = subprocess.Popen(
            [sys.executable, "-m", "rung", *words],
            env=os.environ | {name: str(value) for name, value in named.items()},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL if rank else None,
            stderr=stream,
            process_group=0,  # Ctrl-C comes here alone, and is passed on
        )
    finally:
        if stream:
            stream.close()
    return Member(rank, process, said)


def _watch(members: Sequence[Member]) -> int:
    """Wait for all, or for the first that fails."""
    while any(member.process.poll() is None for member in members):
        if any(member.process.returncode for member in members):
            break
        time.sleep(0.05)
    if all(member.process.returncode == 0 for member in members):
        return 0
    _settle(members)
    failed = [member for member in members if member.process.poll()]
    guilty = min(
        failed, key=lambda one: (one.process.returncode == LOST_PEER, one.process.returncode == BROKEN, one.rank)
    )
    code = guilty.process.returncode
    if code == BAD_INPUT:
        _show(guilty)
        return BAD_INPUT
    if code < 0:
        print(f"rung: process {guilty.rank} of {len(members)} was killed by {_name(-code)}; {GO_ON}", file=sys.stderr)
        return BROKEN
    _show(guilty)
    print(f"rung: process {guilty.rank} of {len(members)} ended with code {code}; {GO_ON}", file=sys.stderr)
    return BROKEN


def _settle(members: Sequence[Member]) -> None:
    """Reason and consequence come close together: give the first process the time to say what it has to say."""
    until = time.monotonic() + GRACE / 2
    while members[0].process.poll() is None and time.monotonic() < until:
        time.sleep(0.05)
    time.sleep(0.2)


def _show(member: Member) -> None:
    if member.said is not None:
        sys.stderr.write(member.said.read_text(errors="replace")[-20_000:])


def _name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def _end(members: Sequence[Member]) -> None:
    """Nobody outlives the launch: ask, wait, then end."""
    for member in members:
        if member.process.poll() is None:
            member.process.terminate()
    until = time.monotonic() + GRACE
    for member in members:
        try:
            member.process.wait(max(0.0, until - time.monotonic()))
        except subprocess.TimeoutExpired:
            member.process.kill()
            member.process.wait()
