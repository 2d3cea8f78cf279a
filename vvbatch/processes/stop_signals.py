"""SIGTERM, Ctrl-C and a lost terminal: the signals that end a process of vvbatch, and what they do in a command."""

from __future__ import annotations

import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

SAME_S = 0.3  # after a lost terminal the kernel and the shell both send SIGHUP: signals this close count as one
AGAIN_S = 0.1  # until a lost interrupt comes again: long enough for whatever dropped it to be over


def stop_signals() -> list[signal.Signals]:
    """SIGTERM; SIGINT unless a script started this process in the background; SIGHUP unless `nohup` did."""
    unless_ignored = (signal.SIGINT, signal.SIGHUP)
    return [signal.SIGTERM, *(each for each in unless_ignored if signal.getsignal(each) is not signal.SIG_IGN)]


@contextmanager
def on_stop_signal(action: Callable[[], None]) -> Iterator[None]:
    """Within the block each stop signal calls `action`. In a thread that cannot handle signals, nothing changes."""
    last = float("-inf")

    def handle(_number: int, _frame: FrameType | None) -> None:
        nonlocal last
        now = time.monotonic()
        if now - last > SAME_S:
            last = now
            action()

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.signal(number, handle) for number in stop_signals()}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def as_interrupt() -> Iterator[None]:
    """A stop signal ends the block by KeyboardInterrupt, so that whatever the block has started is ended with it.

    Python drops what is raised while an object is finalised, or in a callback of a weak reference: the import of a
    module has one. An interrupt that was dropped comes again a moment later.
    """

    def interrupt() -> None:
        raise KeyboardInterrupt

    def dropped(what: sys.UnraisableHookArgs) -> None:
        if issubclass(what.exc_type, KeyboardInterrupt):
            signal.setitimer(signal.ITIMER_REAL, AGAIN_S)
        else:
            hook(what)

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    hook, sys.unraisablehook = sys.unraisablehook, dropped
    alarm = signal.signal(signal.SIGALRM, lambda _number, _frame: interrupt())
    try:
        with on_stop_signal(interrupt):
            yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, alarm)
        sys.unraisablehook = hook
