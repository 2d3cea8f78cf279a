"""Interrupts of a render in the caller's own time."""

from __future__ import annotations

import os
import signal

import pytest

from vvbatch.processes.session import raise_lost_interrupt, sigterm_as_interrupt


class InterruptedWhileFinalised:
    def __init__(self, number: signal.Signals) -> None:
        self.number = number

    def __del__(self) -> None:
        os.kill(os.getpid(), self.number)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_that_comes_while_an_object_is_finalised_is_not_lost(number: signal.Signals) -> None:
    with sigterm_as_interrupt():
        raise_lost_interrupt()
        InterruptedWhileFinalised(number)  # Python prints what is raised there, and goes on
        with pytest.raises(KeyboardInterrupt):
            raise_lost_interrupt()


def test_an_interrupt_is_forgotten_with_its_block_and_the_handlers_come_back() -> None:
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    with pytest.raises(KeyboardInterrupt), sigterm_as_interrupt():
        os.kill(os.getpid(), signal.SIGTERM)
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == before
    with sigterm_as_interrupt():
        raise_lost_interrupt()
