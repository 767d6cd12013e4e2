"""How many threads torch may use on a CPU, and how they wait.

Threads that wait for each other by spinning collapse several-fold when any other process wants a core; threads that
sleep at once wake too late for small models. So Rung lets them spin for some microseconds, and gives up threads that a
busy neighbour already uses. The caller's own `OMP_NUM_THREADS`, `OMP_WAIT_POLICY` and `GOMP_SPINCOUNT` always win.
Nothing here knows of models.
"""

from __future__ import annotations

import os
import time

import psutil

SPINS = "5000"
"""Turns of a waiting GNU OpenMP thread before it sleeps. A training step of 3 million weights on two cores, in ms, alone
and beside a busy process: never spinning 298 and 353, 5,000 turns 181 and 482, GNU's own 300,000 turns 192 and 2,732;
one thread 317 and 331."""
BLOCKTIME = "1"
"""The same for LLVM's and Intel's OpenMP, in milliseconds (their own: 200)."""


def prepare_environment() -> None:
    """Set how OpenMP's threads wait. Only works before torch is imported for the first time in the process."""
    if "OMP_WAIT_POLICY" not in os.environ:
        os.environ.setdefault("GOMP_SPINCOUNT", SPINS)
        os.environ.setdefault("KMP_BLOCKTIME", BLOCKTIME)
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")


def idle_cores(window: float = 0.2) -> int:
    """Cores that other processes leave free, measured over `window` seconds; at least 1."""
    available = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else (os.cpu_count() or 1)
    physical = min(available, psutil.cpu_count(logical=False) or available)
    own_before, total_before = time.process_time(), psutil.cpu_times()
    time.sleep(window)
    own, total = time.process_time() - own_before, psutil.cpu_times()
    idle_now, idle_then = (
        total.idle + getattr(total, "iowait", 0.0),
        total_before.idle + getattr(total_before, "iowait", 0.0),
    )
    free = (idle_now - idle_then + own) / window
    return max(1, min(physical, round(free)))


def set_threads() -> int:
    """Let torch use the cores that are idle now, and return how many those are."""
    import torch

    if os.environ.get("OMP_NUM_THREADS"):
        return torch.get_num_threads()
    threads = idle_cores()
    torch.set_num_threads(threads)
    return threads
