"""The meter lets no interrupt fall through while it collects what earlier work left."""

from __future__ import annotations

import signal

import pytest

from rung.ladder.meter import Meter


class Bell:
    """Interrupts the process from its finaliser, as a Ctrl-C at that moment would."""

    def __init__(self) -> None:
        self.own = self  # only a collection ends it

    def __del__(self) -> None:
        signal.raise_signal(signal.SIGINT)


def test_an_interrupt_during_the_collection_is_raised_after_it() -> None:
    Bell()
    with pytest.raises(KeyboardInterrupt), Meter():
        raise AssertionError("the block must not begin")
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
