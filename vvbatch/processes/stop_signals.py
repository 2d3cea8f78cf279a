"""SIGTERM, Ctrl-C and a lost terminal: the signals that end a process of vvbatch, and what they do in a command."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

SAME_S = 0.3  # after a lost terminal the kernel and the shell both send SIGHUP: signals this close count as one


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


interrupt_requested = threading.Event()


@contextmanager
def as_interrupt() -> Iterator[None]:
    """A stop signal ends the block by KeyboardInterrupt, so that whatever the block has started is ended with it."""

    def interrupt() -> None:
        interrupt_requested.set()
        raise KeyboardInterrupt

    interrupt_requested.clear()
    with on_stop_signal(interrupt):
        yield


def raise_lost_interrupt() -> None:
    """Raise KeyboardInterrupt if one was requested: Python drops what is raised while an object is finalised."""
    if interrupt_requested.is_set():
        raise KeyboardInterrupt
