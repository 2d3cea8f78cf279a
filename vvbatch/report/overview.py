"""The tables of plain `vvbatch status`."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import groupby
from typing import TYPE_CHECKING, TextIO

from vvbatch.ledger.views import BatchHead, BatchView, LineView, StatusView
from vvbatch.report.batch import count_words
from vvbatch.report.ledger_tables import figure, when
from vvbatch.report.tables import counted, duration, print_facts, print_table, rate

if TYPE_CHECKING:
    from vvbatch.processes.supervisor import ProgramState

ALIVE: Mapping[object, str] = {True: "alive", False: "silent"}
LINES_SHOWN = 40


def print_overview(seen: StatusView, file: TextIO | None = None) -> None:
    server, rates = seen.redis, seen.rates
    facts: list[tuple[str, object]] = [("queue", f"{server.address} answers" if server.reachable else server.error)]
    if seen.supervisor:
        facts.append(("supervisor", f"vvbatch up, process {seen.supervisor.pid}"))
        facts += [("", program_words(each)) for each in seen.supervisor.programs]
    for profile, count in server.lost.items():
        missing = f"{counted(count, 'line')} of {profile}"
        facts.append(("", f"missing in the queue: {missing}; a worker restores them, or vvbatch resume"))
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
            text = f"{len(night.missed)} of suite {night.suite}, the last due {night.missed[-1]}"
            facts.append(("missed nights", text))
    print_facts(facts, file)
    rows: list[list[object]]
    if seen.batches:
        rows = [
            [each.batch, each.state, count_words(each.counts), left(each), when(each.created_at)]
            for each in seen.batches
        ]
        print_table(["batch", "state", "lines", ">left", "created"], rows, title="Batches", file=file)
    else:
        print_facts([("batches", "none yet: vvbatch submit SCRIPT, or vvbatch run SCRIPT")], file)
    if seen.queues:
        rows = [
            [
                each.profile,
                each.waiting,
                server.waiting.get(each.profile),
                each.rendering,
                each.held,
                each.paused,
            ]
            for each in seen.queues
        ]
        print_table(["profile", ">waiting", ">jobs", ">rendering", ">held", "paused"], rows, title="Queues", file=file)
    if seen.workers:
        rows = [
            [
                each.worker,
                each.profile,
                each.device,
                each.host,
                each.pid,
                each.rendering,
                ALIVE.get(each.alive, "unknown"),
            ]
            for each in seen.workers
        ]
        columns = ["worker", "profile", "device", "host", ">pid", ">rendering", "heartbeat"]
        print_table(columns, rows, title="Workers", file=file)
    if seen.failures:
        rows = [[when(each.at), each.batch, each.line, each.error] for each in seen.failures]
        print_table(["when", "batch", "line", "error"], rows, title="Newest failures", file=file)


def trouble_words(line: LineView) -> str | None:
    """`resource 3`: the class of what last went wrong, and how often."""
    if not line.trouble:
        return None
    return f"{line.trouble} {line.troubles.get(line.trouble, '')}".strip()


def unserved(profile: str, count: int) -> str:
    return f"{counted(count, 'line')} for profile {profile}, which has no worker: vvbatch up --workers {profile}"


def program_words(program: ProgramState) -> str:
    """One program that the supervisor keeps running."""
    state = f"runs as process {program.pid}" if program.pid else "waits to be started again"
    ended = f", {program.restarts} restarts, last exit code {program.last_exit}" if program.restarts else ""
    return f"{program.name} {state}{ended}"


def left(batch: BatchHead) -> str | None:
    if batch.state not in ("queued", "rendering"):
        return None
    return "unknown" if batch.eta_s is None else duration(batch.eta_s)


def print_lines(view: BatchView, file: TextIO | None = None) -> None:
    """The lines of a batch that say most: failed and in work first; where to see the rest.

    Parts stand below their line, whose state is the most urgent one of its parts.
    """
    groups = [list(group) for _, group in groupby(view.lines, key=lambda line: line.part_of or line.id)]
    groups.sort(key=lambda group: min(map(urgency, group)))
    print_facts([("waiting", unserved(profile, count)) for profile, count in (view.unserved or {}).items()], file)
    rows: list[list[object]] = []
    shown = 0
    for group in groups:
        if shown == LINES_SHOWN:
            break
        first = min(group, key=urgency)
        if first.part_of:
            rows.append([first.part_of, first.state, None, None, f"in {counted(len(group), 'part')}"])
        for line in sorted(group, key=urgency)[: LINES_SHOWN - shown]:
            name = f"  {line.id}" if line.part_of else line.id
            rows.append([name, line.state, figure(line.score, 2), trouble_words(line), line.error or line.path or ""])
            shown += 1
    print_table(["line", "state", ">score", "trouble", "file or error"], rows, file=file)
    if len(view.lines) > shown:
        more = f"vvbatch ledger lines {view.batch} --limit 0"
        print_facts([("", f"and {len(view.lines) - shown:,} more: {more}")], file)


URGENT = ("failed", "rendering", "queued", "cancelled")


def urgency(line: LineView) -> int:
    return URGENT.index(line.state) if line.state in URGENT else len(URGENT)
