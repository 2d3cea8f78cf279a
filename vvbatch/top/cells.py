"""Values as the cells of tables: bars, times, numbers."""

from __future__ import annotations

import time
from datetime import datetime

from rich.text import Text

from vvbatch.ledger.states import PRIORITIES
from vvbatch.report.tables import STYLES, duration, printable, rate
from vvbatch.report.times import clock
from vvbatch.top.snapshot import Batch, Queue, Server, Worker

BAR_STATES = (("done", "green"), ("cached", "cyan"), ("failed", "red"), ("rendering", "yellow"))


def text(value: object, style: str = "") -> Text:
    """A cell without control characters; None is a dash."""
    return Text("-" if value is None else printable(value), style=style, no_wrap=True, overflow="ellipsis", end="")


ID_END = 9  # of a batch's id: the dash and the digits that distinguish batches of one title


def batch_id(name: str, width: int) -> Text:
    """An id; one that does not fit keeps its end, which distinguishes it from others of its title."""
    return text(name if len(name) <= width else f"{name[: max(1, width - ID_END - 1)]}…{name[-ID_END:]}")


def state(word: str) -> Text:
    return text(word, STYLES.get(word, ""))


def number(value: int | None) -> Text:
    return text(None if value is None else f"{value:,}")


def score(value: float | None) -> Text:
    return text(None if value is None else f"{value:.2f}")


def pace(value: float | None) -> Text:
    return text(None if value is None else f"{rate(value)}x")


def seconds(value: float | None) -> Text:
    return text(None if value is None else f"{value:.1f} s")


def memory(value: int | None) -> Text:
    if value is None:
        return text(None)
    return text(f"{value / 1e9:.1f} GB" if value >= 1e9 else f"{value / 1e6:.0f} MB")


def moment(timestamp: str) -> str:
    """A time of the ledger as local time with seconds."""
    return time.strftime("%H:%M:%S", time.localtime(datetime.fromisoformat(timestamp).timestamp()))


def moment_cell(timestamp: str) -> Text:
    return text(moment(timestamp))


def bar(batch: Batch, width: int) -> Text:
    """Shares of the lines: rendered, served by equal takes, failed, in work."""
    found, total = Text(no_wrap=True, end=""), batch.total if batch.counted else 0
    reached, filled = 0, 0
    for name, style in BAR_STATES:
        reached += batch.counts.get(name, 0)
        cells = round(reached / total * width) if total else filled
        if reached < total:
            cells = min(cells, width - 1)  # full is for a batch without a line left
        found.append("━" * max(0, cells - filled), style)
        filled = max(filled, cells)
    found.append("─" * (width - filled), "dim")
    return found


def progress(batch: Batch) -> Text:
    """Lines rendered, and all; while they are counted, how many there are at least."""
    if not batch.counted:
        return text(f"≥ {batch.total:,}" if batch.total else "counting")
    return text(f"{batch.ready:,}/{batch.total:,}")


def left(batch: Batch, now: float) -> Text:
    """How long it still takes; of an ended batch nothing."""
    if batch.state not in ("rendering", "queued"):
        return text("")
    if batch.ends_at is None:
        return text("unknown" if batch.counted else "counting")
    return text(duration(max(1.0, batch.ends_at - now)))


def end(batch: Batch) -> Text:
    """When it ended, or is expected to."""
    if batch.ended_at is not None:
        return text(clock(datetime.fromisoformat(batch.ended_at).timestamp()), "dim")
    return text(None if batch.ends_at is None else clock(batch.ends_at))


def slots(worker: Worker) -> Text:
    return text(f"{worker.rendering}/{worker.slots or '?'}")


def heartbeat(worker: Worker, server: Server) -> Text:
    if server.error or not server.asked:
        return text("unknown", "dim")
    return text("alive", "green") if worker.name in server.alive else text("silent", "bold red")


def priorities(queue: Queue) -> list[Text]:
    """High with what is interactive, normal, low."""
    interactive, high, *others = (queue.waiting.get(priority, 0) for priority in PRIORITIES)
    return [number(count) for count in (interactive + high, *others)]


def served(queue: Queue, workers: int) -> Text:
    """What the queue waits for."""
    if queue.paused:
        return text(f"paused: {queue.paused}", "yellow")
    if queue.total and not workers:
        return text(f"no worker: vvbatch up --workers {queue.profile}", "bold red")
    return text("")
