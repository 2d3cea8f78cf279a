"""The summary of one night: what `regress run --json` prints, and what reports are made of."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import msgspec

from vvbatch.ledger import Ledger
from vvbatch.regress import records
from vvbatch.regress.records import Baseline, Change, Facts, LineResult, LineVerdict, Night
from vvbatch.regress.verdict import VERDICTS, Reason


class Empty(msgspec.Struct, frozen=True):
    """`{}` in JSON: a night without a rendered line has no facts."""


class BaselineSummary(msgspec.Struct, frozen=True, kw_only=True):
    id: str
    take_id: str
    path: str
    sha256: str
    blessed_at: str
    blessed_by: str
    why: str
    facts: Facts


class LineSummary(msgspec.Struct, frozen=True, kw_only=True):
    line: str
    text: str
    verdict: str
    reasons: list[Reason]
    measures: dict[str, float | None]
    take: str | None
    path: str | None
    sha256: str | None
    duration_s: float | None
    baseline: BaselineSummary | None


class Summary(msgspec.Struct, frozen=True, kw_only=True):
    suite: str
    night: str
    profile: str
    batch: str | None
    state: str
    verdict: str | None
    started_at: str
    ended_at: str | None
    counts: dict[str, int]  # of lines, by verdict
    reasons: list[Reason]  # of the night as a whole
    changed: list[Change]
    speed: dict[str, float | int]
    facts: Facts | Empty
    pruned: bool
    lines: list[LineSummary]


def summary(ledger: Ledger, suite: str, night_id: str) -> Summary:
    """Raises UnknownNight."""
    night = records.find_night(ledger, suite, night_id)
    verdicts = records.verdicts_of(ledger, [night.id])[night.id]
    found = records.results(ledger, night.batch_id) if night.batch_id else []
    results = {result.line: result for result in found}
    ids = {each.baseline_id for each in verdicts if each.baseline_id}
    baselines = {each.line: each for each in records.baselines_by_id(ledger, ids).values()}
    return Summary(
        suite=suite,
        night=night.id,
        profile=night.profile,
        batch=night.batch_id,
        state=night.state,
        verdict=night.verdict,
        started_at=night.started_at,
        ended_at=night.ended_at,
        counts={verdict: sum(each.verdict == verdict for each in verdicts) for verdict in VERDICTS},
        reasons=night.reasons or [],
        changed=changes(verdicts, results, baselines),
        speed=night.speed or {},
        facts=night.facts or Empty(),
        pruned=night.pruned_at is not None,
        lines=[line_summary(each, results.get(each.line), baselines.get(each.line)) for each in verdicts],
    )


def line_summary(verdict: LineVerdict, result: LineResult | None, baseline: Baseline | None) -> LineSummary:
    take = result.take if result else None
    text = result.text if result else baseline.text if baseline else ""
    return LineSummary(
        line=verdict.line,
        text=text,
        verdict=verdict.verdict,
        reasons=verdict.reasons,
        measures=verdict.measures,
        take=verdict.take_id,
        path=result.path if result else None,
        sha256=take.sha256 if take else None,
        duration_s=take.duration_s if take else None,
        baseline=msgspec.convert(baseline, BaselineSummary, from_attributes=True) if baseline else None,
    )


def changes(
    verdicts: Iterable[LineVerdict], results: Mapping[str, LineResult], baselines: Mapping[str, Baseline]
) -> list[Change]:
    """The differences of engine, versions, machine and voice files between the night and its baselines, each once."""
    found: list[Change] = []
    for each in verdicts:
        baseline, result = baselines.get(each.line), results.get(each.line)
        if baseline and result and result.facts:
            # Which voices speak and with which parameters is set for each line: that is no fact of the night.
            facts = records.differences(baseline.facts, result.facts)
            facts = [change for change in facts if change.what not in ("voices", "control_hash")]
            found += [change for change in [*facts, *voice_files(baseline.facts, result.facts)] if change not in found]
    return found


def voice_files(then: Facts, now: Facts) -> list[Change]:
    """Voices of one name whose files differ, each with the beginnings of the hashes."""
    both = sorted(then.voices.keys() & now.voices.keys())
    return [
        Change(f"voice {name}", then.voices[name][:12], now.voices[name][:12])
        for name in both
        if then.voices[name] != now.voices[name]
    ]


class HistoryEntry(msgspec.Struct, frozen=True, kw_only=True):
    """An earlier night in `regress report --json`."""

    id: str
    verdict: str | None
    started_at: str
    ended_at: str | None
    speed: dict[str, float | int] | None
    reasons: list[Reason] | None


class Report(Summary, frozen=True, kw_only=True):
    """What `regress report --json` prints."""

    history: list[HistoryEntry]
    missed: list[str]  # due times in UTC


def report(night: Summary, history: Sequence[Night], missed: list[str]) -> Report:
    """`history`: ended nights, oldest first."""
    entries = [msgspec.convert(each, HistoryEntry, from_attributes=True) for each in history]
    return Report(**msgspec.structs.asdict(night), history=entries, missed=missed)
