"""The ledger's rows of a batch → its report."""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import groupby

import msgspec

from vvbatch.batch_report.document import (
    ChapterSummary,
    LineToHear,
    Master,
    Report,
    Series,
    TakeOfLine,
)
from vvbatch.batch_report.time_spent import time_spent, work_s
from vvbatch.ledger import Ledger
from vvbatch.ledger.batch_takes import KeptLine, MadeTake, checks_of_takes, kept_lines, made_takes, measured
from vvbatch.ledger.books import FileLevels, book_files_of, book_measures
from vvbatch.ledger.queries import batch_row_of, batch_totals, failures
from vvbatch.ledger.states import LineState, TakeState
from vvbatch.ledger.views import CheckView
from vvbatch.qc.check import YES_OR_NO, Check
from vvbatch.qc.sentences import meaning
from vvbatch.qc.text import syllables
from vvbatch.report.failed import remedies
from vvbatch.report.times import when

MOST_CARDS = 150  # lines of each kind that are shown with all about them
WEAKEST = 12
NEAREST = 2  # checks closest to their limits that are named of a line that passed
WHY = ("failed", "rejected", "weakest")
FEWEST_SYLLABLES = 5  # as for the pace of a take: a shorter text has none

TITLES: Mapping[str, str] = {
    "pace": "Seconds a syllable",
    "loudness": "Loudness, LUFS",
    "voice": "Likeness to the voice prompt",
    "background": "Background, 1 (loud) to 5",
    "noise_floor": "Noise floor, dBFS",
    "score": "Score of the checks",
}
"""Measures that are plotted over the book."""

Progress = Callable[[int, int], None]
"""Takes how many of all lines are written."""


def unseen(done: int, total: int) -> None:
    pass


class Gathered(msgspec.Struct, frozen=True):
    """The report, and the lines that its chapters list."""

    report: Report
    lines: Sequence[KeptLine]

    def chapters(self, seen: Progress = unseen) -> Iterator[tuple[ChapterSummary, Sequence[KeptLine]]]:
        """Each is asked for when the one before it is written; `seen` gets the lines that are."""
        groups, written = groupby(self.lines, lambda line: line.chapter), 0
        for summary, (_, mine) in zip(self.report.chapters, groups, strict=True):
            seen(written, len(self.lines))
            yield summary, list(mine)
            written += summary.lines


def gather(ledger: Ledger, batch_id: str) -> Gathered:
    """A few queries for any number of lines. Raises UnknownBatch."""
    batch, totals = batch_row_of(ledger, batch_id), batch_totals(ledger, batch_id)
    lines, takes = kept_lines(ledger, batch_id), made_takes(ledger, batch_id)
    of_line: dict[str, list[MadeTake]] = {}
    for take in takes:
        of_line.setdefault(take.row, []).append(take)
    chosen = to_hear(lines, of_line)
    shown = [(why, line) for why in WHY for line in chosen[why][:MOST_CARDS]]
    judged = {line.row: named for _, line in shown if (named := judged_take(line, of_line.get(line.row, ())))}
    checks = checks_of_takes(ledger, sorted(set(judged.values())))
    report = Report(
        batch=batch_id,
        title=batch.title or batch_id,
        script=batch.script,
        state=batch.state,
        counts=batch.counts,
        out=batch.out,
        created_at=batch.created_at,
        to_hear=[
            card(why, line, of_line.get(line.row, ()), checks.get(judged.get(line.row, ""), ())) for why, line in shown
        ],
        not_shown={why: len(chosen[why]) - MOST_CARDS for why in WHY if len(chosen[why]) > MOST_CARDS},
        remedies=remedies(batch_id, failures(ledger, batch_id, MOST_CARDS)),
        chapters=chapters(lines, of_line),
        time=time_spent(batch, totals, takes),
        masters=masters(ledger, batch_id),
        drift=drift(lines, measured(ledger, batch_id, ("duration_max", "voice", "background", "noise_floor"))),
    )
    return Gathered(report, lines)


