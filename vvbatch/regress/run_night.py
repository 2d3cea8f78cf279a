"""A night: the suite's lines are rendered anew through the queue, measured against their baselines, and judged."""

from __future__ import annotations

import os
import secrets
import statistics
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from vvbatch.batch.plan import Plan, Wishes, digest, make_plan
from vvbatch.batch.submit import slug, submit
from vvbatch.home import Home
from vvbatch.ledger import Ledger
from vvbatch.processes.session import wait_for, workers_for
from vvbatch.regress import records
from vvbatch.regress.baseline import Damaged, folder, samples_of
from vvbatch.regress.records import LineResult
from vvbatch.regress.retention import prune
from vvbatch.regress.suite import Suite, SuiteError
from vvbatch.regress.verdict import Reason, judge, shared_by, shifts_of, slower, verdict_of, worst
from vvbatch.transport import server
from vvbatch.voices import Library

Show = Callable[[Sequence[str]], AbstractContextManager[Callable[[], None]]]
Count = Callable[[int, int], None]
PRIORITY = "low"


class AlreadyRuns(Exception):
    """Another process runs this suite now."""


@dataclass
class Line:
    """A line on its way to its verdict."""

    result: LineResult
    baseline: Mapping[str, Any] | None
    bits: bool = False
    measures: dict[str, float | None] = field(default_factory=dict)
    told: dict[str, str] = field(default_factory=dict)
    reasons: list[Reason] = field(default_factory=list)
    verdict: str = ""


def run(
    suite: Suite,
    home: Home,
    ledger: Ledger,
    model: str | None = None,
    show: Show = lambda _: nullcontext(lambda: None),
    count: Count = lambda done, total: None,
) -> str:
    """Render and judge one night; returns its id. Raises AlreadyRuns, ScriptError, SuiteError, ServerUnreachable,
    EngineUnavailable.

    KeyboardInterrupt leaves the night `interrupted`, its batch cancelled.
    """
    with only_one(home, suite.name):
        night_id = f"{slug(suite.name)}-{secrets.token_hex(4)}"
        wishes = Wishes(model=model, escalate="none")  # another model's take would be no take of this one
        plan = rendered_anew(make_plan(suite.script, Library.of(home), wishes), night_id, suite)
        profile = plan.models[0]
        records.begin(ledger, night_id, suite.name, profile)
        try:
            batch_id = render(plan, suite, home, ledger, night_id, show)
            record(suite, home, ledger, night_id, profile, batch_id, count)
        except BaseException:
            records.interrupt(ledger, night_id)
            raise
        prune(ledger, home, suite)
        return night_id


@contextmanager
def only_one(home: Home, suite: str) -> Iterator[None]:
    path = folder(home, suite)
    path.mkdir(parents=True, exist_ok=True)
    lock = server.try_lock(path / "running.lock")
    if lock is None:
        raise AlreadyRuns(f"suite {suite!r} is being run by another process: wait for it, or end it")
    try:
        yield
    finally:
        os.close(lock)


def rendered_anew(plan: Plan, night_id: str, suite: Suite) -> Plan:
    """The plan with keys of its own: no take of another night serves a line, and no line of a script this night's.

    Seeds were made from the keys before, so they stay.
    """
    if len(plan.models) != 1:
        raise SuiteError(
            f"{suite.path}: its lines name {', '.join(plan.models)}: a suite has one model, or use --model"
        )
    lines = tuple(replace(line, key=digest([line.key, night_id])) for line in plan.lines)
    return replace(plan, title=f"night {night_id}", lines=lines)


def render(plan: Plan, suite: Suite, home: Home, ledger: Ledger, night_id: str, show: Show) -> str:
    """Through the queue, behind everything else; starts a worker where none runs."""
    with server.own_server(home) as own_server:
        connection = server.connect(home)
        out = folder(home, suite.name) / "nights"
        batch_id = submit(plan, ledger, connection, out, PRIORITY).batch_id
        records.has_batch(ledger, night_id, batch_id)
        try:
            with show([batch_id]) as look, workers_for(own_server, connection) as own:
                wait_for(ledger, [batch_id], own, look)
        except BaseException:
            ledger.cancel(batch_id)
            raise
    return batch_id


def record(suite: Suite, home: Home, ledger: Ledger, night_id: str, profile: str, batch_id: str, count: Count) -> None:
    """Measure, listen, judge; write the verdicts."""
    blessed = records.blessed(ledger, suite.name, profile)
    lines = [Line(result, blessed.get(result.line)) for result in records.results(ledger, batch_id)]
    own_reasons = measure(lines, suite, home, count)
    for line in lines:
        if line.verdict:
            continue
        line.reasons = reasons_of(line, suite)
        line.verdict = verdict_of(line.reasons, bits=line.bits)
    compared = [line for line in lines if line.measures]
    shifts = shifts_of([line.measures for line in compared], suite.settings.shifts)
    for line in compared:
        shared = shared_by(line.measures, shifts)
        explained = {reason.name for reason in shared} | ({"rendition", "bits"} if shared else set())
        line.reasons = shared + [reason for reason in line.reasons if reason.name not in explained]
        line.verdict = verdict_of(line.reasons, bits=line.bits)
    speed = medians(lines)
    facts = next((dict(line.result.facts) for line in lines if line.result.facts), {})
    own_reasons += [*shifts, *slower(speed, earlier_speeds(ledger, suite, profile, facts), suite.settings.speed)]
    found = {
        "verdict": worst([*(line.verdict for line in lines), *(reason.verdict for reason in own_reasons)]),
        "reasons": [reason.as_json() for reason in own_reasons],
        "speed": speed,
        "facts": facts,
    }
    records.end(ledger, night_id, found, [row_of(line) for line in lines])


