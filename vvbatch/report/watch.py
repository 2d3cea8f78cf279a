"""Progress of batches: bars that move on a terminal, a plain line for each change in a pipe."""

from __future__ import annotations

import sys
import time
from collections import deque
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from typing import TYPE_CHECKING, TextIO

from rich.cells import cell_len
from rich.console import Console
from rich.live import Live
from rich.text import Text

from vvbatch.ledger import Ledger
from vvbatch.ledger.ahead import Ahead, ahead_of
from vvbatch.ledger.queries import SCRIPTS, batch_heads, failures, find_batch, open_batches
from vvbatch.ledger.views import BatchHead
from vvbatch.report.columns import wrapped
from vvbatch.report.failed import failed_words
from vvbatch.report.reasons import waiting_words
from vvbatch.report.tables import STYLES, console, duration, printable, rate

if TYPE_CHECKING:
    from vvbatch.transport.served import Serving

LOOK_S = 0.5
RATE_WINDOW_S = 60.0
FAILURES_SHOWN = 20
BUSY_SHARE = 20  # reading takes at most a twentieth of the time, however large the batch
BAR, SHORTEST_BAR = 40, 10


class Follower:
    """Shows batches as the ledger has them now; `look` may be called at any rate."""

    def __init__(
        self,
        ledger: Ledger,
        batch_ids: Sequence[str],
        target: Console,
        clock: Callable[[], float],
        served: Callable[[str], Serving] = lambda _profile: "served",
    ) -> None:
        self.ledger, self.batch_ids, self.console, self.clock = ledger, batch_ids, target, clock
        self.served = served
        self.ended = False
        self.next_look = 0.0
        self.said: dict[str, str] = {}
        self.failed: dict[str, set[str]] = {batch_id: set() for batch_id in batch_ids}
        self.seen: dict[str, deque[tuple[float, int]]] = {batch_id: deque() for batch_id in batch_ids}
        self.rows: dict[str, Text] = {}
        self.live = Live(console=target, auto_refresh=False, vertical_overflow="crop")

    def look(self, *, now: bool = False) -> None:
        began = self.clock()
        if began < self.next_look and not now:
            return
        heads = batch_heads(self.ledger, self.batch_ids)
        waiting = [head.batch for head in heads if waits(head)]
        ahead = ahead_of(self.ledger, waiting) if waiting else {}
        for head in heads:
            self.show_failures(head)
            self.show(head, ahead.get(head.batch), began)
        if self.console.is_terminal:
            self.live.update(Text("\n").join(self.rows.values()), refresh=True)
        self.ended = all(head.eta_s == 0 and head.state not in ("queued", "rendering") for head in heads)
        self.next_look = began + max(LOOK_S, BUSY_SHARE * (self.clock() - began))

    def show(self, head: BatchHead, ahead: Ahead | None, at: float) -> None:
        """`ahead`: what is before a batch that waits."""
        batch_id, counts = head.batch, head.counts
        over = counts["total"] - counts["queued"] - counts["rendering"]
        reasons = waiting_words(ahead, self.served) if ahead else []
        failed = [f"{counts['failed']:,} failed"] if counts["failed"] else []
        state = "waiting" if reasons and self.console.is_terminal else head.state
        words = failed if failed and state == "failed" else [state, *failed]
        lines = self.rate(batch_id, at, over)
        if head.eta_s:
            words.append(f"{duration(head.eta_s)} left")
        if lines is not None:
            words.append(f"{rate(lines)} lines/min")
        if self.console.is_terminal:
            self.rows[batch_id] = batch_row(head, over, words, reasons, self.console.width)
            return
        standing = f"{head.state} {counts} {reasons}"
        if self.said.get(batch_id) != standing:
            self.said[batch_id] = standing
            waiting = [f"waiting: {'; '.join(reasons)}"] if reasons else []
            self.say(f"{batch_id}: {over}/{counts['total']} lines, {', '.join([*words, *waiting])}")

    def rate(self, batch_id: str, at: float, over: int) -> float | None:
        """Lines a minute over the last minute."""
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
                self.say(f"{head.batch}: failed: {printable(failed_words(row))}", style="red")

    def say(self, text: str, style: str = "") -> None:
        # A pipe's reader wants one event a line, however long it is.
        self.console.print(Text(text, style=style), soft_wrap=not self.console.is_terminal)


def waits(head: BatchHead) -> bool:
    """Whether the batch has lines to render and none of them is in work."""
    return head.counts["queued"] > 0 and not head.counts["rendering"] and head.state != "paused"


def batch_row(head: BatchHead, over: int, words: Sequence[str], reasons: Sequence[str], width: int) -> Text:
    """The batch's id, a bar, how many of its lines are over, and the words that fit; below them why it waits.

    The id has a row of its own when the bar would have no room beside it.
    """
    total = head.counts["total"]
    numbers = f"{over:,}/{total:,}"
    state, *more = words
    while more and cell_len("  ".join([numbers, state, *more])) + SHORTEST_BAR + 4 > width:
        more.pop()
    after = "  ".join([numbers, state, *more])
    room = width - cell_len(after) - 3
    row = Text(no_wrap=True, overflow="ellipsis")
    if cell_len(head.batch) + SHORTEST_BAR + 2 > room:
        row.append(f"{head.batch}\n  ")
        room -= 2
    else:
        row.append(f"{head.batch}  ")
        room -= cell_len(head.batch) + 2
    cells = max(1, min(BAR, room))
    full = min(cells - (over < total), round(cells * over / total)) if total else 0
    row.append("━" * full, STYLES.get(head.state, "green")).append("─" * (cells - full), "dim")
    row.append(f"  {numbers}  ").append(state, STYLES.get(head.state, "")).append("".join(f"  {each}" for each in more))
    for reason in reasons:
        for part in wrapped(f"waiting: {reason}", width - 3):
            row.append(f"\n  {part}", "yellow")
    return row


@contextmanager
def progress(
    ledger: Ledger, batch_ids: Sequence[str], *, quiet: bool = False, file: TextIO | None = None
) -> Iterator[Callable[[], None]]:
    """Gives a function that shows the state of the batches on stderr, to be called often. `quiet` shows nothing."""
    if quiet:
        yield lambda: None
        return
    follower = Follower(ledger, list(dict.fromkeys(batch_ids)), console(file or sys.stderr), time.monotonic)
    with follower.live if follower.console.is_terminal else nullcontext():
        yield follower.look
        follower.look(now=True)


def follow(
    ledger: Ledger,
    batch: str | None = None,
    file: TextIO | None = None,
    sleep: Callable[[float], None] = time.sleep,
    kinds: Collection[str] = SCRIPTS,
    served: Callable[[str], Serving] = lambda _profile: "served",
) -> None:
    """Show a batch, or all of these kinds that are open now, on stderr until they end. Raises UnknownBatch."""
    ids = [find_batch(ledger, batch, kinds)] if batch else open_batches(ledger, kinds=kinds)
    follower = Follower(ledger, ids, console(file or sys.stderr), time.monotonic, served)
    with follower.live if follower.console.is_terminal else nullcontext():
        while True:
            follower.look(now=True)
            if follower.ended:
                return
            sleep(max(1.0, follower.next_look - time.monotonic()))
