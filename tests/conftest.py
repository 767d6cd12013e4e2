"""What all tests share: offline libraries, quiet threads, tiny bases, the folder of real data."""

from __future__ import annotations

import os
import signal

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

from collections.abc import Callable
from pathlib import Path

import pytest

# A shell's background job (`make test &`, nohup) inherits an ignored Ctrl-C; the tests of it, and their children, need it.
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of real data sets; tests that need it skip where it is absent."""
    folder = Path(os.environ.get("RUNG_DATA", Path(__file__).parents[2] / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip("no folder of real data (set RUNG_DATA)")
    return folder


@pytest.fixture(scope="session")
def base(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """`base("llama")` gives the folder of a tiny random base of that kind, made once a session."""
    made: dict[str, Path] = {}

    def get(kind: str) -> Path:
        if kind not in made:
            from bases import make

            made[kind] = make(kind, tmp_path_factory.mktemp(kind))
        return made[kind]

    return get
