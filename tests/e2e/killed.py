"""Runs a `rung` command in one forked process after another, each killed before some change to the disk, to its end.

    python killed.py SEED SPEED MEAN WORD...

The changes are those that Python announces (PEP 578) below the working directory: files opened for writing, renamed,
removed, folders made. Where a process dies is drawn from an exponential distribution of MEAN changes. The clock of
the training runs SPEED times too fast, so that checkpoints are written in the middle. Every finished document must be
as it was when the next process begins; what is not is printed as lost.
"""

from __future__ import annotations

import hashlib
import os
import random
import signal
import sys
import time
import types
from pathlib import Path
from typing import Any

CHANGES = {"os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.link", "os.truncate"}


def dying(after: int) -> Any:
    """An audit hook that kills this process before its change number `after`."""
    here, left = str(Path.cwd()), [after]

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        writes = event == "open" and isinstance(arguments[2], int) and arguments[2] & (os.O_WRONLY | os.O_RDWR)
        if event not in CHANGES and not writes:
            return
        if not isinstance(arguments[0], str | Path) or not str(Path.cwd() / arguments[0]).startswith(here):
            return
        left[0] -= 1
        if left[0] <= 0:
            os.write(2, f"killed before {event} {os.path.relpath(arguments[0])}\n".encode())
            os.kill(os.getpid(), signal.SIGKILL)

    return hook


def finished_documents() -> dict[str, str]:
    """What a killed climb must not lose: every document and artefact that took its name, but for what a clock said."""
    return {
        str(file): hashlib.sha256(file.read_bytes()).hexdigest()
        for file in Path("run").rglob("*")
        if file.is_file()
        and not any(part == "scratch" or part.endswith(".part") or "measured" in part for part in file.parts)
    }


def once(words: list[str], after: int) -> int:
    """The status of one process that runs the command and dies before its change number `after`."""
    child = os.fork()
    if child:
        return os.waitpid(child, 0)[1]
    sys.argv = ["rung", *words]
    from rung.cli.main import main

    sys.addaudithook(dying(after))
    code = 3
    try:
        main()
    except SystemExit as left:
        code = int(left.code or 0)
    finally:
        sys.stdout.flush()
        os._exit(code)


def run(seed: int, speed: float, mean: float, words: list[str]) -> None:
    """Process after process until one ends by itself."""
    import rung.cli.main
    import rung.ladder.climb
    import rung.train.keeper

    clock = types.SimpleNamespace(monotonic=lambda: time.monotonic() * speed, process_time=time.process_time)
    rung.train.keeper.time = clock
    chance, deaths = random.Random(seed), 0
    while True:
        before = finished_documents()
        status = once(words, 1 + int(chance.expovariate(1 / mean)))
        after = finished_documents()
        for lost in [name for name in before if before[name] != after.get(name) and not name.startswith("run/report")]:
            print(f"lost {lost}", flush=True)
        if not os.WIFSIGNALED(status):
            print(f"ended {os.waitstatus_to_exitcode(status)} after {deaths} deaths", flush=True)
            return
        deaths += 1


if __name__ == "__main__":
    run(int(sys.argv[1]), float(sys.argv[2]), float(sys.argv[3]), sys.argv[4:])
