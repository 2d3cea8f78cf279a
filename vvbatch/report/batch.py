"""A batch before it begins (what it will cost) and after it ended (what was made, what failed, where the files are)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from vvbatch.ledger import Ledger
from vvbatch.ledger.queries import batch_totals, failures, seconds
from vvbatch.ledger.views import BatchView, Totals
from vvbatch.report.columns import name, number, text
from vvbatch.report.failed import failed_words, remedies
from vvbatch.report.tables import Fact, below, counted, duration, print_facts, print_table, printable, rate
from vvbatch.report.times import moment

if TYPE_CHECKING:  # `status` starts quicker without what planning needs
    from vvbatch.batch.deadline import Choice, Deadline
    from vvbatch.batch.estimate import Estimate, SpokenLine, WarningView
    from vvbatch.speech_text.candidates import Candidate

FAILURES_SHOWN = 10


def print_summary(ledger: Ledger, view: BatchView, file: TextIO | None = None, *, waiting: Sequence[str] = ()) -> None:
    """Counts, why it waits, when it was made, audio, speed, failures with their reasons, and where the files are."""
    totals = batch_totals(ledger, view.batch)
    facts: list[Fact] = [
        ("batch", view.batch),
        ("script", view.script),
        ("state", view.state),
        ("lines", line_counts(view.counts)),
        *below("waiting", waiting),
        *times(view, totals),
        ("audio", duration(totals.audio_s)),
    ]
    if totals.speed:
        facts.append(("speed", f"{rate(totals.speed)} x real time: {made_in(totals)}"))
    if totals.failed:
        facts.append(("takes", f"{totals.takes:,}, of which {totals.failed:,} failed"))
    if view.counts["failed"]:
        facts += failed_facts(ledger, view.batch, view.counts["failed"])
    facts.append(("files", Path(view.out) / view.batch))
    print_facts(facts, file)


def times(view: BatchView, totals: Totals) -> list[Fact]:
    """When the batch began (or was submitted, while it has not begun) and ended, or will end, in local time."""
    began = totals.began_at or view.created_at
    facts: list[Fact] = [("began" if totals.began_at else "submitted", moment(began))]
    if view.ended_at:
        took = seconds(view.ended_at) - seconds(began)
        facts.append(("ended", f"{moment(view.ended_at)}, after {duration(max(0.0, took))}"))
    elif view.eta_s:
        end = datetime.now(UTC) + timedelta(seconds=view.eta_s)
        facts.append(("ends", f"about {moment(end.isoformat())}, in {duration(view.eta_s)}"))
    return facts


def made_in(totals: Totals) -> str:
    return f"{duration(totals.rendered_s)} of audio in {duration(totals.wall_s)}"


def failed_facts(ledger: Ledger, batch_id: str, count: int) -> list[Fact]:
    """The first failed lines, where the others are, and what helps."""
    shown = failures(ledger, batch_id, FAILURES_SHOWN)
    words = [failed_words(row) for row in shown]
    if count > len(shown):
        words.append(f"and {count - len(shown):,} more: vvbatch ledger lines {batch_id} --state failed")
    return [*below("failed", words), *remedies(batch_id, shown)]


def line_counts(counts: Mapping[str, int]) -> str:
    """`9, all done`, or `12: 10 done, 2 failed`."""
    states = [name for name in counts if name != "total" and counts[name]]
    if len(states) == 1:
        return f"{counts['total']:,}, {'all ' if counts['total'] > 1 else ''}{states[0]}"
    return f"{counts['total']:,}: {count_words(counts)}"


def count_words(counts: Mapping[str, int]) -> str:
    """`10 done, 2 cached`, without the states that no line has."""
    names = [name for name in counts if name != "total" and counts[name]]
    return ", ".join(f"{counts[name]:,} {name}" for name in names) or "none"


CHAPTERS_SHOWN, WARNINGS_SHOWN, PLACES_SHOWN = 12, 20, 8


def chapter_facts(titles: Sequence[str]) -> list[Fact]:
    """A row for each of the first chapters, if any has a title."""
    rows = [title or "(without a title)" for title in titles[:CHAPTERS_SHOWN]] if any(titles) else []
    if rows and len(titles) > CHAPTERS_SHOWN:
        rows.append(f"and {len(titles) - CHAPTERS_SHOWN:,} more")
    return below("chapters", rows)


def print_warnings(warnings: Sequence[WarningView], *, shown: int = WARNINGS_SHOWN, file: TextIO | None = None) -> None:
    """What may be a mistake in a script, with place and remedy: one of each kind, and how often there are others.

    The last line counts the kinds that are not shown.
    """
    kinds: dict[tuple[str, str], list[WarningView]] = {}
    for warning in warnings:
        kinds.setdefault((warning.file, warning.code), []).append(warning)
    for (path, code), alike in list(kinds.items())[:shown]:
        first = alike[0]
        print(printable(f"{path}:{first.line}:{first.column}: warning: {first.message}; {first.remedy}"), file=file)
        if len(alike) > 1:
            places = ", ".join(f"{other.line}" for other in alike[1 : 1 + PLACES_SHOWN])
            more = ", …" if len(alike) > 1 + PLACES_SHOWN else ""
            print(f"  and {len(alike) - 1:,} more of this kind ({code}): line {places}{more}", file=file)
    if len(kinds) > shown:
        print(f"… and {counted(len(kinds) - shown, 'more kind')} of warnings", file=file)


def print_spoken(lines: Sequence[SpokenLine], file: TextIO | None = None) -> None:
    """What each line says; below it what was written, where that differs."""
    for line in lines:
        print(printable(f"{line.id}  {line.spoken}"), file=file)
        if line.written != line.spoken:
            print(printable(f"{' ' * len(line.id)}  written: {line.written}"), file=file)


def print_candidates(found: Sequence[Candidate], file: TextIO | None = None) -> None:
    if found:
        words = ", ".join(f"{each.word} ({each.why}, {each.count:,} x)" for each in found)
        remedy = "vvbatch lexicon add WORD SAY, or pronounce: in the script"
        print_facts(below("pronounce?", [words, remedy]), file)


def parts_and_chapters(checked: Estimate) -> str:
    """`in 3 chapters`; of lines that are divided, `in 31 parts and 3 chapters`."""
    chapters = counted(checked.chapters, "chapter")
    return f"in {chapters}" if checked.parts == checked.lines else f"in {checked.parts:,} parts and {chapters}"


def print_estimate(checked: Estimate, file: TextIO | None = None) -> None:
    """What `vvbatch check` found out about one script: `vvbatch.batch.estimate.estimate`."""
    print_facts(
        [
            ("script", checked.script),
            ("title", checked.title),
            (
                "lines",
                f"{checked.lines:,} {parts_and_chapters(checked)}, {checked.characters:,} characters",
            ),
            *chapter_facts(checked.chapter_titles),
            ("to render", f"{checked.to_render:,}, and {checked.cached:,} are there already"),
            ("voices", ", ".join(f"{name} ({counted(count, 'line')})" for name, count in checked.voices.items())),
            *[("not golden", f"{counted(len(checked.not_golden), 'line')}: {', '.join(checked.not_golden[:5])}")][
                : len(checked.not_golden)
            ],
            *[("if they fail", f"to {profile}: {counted(n, 'line')}") for profile, n in checked.may_escalate.items()],
        ],
        file,
    )
    unit = "lines" if checked.parts == checked.lines else "parts"
    rows = [
        [each.profile, each.lines, duration(each.audio_s), duration(each.wall_s), each.title] for each in checked.models
    ]
    columns = [name("profile"), number(unit), number("audio"), number("time"), text("title", 1)]
    print_table(columns, rows, file=file)
    print_facts(when_ready(checked), file)
    print_candidates(checked.candidates, file)
    print_warnings(checked.warnings, file=file)


def when_ready(checked: Estimate) -> list[Fact]:
    """What is queued before it, and how to measure a speed that is not known."""
    facts: list[Fact] = []
    for each in checked.models:
        if each.queued_before and each.lines:
            queue = f"{counted(each.queued_before, 'line')} for {each.profile} before it"
            facts.append(("queued", f"{queue}; ready in {duration(each.ready_s)}"))
        if each.lines and each.wall_s is None:
            facts.append(("time", f"unknown until {each.profile} was measured: vvbatch warmup {each.profile}"))
    return facts


def print_deadline(by: Deadline, file: TextIO | None = None) -> None:
    """Whether it is ready in time, and when it would be with each profile."""
    at = moment(by.at)
    if by.ready_at is None:
        verdict = "unknown: the speed of a profile is not known"
    else:
        verdict = f"{'yes' if by.ready else 'no'}: ready {moment(by.ready_at)}"
    print_facts([(f"by {at}?", verdict)], file)
    rows = [
        [each.profile, each.takes, duration(each.wall_s), each.ready_at and moment(each.ready_at), fits(each)]
        for each in by.choices
    ]
    columns = [name("all lines with"), number("takes"), number("time"), name("ready"), text("in time")]
    print_table(columns, rows, title="By profile", file=file)


def fits(choice: Choice) -> str:
    return f"unknown: vvbatch warmup {choice.profile}" if choice.fits is None else "yes" if choice.fits else "no"