def measure(lines: Sequence[Line], suite: Suite, home: Home, count: Count) -> list[Reason]:
    """Fill in what is measured; what cannot be is judged at once. Returns reasons of the night as a whole."""
    from vvbatch import audio
    from vvbatch.listening import EarsUnavailable
    from vvbatch.regress.compare import compare
    from vvbatch.regress.listening import Pair, hear

    pairs = []
    for done, line in enumerate(lines):
        count(done, len(lines))
        result, baseline = line.result, line.baseline
        if not result.path:
            told = f"not rendered: {result.error or 'no reason is known'}"
            line.verdict, line.reasons = "worse", [Reason("failed", told, "worse")]
            continue
        if baseline is None or baseline["text"] != result.text:
            told = "never blessed" if baseline is None else "its text is not the one that was blessed"
            line.verdict, line.reasons = "unblessed", [Reason("unblessed", told, "unblessed")]
            continue
        try:
            before, after = samples_of(baseline), audio.read(Path(result.path))[0]
        except (Damaged, audio.AudioError) as error:
            line.verdict, line.reasons = "worse", [Reason("baseline", str(error), "worse")]
            continue
        found = compare(before, after).as_json()
        line.bits = found.pop("bits")
        found["rate"] = less_one(found["rate"])
        found["spectrum_db"], found["noise_db"] = found.pop("mel_db"), found.pop("floor_db")
        line.measures = found
        if line.measures["loudness_db"] is not None:  # of what the engine gave, before its peak was brought down
            line.measures["loudness_db"] += baseline["facts"]["gain_db"] - result.facts["gain_db"]
        if not line.bits:
            pairs.append(Pair(result.line, result.text, baseline["sha256"], Path(baseline["path"]), before, after))
    try:
        heard = hear(pairs, suite.settings.listen, home.cache, count)
    except EarsUnavailable as error:
        told = f"{len(pairs)} lines differ, and cannot be listened to: {error}"
        return [Reason("not heard", told, "worse")]
    for line in lines:
        if line.result.line in heard:
            line.measures.update(heard[line.result.line].measures)
            line.told.update(heard[line.result.line].told)
    return []


def less_one(ratio: float | None) -> float | None:
    return None if ratio is None else round(ratio - 1, 4)


def reasons_of(line: Line, suite: Suite) -> list[Reason]:
    assert line.baseline is not None
    then, now = line.baseline["facts"], line.result.facts
    exact = not records.differences(then, now)
    seeds = then["seed"], now["seed"]
    found = judge(line.measures, suite.settings.limits, bits=line.bits, exact=exact, seeds=seeds)
    return [
        replace(reason, text=f"{reason.text} ({more})") if (more := line.told.get(reason.name)) else reason
        for reason in found
    ]


def medians(lines: Sequence[Line]) -> dict[str, float]:
    """Over the night's takes: RTF and seconds to the first chunk; the most memory that a worker held."""
    takes = [line.result.take for line in lines if line.result.take]
    found = {}
    for name in ("rtf", "first_chunk_s"):
        if values := [take[name] for take in takes if take[name] is not None]:
            found[name] = round(statistics.median(values), 4)
    if peaks := [peak for take in takes if (peak := (take["metrics"] or {}).get("peak_bytes"))]:
        found["peak_bytes"] = max(peaks)
    return found


def earlier_speeds(ledger: Ledger, suite: Suite, profile: str, facts: Mapping[str, Any]) -> list[Mapping[str, float]]:
    """Of the nights before, on the same machine and device."""
    here = place(facts)
    rows = records.history(ledger, suite.name, profile, limit=60)
    return [row["speed"] for row in rows if row["state"] == "ended" and row["speed"] and place(row["facts"]) == here]


def place(facts: Mapping[str, Any] | None) -> tuple[Any, ...]:
    machine = (facts or {}).get("machine") or {}
    return machine.get("host"), machine.get("cpu"), (facts or {}).get("device")


def row_of(line: Line) -> dict[str, Any]:
    return {
        "position": line.result.position,
        "line": line.result.line,
        "take_id": line.result.take.get("id"),
        "baseline_id": line.baseline["id"] if line.baseline else None,
        "verdict": line.verdict,
        "reasons": [reason.as_json() for reason in line.reasons],
        "measures": {name: round(value, 4) if value is not None else None for name, value in line.measures.items()},
    }
