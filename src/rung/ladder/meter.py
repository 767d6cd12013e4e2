"""What a piece of work took by the clock: seconds, processor seconds, peak memory. Nothing here decides anything."""

from __future__ import annotations

import ctypes
import gc
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType

import psutil

SAMPLING = 0.05  # seconds between two looks at the memory


class Meter:
    """Measures the block it is used around. `peak` is in bytes: of the process, or of the GPU where there is one."""

    def __init__(self, device: str = "cpu") -> None:
        self.device = device
        self.seconds = 0.0
        self.cpu_seconds = 0.0
        self.peak = 0

    def __enter__(self) -> Meter:
        _give_back()
        self._process = psutil.Process()
        self._stop = threading.Event()
        self.peak = self._process.memory_info().rss
        if self.device.startswith("cuda"):
            import torch

            torch.cuda.reset_peak_memory_stats()
        self._watcher = threading.Thread(target=self._watch, daemon=True)
        self._watcher.start()
        self._wall, self._cpu = time.perf_counter(), time.process_time()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.seconds = time.perf_counter() - self._wall
        self.cpu_seconds = time.process_time() - self._cpu
        self._stop.set()
        self._watcher.join()
        if self.device.startswith("cuda"):
            import torch

            self.peak = int(torch.cuda.max_memory_allocated())

    def to_json(self) -> dict[str, float | int]:
        """As plain values."""
        return {"seconds": self.seconds, "cpu_seconds": self.cpu_seconds, "peak_memory": self.peak}

    def _watch(self) -> None:
        while not self._stop.wait(SAMPLING):
            self.peak = max(self.peak, self._process.memory_info().rss)


def _give_back() -> None:
    """Let go of what earlier work left behind, so that its memory is not counted against the work to come."""
    with _interrupts_kept():
        gc.collect()
    if sys.platform == "linux":
        # GNU's C library keeps freed memory until told otherwise; others have no such function.
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
        if trim is not None:
            trim(0)


@contextmanager
def _interrupts_kept() -> Iterator[None]:
    """Raise Ctrl-C after the block: within a collection it may fall into a finaliser, where Python drops exceptions."""
    before = signal.getsignal(signal.SIGINT)
    if threading.current_thread() is not threading.main_thread() or before is None:
        yield
        return
    came: list[int] = []
    signal.signal(signal.SIGINT, lambda number, _: came.append(number))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
    if came:
        signal.raise_signal(signal.SIGINT)
