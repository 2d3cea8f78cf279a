"""Batches on their way: bars that move on a terminal, a plain line per change in a pipe."""

from __future__ import annotations

import sys
import time
from collections import deque
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from typing import TextIO

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn
from rich.text import Text

from vvbatch.ledger import Ledger
from vvbatch.ledger.queries import SCRIPTS, batch_heads, failures, find_batch, open_batches
from vvbatch.ledger.views import BatchHead
from vvbatch.report.tables import console, duration, printable, rate

LOOK_S = 0.5
RATE_WINDOW_S = 60.0
FAILURES_SHOWN = 20
BUSY_SHARE = 20  # looking takes at most a twentieth of the time, however large the batch


class Follower:
    """Shows batches as the ledger has them now; `look` may be called as often as one likes."""

    def __init__(self, ledger: Ledger, batch_ids: Sequence[str], target: Console, clock: Callable[[], float]) -> None:
        self.ledger, self.batch_ids, self.console, self.clock = ledger, batch_ids, target, clock
        self.ended = False
        self.next_look = 0.0
        self.said: dict[str, str] = {}
        self.failed: dict[str, set[str]] = {batch_id: set() for batch_id in batch_ids}
        self.seen: dict[str, deque[tuple[float, int]]] = {batch_id: deque() for batch_id in batch_ids}
        self.tasks: dict[str, TaskID] = {}
        self.bars = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=None),
            TextColumn("{task.completed:,.0f}/{task.total:,.0f}", markup=False),
            TextColumn("{task.fields[how]}", markup=False),
            console=target,
            auto_refresh=False,
            expand=True,
        )

    def look(self, *, now: bool = False) -> None:
        began = self.clock()
        if began < self.next_look and not now:
            return
        heads = batch_heads(self.ledger, self.batch_ids)
        for head in heads:
            self.show_failures(head)
            self.show(head, began)
        self.ended = all(head.eta_s == 0 and head.state not in ("queued", "rendering") for head in heads)
        self.next_look = began + max(LOOK_S, BUSY_SHARE * (self.clock() - began))

    def show(self, head: BatchHead, at: float) -> None:
        batch_id, counts = head.batch, head.counts
        over = counts["total"] - counts["queued"] - counts["rendering"]
        words = [head.state]
        if counts["failed"]:
            words.append(f"{counts['failed']:,} failed")
        if (lines := self.rate(batch_id, at, over)) is not None:
            words.append(f"{rate(lines)} lines/min")
        if head.eta_s:
            words.append(f"{duration(head.eta_s)} left")
        how = ", ".join(words)
        if self.console.is_terminal:
            task = self.tasks.get(batch_id)
            if task is None:
                task = self.tasks[batch_id] = self.bars.add_task(batch_id, total=counts["total"], how=how)
            self.bars.update(task, completed=over, how=how, refresh=True)
            return
        standing = f"{head.state} {counts}"
        if self.said.get(batch_id) != standing:
            self.said[batch_id] = standing
            self.say(f"{batch_id}: {over}/{counts['total']} lines, {how}")

    def rate(self, batch_id: str, at: float, over: int) -> float | None:
        """Lines a minute over the last minute of looking."""
        seen = self.seen[batch_id]
        seen.append((at, over))
        while len(seen) > 2 and seen[1][0] < at - RATE_WINDOW_S:
            seen.popleft()
        span, lines = at - seen[0][0], over - seen[0][1]
        return lines / span * 60 if span > 0 and lines > 0 else None

    def show_failures(self, head: BatchHead) -> None:
        shown = self.failed[head.batch]
        if head.counts["failed"] <= len(shown) or len(shown) >= FAILURES_SHOWN:
            return
        for row in failures(self.ledger, head.batch, FAILURES_SHOWN):
            if row.line not in shown:
                shown.add(row.line)
                self.say(f"{head.batch}: {row.line} failed: {printable(row.error)}", style="red")

    def say(self, text: str, style: str = "") -> None:
        # A pipe's reader wants one event a line, however long it is.
        self.console.print(Text(text, style=style), soft_wrap=True)


@contextmanager
def progress(
    ledger: Ledger, batch_ids: Sequence[str], *, quiet: bool = False, file: TextIO | None = None
) -> Iterator[Callable[[], None]]:
    """Gives a function that shows on stderr where the batches stand; call it again and again. `quiet` shows nothing."""
    if quiet:
        yield lambda: None
        return
    follower = Follower(ledger, list(dict.fromkeys(batch_ids)), console(file or sys.stderr), time.monotonic)
    with follower.bars if follower.console.is_terminal else nullcontext():
        yield follower.look
        follower.look(now=True)


def watch(
    ledger: Ledger,
    batch: str | None = None,
    file: TextIO | None = None,
    sleep: Callable[[float], None] = time.sleep,
    kinds: Collection[str] = SCRIPTS,
) -> None:
    """Show a batch, or all of these kinds that are open now, on stderr until they end. Raises UnknownBatch."""
    ids = [find_batch(ledger, batch, kinds)] if batch else open_batches(ledger, kinds=kinds)
    follower = Follower(ledger, ids, console(file or sys.stderr), time.monotonic)
    with follower.bars if follower.console.is_terminal else nullcontext():
        while True:
            follower.look(now=True)
            if follower.ended:
                return
            sleep(max(1.0, follower.next_look - time.monotonic()))