def to_hear(lines: Sequence[KeptLine], of_line: Mapping[str, Sequence[MadeTake]]) -> Mapping[str, list[KeptLine]]:
    """The lines that a person should listen to, by why; each is in one list."""
    failed = [line for line in lines if line.state == LineState.FAILED]
    rejected = [
        line
        for line in lines
        if line.state != LineState.FAILED
        and any(take.state == TakeState.REJECTED for take in of_line.get(line.row, ()))
    ]
    others = {line.row for line in (*failed, *rejected)}
    scored = [(line.score, line.number, line) for line in lines if line.score is not None and line.row not in others]
    weakest = heapq.nsmallest(min(WEAKEST, -(-len(scored) // 4)), scored, key=lambda each: each[:2])
    return {"failed": failed, "rejected": rejected, "weakest": [line for *_, line in weakest]}


def judged_take(line: KeptLine, takes: Sequence[MadeTake]) -> str | None:
    """The take whose checks a card shows: the one that is kept, else the last that ended."""
    ended = [take.id for take in takes if take.ended_at]
    return line.take or (ended[-1] if ended else None)


def card(why: str, line: KeptLine, takes: Sequence[MadeTake], checks: Sequence[CheckView]) -> LineToHear:
    return LineToHear(
        id=line.id,
        why=why,
        number=line.number,
        chapter=line.chapter,
        script_line=line.script_line,
        state=line.state,
        written=line.written or line.spoken,
        spoken=line.spoken,
        score=line.score,
        reasons=reasons(why, takes, checks),
        checks=checks,
        takes=[
            TakeOfLine(
                *(take.id, take.state, take.profile, take.seed, take.score, take.duration_s, take.wall_s),
                why=rejection(take) or take.chosen or take.error,
                path=take.path,
                sha256=take.sha256,
            )
            for take in takes
        ],
        path=line.path,
        sha256=line.sha256,
    )


def reasons(why: str, takes: Sequence[MadeTake], checks: Sequence[CheckView]) -> list[str]:
    """Why a line is shown, in words."""
    failed = [check_words(check) for check in checks if not check.ok]
    if failed and why == "failed":
        return failed
    if why == "failed":
        return [take.error for take in takes[-1:] if take.error]
    if why == "rejected":
        return [words for take in takes if (words := rejection(take))]
    if why == "weakest":
        return [
            f"closest to its limit: {check.name} {check.value:.4g}, limit {check.limit:.4g}"
            for check in nearest(checks)
        ]
    return []


def rejection(take: MadeTake) -> str | None:
    """`rejected by mara, 2026-03-01 23:00 CET: wrong stress`."""
    if take.state != TakeState.REJECTED:
        return None
    by = f" by {take.rejected_by}" if take.rejected_by else ""
    at = f", {when(take.rejected_at)}" if take.rejected_at else ""
    return f"rejected{by}{at}{f': {take.rejected_why}' if take.rejected_why else ''}"


def nearest(checks: Sequence[CheckView]) -> list[Check]:
    """The checks that passed with the least room."""
    numbers = [
        Check(check.name, check.value, check.limit, check.ok, check.weight)
        for check in checks
        if isinstance(check.value, int | float) and isinstance(check.limit, int | float)
    ]
    measured = [check for check in numbers if check.name not in YES_OR_NO and check.limit and check.weight]
    return heapq.nsmallest(NEAREST, measured, key=lambda check: check.room)


def check_words(check: CheckView) -> str:
    """What a failed check found, as a sentence that begins with its verb."""
    if isinstance(check.value, int | float) and isinstance(check.limit, int | float):
        return meaning(check.name, check.value, check.limit)
    return f"{check.name} {check.value} (limit {check.limit})"


def chapters(lines: Iterable[KeptLine], of_line: Mapping[str, Sequence[MadeTake]]) -> list[ChapterSummary]:
    found = []
    for number, group in groupby(lines, lambda line: line.chapter):
        mine = list(group)
        states = Counter(line.state for line in mine)
        found.append(
            ChapterSummary(
                number=number,
                title=mine[0].chapter_title,
                lines=len(mine),
                ready=states[LineState.DONE] + states[LineState.CACHED],
                audio_s=round(sum(line.duration_s or 0.0 for line in mine), 3),
                work_s=round(sum(work_s(take) for line in mine for take in of_line.get(line.row, ())), 3),
            )
        )
    return found


def masters(ledger: Ledger, batch_id: str) -> list[Master]:
    levels, unknown = book_measures(ledger, batch_id), FileLevels(None, None)
    found = []
    for file in book_files_of(ledger, batch_id):
        measured = levels.get(file.format, unknown)
        about = (file.path, file.format, file.preset, file.size_bytes, file.duration_s, file.made_at, file.sha256)
        found.append(Master(*about, measured.loudness_lufs, measured.true_peak_dbtp))
    return found


def drift(lines: Sequence[KeptLine], values: Mapping[str, Mapping[str, float]]) -> list[Series]:
    """The measures that two lines or more have. A dialogue has several voices and no place in these."""
    found = []
    for measure, title in TITLES.items():
        voices: dict[str, list[tuple[int, float]]] = {}
        for line in lines:
            if line.take and len(line.voices) == 1 and (value := value_of(line, measure, values)) is not None:
                voices.setdefault(line.voices[0], []).append((line.number, value))
        if sum(map(len, voices.values())) >= 2:
            found.append(Series(measure, title, voices))
    return found


def value_of(line: KeptLine, measure: str, values: Mapping[str, Mapping[str, float]]) -> float | None:
    if measure == "score":
        return line.score
    if measure == "loudness":
        return line.loudness_lufs
    if measure == "pace":
        speech_s, count = values["duration_max"].get(line.take or ""), syllables(line.spoken)
        return round(speech_s / count, 4) if speech_s and count >= FEWEST_SYLLABLES else None
    return values[measure].get(line.take or "")
