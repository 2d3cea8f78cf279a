"""Signals that end a command."""

from __future__ import annotations

import os
import signal

import pytest

from vvbatch.processes.stop_signals import as_interrupt, raise_lost_interrupt, stop_signals


class InterruptedWhileFinalised:
    def __init__(self, number: signal.Signals) -> None:
        self.number = number

    def __del__(self) -> None:
        os.kill(os.getpid(), self.number)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_an_interrupt_that_comes_while_an_object_is_finalised_is_not_lost(number: signal.Signals) -> None:
    with as_interrupt():
        raise_lost_interrupt()
        InterruptedWhileFinalised(number)  # Python prints what is raised there, and goes on
        with pytest.raises(KeyboardInterrupt):
            raise_lost_interrupt()


def test_an_interrupt_is_forgotten_with_its_block_and_the_handlers_come_back() -> None:
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)]
    with pytest.raises(KeyboardInterrupt), as_interrupt():
        os.kill(os.getpid(), signal.SIGTERM)
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)] == before
    with as_interrupt():
        raise_lost_interrupt()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGHUP])
def test_a_signal_that_was_ignored_at_the_start_stays_ignored(number: signal.Signals) -> None:
    before = signal.signal(number, signal.SIG_IGN)
    try:
        with as_interrupt():
            assert number not in stop_signals()
            os.kill(os.getpid(), number)
            raise_lost_interrupt()
    finally:
        signal.signal(number, before)


def test_the_two_hangups_of_a_lost_terminal_count_as_one() -> None:
    interrupts = 0
    with as_interrupt():
        for _ in range(2):
            try:
                os.kill(os.getpid(), signal.SIGHUP)
            except KeyboardInterrupt:
                interrupts += 1
    assert interrupts == 1
