"""The columns of each table, the sentence above them, and in which orders batches can be sorted."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence

from rich.text import Text

from vvbatch.report.tables import counted, rate
from vvbatch.top import cells
from vvbatch.top.grid import Column
from vvbatch.top.snapshot import Batch, Failure, Line, Queue, Server, Snapshot, Take, Worker


def worker_columns(server: Callable[[], Server]) -> list[Column[Worker]]:
    return [
        Column("WORKER", 14, lambda each, _: cells.text(each.name), grow=2),
        Column("PROFILE", 9, lambda each, _: cells.text(each.profile)),
        Column("DEVICE", 7, lambda each, _: cells.text(each.device)),
        Column("DTYPE", 9, lambda each, _: cells.text(each.dtype), from_width=100),
        Column("SLOTS", 7, lambda each, _: cells.slots(each), right=True),
        Column("SPEED", 7, lambda each, _: cells.pace(each.speed), right=True),
        Column("MEMORY", 8, lambda each, _: cells.memory(each.memory_bytes), right=True),
        Column("PID", 8, lambda each, _: cells.text(each.pid), right=True, from_width=100),
        Column("HOST", 14, lambda each, _: cells.text(each.host), from_width=120),
        Column("STATE", 8, lambda each, _: cells.heartbeat(each, server())),
    ]


def queue_columns(server: Callable[[], Server], workers: Callable[[str], int]) -> list[Column[Queue]]:
    """`workers`: how many serve a profile."""
    return [
        Column("QUEUE", 14, lambda each, _: cells.text(each.profile)),
        Column("HIGH", 8, lambda each, _: cells.priorities(each)[0], right=True),
        Column("NORMAL", 8, lambda each, _: cells.priorities(each)[1], right=True),
        Column("LOW", 8, lambda each, _: cells.priorities(each)[2], right=True),
        Column("IN WORK", 8, lambda each, _: cells.number(each.rendering), right=True),
        Column("HELD", 8, lambda each, _: cells.number(each.held), right=True),
        Column("JOBS", 8, lambda each, _: cells.number(server().jobs.get(each.profile)), right=True, from_width=100),
        Column("", 10, lambda each, _: cells.served(each, workers(each.profile)), grow=1),
    ]


BATCHES: Sequence[Column[Batch]] = (
    Column("BATCH", 14, lambda each, width: cells.batch_id(each.name, width), grow=3),
    Column("TITLE", 10, lambda each, _: cells.text(each.title), grow=2, from_width=120),
    Column("PROFILE", 9, lambda each, _: cells.text(each.profile), from_width=120),
    Column("PRIORITY", 8, lambda each, _: cells.text(each.priority), from_width=120),
    Column("STATE", 9, lambda each, _: cells.state(each.state)),
    Column("", 8, cells.bar, grow=2),
    Column("READY", 13, lambda each, _: cells.progress(each), right=True),
    Column("FAILED", 6, lambda each, _: cells.text(f"{each.failed:,}", "bold red" if each.failed else ""), right=True),
    Column("LEFT", 12, lambda each, _: cells.left(each, time.time()), right=True),
    Column("ENDS", 9, lambda each, _: cells.end(each), right=True),
)

TAKES: Sequence[Column[Take]] = (
    Column("TAKE ENDED", 10, lambda each, _: cells.moment_cell(each.ended_at)),
    Column("BATCH", 12, lambda each, width: cells.batch_id(each.batch, width), grow=1),
    Column("LINE", 8, lambda each, _: cells.text(each.line), grow=1),
    Column("STATE", 10, lambda each, _: cells.state(each.state)),
    Column("AUDIO", 7, lambda each, _: cells.seconds(each.duration_s), right=True),
    Column("SCORE", 5, lambda each, _: cells.score(each.score), right=True),
    Column("SEED", 10, lambda each, _: cells.text(each.seed), right=True, from_width=100),
    Column(
        "TEXT OR ERROR", 16, lambda each, _: cells.text(each.error or each.text, "red" if each.error else ""), grow=3
    ),
)

FAILURES: Sequence[Column[Failure]] = (
    Column("FAILED AT", 10, lambda each, _: cells.moment_cell(each.at)),
    Column("BATCH", 12, lambda each, width: cells.batch_id(each.batch, width), grow=1),
    Column("LINE", 8, lambda each, _: cells.text(each.line), grow=1),
    Column("ERROR", 24, lambda each, _: cells.text(each.error, "red"), grow=3),
    Column("TEXT", 20, lambda each, _: cells.text(each.text), grow=3, from_width=100),
)

LINES: Sequence[Column[Line]] = (
    Column("NO", 6, lambda each, _: cells.number(each.number), right=True),
    Column("LINE", 9, lambda each, _: cells.text(each.name), grow=1),
    Column("PROFILE", 9, lambda each, _: cells.text(each.profile), from_width=120),
    Column("STATE", 9, lambda each, _: cells.state(each.state)),
    Column("SCORE", 5, lambda each, _: cells.score(each.score), right=True),
    Column("SEED", 10, lambda each, _: cells.text(each.seed), right=True),
    Column("AUDIO", 7, lambda each, _: cells.seconds(each.duration_s), right=True, from_width=100),
    Column("TRIES", 5, lambda each, _: cells.number(each.attempt), right=True, from_width=100),
    Column("TEXT", 20, lambda each, _: cells.text(each.text), grow=6),
    Column("ERROR", 16, lambda each, _: cells.text(each.error or "", "red"), grow=3, from_width=120),
)

ACTIVE = ("rendering", "queued", "paused")
BATCH_ORDERS: Mapping[str, Callable[[Batch], tuple[object, ...]]] = {
    "open first": lambda each: (each.state not in ACTIVE,),  # as the ledger gives them
    "name": lambda each: (each.name,),
    "state": lambda each: (ACTIVE.index(each.state) if each.state in ACTIVE else 9, each.state),
    "failed": lambda each: (-each.failed,),
    "left": lambda each: (each.ends_at is None, each.ends_at or 0.0),
}


def matches(words: str, *fields: str | None) -> bool:
    return not words or any(words.casefold() in (field or "").casefold() for field in fields)


def headline(seen: Snapshot, server: Server) -> Text:
    """Workers, slots, speed, and whether the queue answers; of each only what is known."""
    alive = [each for each in seen.workers if server.error or not server.asked or each.name in server.alive]
    slots, used = sum(each.slots or 0 for each in alive), sum(each.rendering for each in alive)
    parts = [counted(len(alive), "worker")]
    if slots:
        parts.append(f"{used}/{slots} slots")
    if seen.speed is not None:
        parts.append(f"{rate(seen.speed)} x real time")
    if seen.takes_per_min is not None:
        parts.append(f"{rate(seen.takes_per_min)} takes/min")
    if seen.counting:
        parts.append("counting")
    return cells.text("  ".join(parts))


def troubles(seen: Snapshot, server: Server, silent_s: float) -> list[str]:
    """What cannot be reached now, and what still works."""
    found = []
    if seen.error is not None:
        found.append(f"the ledger cannot be read: {seen.error}; shown is its state at {cells.moment(seen.at)}")
    elif silent_s > 5:
        found.append(f"the ledger has not answered for {silent_s:.0f} s; shown is its state at {cells.moment(seen.at)}")
    if server.error is not None:
        found.append(server.error)
    return found
