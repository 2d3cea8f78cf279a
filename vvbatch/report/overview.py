"""The tables of plain `vvbatch status`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from vvbatch.ledger.queries import seconds
from vvbatch.ledger.states import Trouble
from vvbatch.ledger.views import BatchHead, BatchRow, BatchView, Failure, LineView, StatusView
from vvbatch.report.columns import name, number, text
from vvbatch.report.failed import failed_words, remedies
from vvbatch.report.ledger_tables import figure
from vvbatch.report.tables import Fact, below, counted, duration, print_facts, print_table, rate
from vvbatch.report.times import clock, zone_now

if TYPE_CHECKING:
    from vvbatch.processes.supervisor import ProgramState

ALIVE: Mapping[object, str] = {True: "alive", False: "silent"}
LINES_SHOWN = 40
OPEN = ("queued", "rendering", "paused")


def print_overview(seen: StatusView, file: TextIO | None = None) -> None:
    print_facts(overall(seen), file)
    print_batches(seen, file)
    if seen.queues:
        rows: list[list[object]] = [
            [each.profile, each.waiting, each.rendering, each.held, each.paused] for each in seen.queues
        ]
        columns = [name("profile"), number("waiting"), number("rendering"), number("held")]
        print_table([*columns, text("paused", 1)], rows, title="Queues", file=file)
    if seen.workers:
        rows = [
            [
                *(each.worker, each.profile, each.device, each.host, each.pid),
                f"{each.rendering}/{each.slots or '?'}",
                ALIVE.get(each.alive, "unknown"),
            ]
            for each in seen.workers
        ]
        machine = [name("device", 2), name("host", 4), number("pid", 3)]
        columns = [name("worker"), name("profile", 1), *machine, number("slots"), name("heartbeat")]
        print_table(columns, rows, title="Workers", file=file)
    print_failures(seen.failures, file)


def overall(seen: StatusView) -> list[Fact]:
    """The queue's server, the supervisor, what waits for a worker, and the last minutes."""
    server, rates = seen.redis, seen.rates
    facts: list[Fact] = [("queue", f"{server.address} answers" if server.reachable else server.error)]
    if seen.supervisor:
        programs = [program_words(each) for each in seen.supervisor.programs]
        facts += below("supervisor", [f"vvbatch up, process {seen.supervisor.pid}", *programs])
    lost = [f"{counted(count, 'line')} of {profile}" for profile, count in server.lost.items()]
    facts += below("missing", [f"{each} not in the queue; a worker restores them, or vvbatch resume" for each in lost])
    for each in seen.queues:
        if each.waiting and each.served is False:
            facts.append(("waiting", unserved(each.profile, each.waiting)))
    for met in seen.troubles:
        facts.append(("trouble", f"{met.trouble}: {counted(met.lines, 'line')} of {met.profile} {met.state}"))
    if rates.takes:
        pace = f"{rate(rates.takes_per_min or 0)} takes/min, {rate(rates.speed or 0)} x real time"
        facts.append(("last 10 min", f"{counted(rates.takes, 'take')}, {pace}"))
    for night in seen.nights:
        if night.missed:
            due = f"{len(night.missed)} of suite {night.suite}, the last due {night.missed[-1]}"
            facts.append(("missed nights", due))
    return facts


def print_batches(seen: StatusView, file: TextIO | None = None) -> None:
    """Those that are open, then those that have ended, with their audio and speed."""
    if not seen.batches:
        print_facts([("batches", "none yet: vvbatch submit SCRIPT, or vvbatch run SCRIPT")], file)
    is_open = [each for each in seen.batches if each.state in OPEN]
    if is_open:
        rows: list[list[object]] = [
            [each.batch, each.state, progress(each), failed(each), left(each), when(each.created_at), each.priority]
            for each in reversed(is_open)  # in the order of the queue
        ]
        columns = [name("batch"), name("state"), number("lines"), number("failed", 1), number("left")]
        print_table([*columns, name("submitted", 2), name("priority", 3)], rows, title="Open batches", file=file)
    if len(is_open) == len(seen.batches):
        return
    rows = [ended_cells(each, seen) for each in seen.batches if each.state not in OPEN]
    columns = [name("batch"), name("state"), number("lines"), number("failed", 2), name("began", 1), name("ended")]
    columns += [number("audio", 3), number("speed", 4), number("failed takes", 5)]
    print_table(columns, rows, title=f"Ended batches (times in {zone_now()})", file=file)


