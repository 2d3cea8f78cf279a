"""How far long work is: files hashed, bytes fetched."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from typing import TextIO

from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    ProgressColumn,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)

from vvbatch.report.tables import console, size

LINE_EVERY_S = 10.0


@contextmanager
def counting(
    what: str, *, of_bytes: bool = False, quiet: bool = False, file: TextIO | None = None
) -> Iterator[Callable[[int, int], None]]:
    """Gives a function that shows on stderr how much of a total is done: a bar, or a line every ten seconds.

    `what` follows the numbers, as `files hashed`. Nothing is shown before the first call.
    """
    target = console(file or sys.stderr)
    numbers = DownloadColumn() if of_bytes else TextColumn("{task.completed:,.0f}/{task.total:,.0f}")
    speed: list[ProgressColumn] = [TransferSpeedColumn(), TimeRemainingColumn()] if of_bytes else []
    bar = Progress(
        numbers,
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=None),
        *speed,
        console=target,
        disable=quiet or not target.is_terminal,
    )
    task = bar.add_task(what)
    said = time.monotonic()

    def show(done: int, total: int) -> None:
        nonlocal said
        bar.update(task, completed=done, total=total)
        if not bar.live.is_started:
            bar.start()
        if done >= total:
            bar.stop()  # one bar at a time: what comes next may have its own
        if bar.disable and not quiet and time.monotonic() - said >= LINE_EVERY_S:
            said = time.monotonic()
            words = f"{size(done)} of {size(total)}" if of_bytes else f"{done:,}/{total:,}"
            target.print(f"{words} {what}")

    try:
        yield show
    finally:
        bar.stop()


@contextmanager
def waiting(words: str) -> Iterator[None]:
    """Shows on a terminal's stderr that work without a known total is in progress."""
    target = console(sys.stderr)
    with target.status(words) if target.is_terminal else nullcontext():
        yield
