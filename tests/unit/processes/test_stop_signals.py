"""Signals that end a command."""

from __future__ import annotations

import os
import signal
import sys
import time
import weakref

import pytest

from vvbatch.processes.stop_signals import AGAIN_S, as_interrupt, stop_signals

SIGNALS = [signal.SIGINT, signal.SIGTERM, signal.SIGHUP]


class InterruptedWhileFinalised:
    def __init__(self, number: signal.Signals) -> None:
        self.number = number

    def __del__(self) -> None:
        os.kill(os.getpid(), self.number)


def wait_for_a_signal() -> None:
    for _ in range(600):
        time.sleep(0.1)


@pytest.mark.parametrize("number", SIGNALS)
def test_an_interrupt_that_comes_while_an_object_is_finalised_comes_again(number: signal.Signals) -> None:
    with pytest.raises(KeyboardInterrupt), as_interrupt():
        InterruptedWhileFinalised(number)
        wait_for_a_signal()


def test_an_interrupt_that_comes_in_the_callback_of_a_weak_reference_comes_again() -> None:
    class Referenced:
        pass

    kept = Referenced()
    seen: list[object] = []

    def callback(_reference: object) -> None:
        os.kill(os.getpid(), signal.SIGINT)
        seen.append("not reached")

    reference = weakref.ref(kept, callback)
    with pytest.raises(KeyboardInterrupt), as_interrupt():
        del kept
        wait_for_a_signal()
    assert reference() is None
    assert not seen


def test_other_errors_of_finalisers_are_still_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    class Broken:
        def __del__(self) -> None:
            raise ValueError("broken")

    reported: list[sys.UnraisableHookArgs] = []
    monkeypatch.setattr(sys, "unraisablehook", reported.append)
    with as_interrupt():
        Broken()
    assert [each.exc_type for each in reported] == [ValueError]


def test_the_handlers_come_back_after_the_block() -> None:
    numbers = [*SIGNALS, signal.SIGALRM]
    before = [signal.getsignal(number) for number in numbers], sys.unraisablehook
    with pytest.raises(KeyboardInterrupt), as_interrupt():
        os.kill(os.getpid(), signal.SIGTERM)
    assert ([signal.getsignal(number) for number in numbers], sys.unraisablehook) == before


def test_a_lost_interrupt_is_forgotten_with_its_block() -> None:
    alarms: list[int] = []
    before = signal.signal(signal.SIGALRM, lambda number, _frame: alarms.append(number))
    try:
        with as_interrupt():
            InterruptedWhileFinalised(signal.SIGINT)
        time.sleep(2 * AGAIN_S)
    finally:
        signal.signal(signal.SIGALRM, before)
    assert not alarms


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGHUP])
def test_a_signal_that_was_ignored_at_the_start_stays_ignored(number: signal.Signals) -> None:
    before = signal.signal(number, signal.SIG_IGN)
    try:
        with as_interrupt():
            assert number not in stop_signals()
            os.kill(os.getpid(), number)
            time.sleep(0.01)
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