def ended_cells(batch: BatchRow, seen: StatusView) -> list[object]:
    totals = seen.totals.get(batch.batch)
    began = totals.began_at if totals and totals.began_at else batch.created_at
    made = [None, None, None] if totals is None else [duration(totals.audio_s), times(totals.speed), totals.failed]
    return [batch.batch, batch.state, progress(batch), failed(batch), when(began), when(batch.ended_at), *made]


def progress(batch: BatchRow) -> str:
    """`36/40`: lines with a file, of all."""
    return f"{batch.counts['done'] + batch.counts['cached']:,}/{batch.counts['total']:,}"


def failed(batch: BatchRow) -> int | None:
    return batch.counts["failed"] or None


def times(speed: float | None) -> str | None:
    return None if speed is None else f"{rate(speed)}x"


def when(timestamp: str | None) -> str | None:
    return None if timestamp is None else clock(seconds(timestamp))


def print_failures(failures: Sequence[Failure], file: TextIO | None = None) -> None:
    """The newest failures by batch, each with what helps."""
    by_batch: dict[str, list[Failure]] = {}
    for each in failures:
        by_batch.setdefault(each.batch, []).append(each)
    for batch, failed in by_batch.items():
        print(file=file)
        failed.sort(key=lambda each: each.number)
        facts = below("failed", [f"in {batch}:", *map(failed_words, failed)])
        print_facts([*facts, *remedies(batch, failed)], file)


def trouble_words(line: LineView) -> str | None:
    """`resource 3`: the class of what last went wrong, and how often; a bad take is described by its error."""
    if not line.trouble or line.trouble == Trouble.QC:
        return None
    return f"{line.trouble} {line.troubles.get(line.trouble, '')}".strip()


def unserved(profile: str, count: int) -> str:
    return f"{counted(count, 'line')} for profile {profile}, which has no worker: vvbatch up --workers {profile}"


def program_words(program: ProgramState) -> str:
    """One program that the supervisor keeps running."""
    state = f"runs as process {program.pid}" if program.pid else "waits to be started again"
    ended = f", {counted(program.restarts, 'restart')}, last exit code {program.last_exit}" if program.restarts else ""
    return f"{program.name} {state}{ended}"


def left(batch: BatchHead) -> str | None:
    if batch.state not in ("queued", "rendering"):
        return None
    return "unknown" if batch.eta_s is None else duration(batch.eta_s)


def print_lines(view: BatchView, file: TextIO | None = None) -> None:
    """The lines of a batch that say most: failed and in work first; where to see the rest.

    Parts are listed below their line, whose state is the most urgent one of its parts. Files are named within the
    batch's folder.
    """
    groups = [list(group) for _, group in groupby(view.lines, key=lambda line: line.part_of or line.id)]
    groups.sort(key=lambda group: min(map(urgency, group)))
    folder = str(Path(view.out) / view.batch)
    rows: list[list[object]] = []
    shown = 0
    for group in groups:
        if shown == LINES_SHOWN:
            break
        first = min(group, key=urgency)
        if first.part_of:
            rows.append([first.part_of, first.state, None, None, f"in {counted(len(group), 'part')}"])
        for line in sorted(group, key=urgency)[: LINES_SHOWN - shown]:
            label = f"  {line.id}" if line.part_of else line.id
            made = line.error or (line.path or "").removeprefix(folder).lstrip("/")
            rows.append([label, line.state, figure(line.score, 2), trouble_words(line), made])
            shown += 1
    columns = [name("line"), name("state"), number("score", 2), name("trouble", 1), text("file or error")]
    print_table(columns, rows, file=file)
    if len(view.lines) > shown:
        more = f"vvbatch ledger lines {view.batch} --limit 0"
        print_facts([("", f"and {len(view.lines) - shown:,} more: {more}")], file)


URGENT = ("failed", "rendering", "queued", "cancelled")


def urgency(line: LineView) -> int:
    return URGENT.index(line.state) if line.state in URGENT else len(URGENT)
