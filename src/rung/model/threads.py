"""How many threads torch may use on a CPU, and how they wait.

Two OpenMP threads that spin collapse several-fold when any other process wants a core, so Rung lets idle threads sleep
and gives up threads that a busy neighbour already uses. The caller's own `OMP_NUM_THREADS` and `OMP_WAIT_POLICY`
always win. Nothing here knows of models.
"""

from __future__ import annotations

import os
import time

import psutil


def prepare_environment() -> None:
    """Set the waiting policy of OpenMP. Only works before torch is imported for the first time in the process."""
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
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
