"""Whether a program passes: run in a process of its own, with limits of time and memory, in an empty folder.

This bounds accidents, not malice: whoever does not trust the model runs Rung in a container. Only on request.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

SECONDS = 10
BYTES = 1 << 30
TO_THE_END = 83
"""The exit code of a program that ran to its end: one that leaves early, even without an error, has not met its tests."""
RUNNER = f"""import os, resource, sys
resource.setrlimit(resource.RLIMIT_CPU, ({SECONDS}, {SECONDS}))
resource.setrlimit(resource.RLIMIT_AS, ({BYTES}, {BYTES}))
resource.setrlimit(resource.RLIMIT_NPROC, (0, 0))
resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, 1 << 20))
resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
exec(compile(sys.stdin.read(), "answer", "exec"), {{"__name__": "__main__"}})
os._exit({TO_THE_END})
"""


def passes(program: str) -> bool:
    """Whether the Python program runs to its end without an error, within 10 seconds and 1 GiB."""
    with tempfile.TemporaryDirectory() as folder:
        child = subprocess.Popen(
            [sys.executable, "-I", "-c", RUNNER], cwd=folder, env={}, start_new_session=True,
            # What it prints is for nobody: read into this process it could fill the memory.
            stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        try:
            child.communicate(program.encode("utf-8", "replace"), timeout=2 * SECONDS)
        except subprocess.TimeoutExpired:
            return False
        finally:
            with contextlib.suppress(ProcessLookupError):  # its children too
                os.killpg(child.pid, signal.SIGKILL)
            child.wait()
    return child.returncode == TO_THE_END


def all_passes(programs: Sequence[str]) -> list[bool]:
    """The same for several, as many at a time as there are processors."""
    with ThreadPoolExecutor(os.cpu_count()) as workers:
        return list(workers.map(passes, programs))
