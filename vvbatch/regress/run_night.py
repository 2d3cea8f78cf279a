"""Run one night: render the lines of a suite through the queue, measure them against their baselines, judge them."""

from __future__ import annotations

import os
import secrets
import statistics
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field, replace
from pathlib import Path

import msgspec

from vvbatch.batch.plan import Overrides, Plan, digest, make_plan
from vvbatch.batch.submit import slug, submit
from vvbatch.errors import VvbatchError
from vvbatch.home import Home
from vvbatch.ledger import Ledger
from vvbatch.ledger.batches import cancel_lines
from vvbatch.ledger.records import BatchKind
from vvbatch.processes.session import wait_for, workers_for
from vvbatch.regress import records
from vvbatch.regress.baseline import Damaged, folder, samples_of
from vvbatch.regress.records import Baseline, Facts, LineResult, LineVerdict
from vvbatch.regress.retention import prune
from vvbatch.regress.suite import Suite, SuiteError
from vvbatch.regress.verdict import Reason, judge, shared_by, shifts_of, slower, verdict_of, worst
from vvbatch.transport import server
from vvbatch.voices import Library

Show = Callable[[Sequence[str]], AbstractContextManager[Callable[[], None]]]
Count = Callable[[int, int], None]
PRIORITY = "low"


class AlreadyRuns(VvbatchError):
    """Another process is running this suite."""


@dataclass
class Line:
    """A line of the night while it is being judged."""

    result: LineResult
    baseline: Baseline | None
    bits: bool = False  # the samples equal the baseline's
    measures: dict[str, float | None] = field(default_factory=dict)
    details: dict[str, str] = field(default_factory=dict)  # by the name of a reason
    reasons: list[Reason] = field(default_factory=list)
    verdict: str = ""


def run(
    suite: Suite,
    home: Home,
    ledger: Ledger,
    profile: str | None = None,
    show: Show = lambda _: nullcontext(lambda: None),
    count: Count = lambda done, total: None,
) -> str:
    """Render and judge one night; returns its id.

    `profile` overrides that of the suite. `show` displays the progress of batches, `count` that of the comparison.
    KeyboardInterrupt cancels the batch and leaves the night `interrupted`. Raises AlreadyRuns, ScriptError, SuiteError,
    ServerUnreachable, EngineUnavailable.
    """
    with only_one(home, suite.name):
        night_id = f"{slug(suite.name)}-{secrets.token_hex(4)}"
        overrides = Overrides(profile=profile, escalate="none")  # a take of another profile cannot be compared
        plan = uncached(make_plan(suite.script, Library.of(home), overrides), night_id, suite)
        profile = plan.profiles[0]
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
        raise AlreadyRuns(f"suite {suite!r} is being run by another process: wait for it, or stop it")
    try:
        yield
    finally:
        os.close(lock)


def uncached(plan: Plan, night_id: str, suite: Suite) -> Plan:
    """The plan with cache keys that only this night has: its lines are always rendered, and serve no other batch.

    The seeds are derived from the original keys, so they do not change.
    """
    if len(plan.profiles) != 1:
        raise SuiteError(f"{suite.path}: its lines name {', '.join(plan.profiles)}: use one profile, or --model")
    lines = tuple(replace(line, key=digest([line.key, night_id])) for line in plan.lines)
    return replace(plan, title=f"night {night_id}", lines=lines)


def render(plan: Plan, suite: Suite, home: Home, ledger: Ledger, night_id: str, show: Show) -> str:
    """Render the plan at low priority and return its batch id; starts a worker if none is running."""
    with server.own_server(home) as own_server:
        connection = server.connect(home)
        out = folder(home, suite.name) / "nights"
        batch_id = submit(plan, ledger, connection, out, PRIORITY, kind=BatchKind.NIGHT).id
        records.set_batch(ledger, night_id, batch_id)
        with show([batch_id]) as look, workers_for(own_server, connection) as own:
            try:
                wait_for(ledger, [batch_id], own, look)
            except BaseException:  # before the worker is stopped: it would finish its lines
                cancel_lines(ledger, batch_id)
                raise
    return batch_id


def record(suite: Suite, home: Home, ledger: Ledger, night_id: str, profile: str, batch_id: str, count: Count) -> None:
    """Measure and judge a rendered batch, and write the verdicts to the ledger."""
    blessed = records.blessed(ledger, suite.name, profile)
    lines = [Line(result, blessed.get(result.line)) for result in records.results(ledger, batch_id)]
    night_reasons = measure(lines, suite, home, count)
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
    facts = next((line.result.facts for line in lines if line.result.facts), None)
    night_reasons += [*shifts, *slower(speed, earlier_speeds(ledger, suite, profile, facts), suite.settings.speed)]
    verdict = worst([*(line.verdict for line in lines), *(reason.verdict for reason in night_reasons)])
    outcome = records.Outcome(verdict=verdict, reasons=night_reasons, speed=speed, facts=facts)
    records.end(ledger, night_id, outcome, [line_verdict(line, night_id) for line in lines])


def measure(lines: Sequence[Line], suite: Suite, home: Home, count: Count) -> list[Reason]:
    """Fill in the measures of each line; a line that cannot be measured gets its verdict here.

    Returns reasons of the night as a whole.
    """
    from vvbatch import audio
    from vvbatch.listening.contract import ListeningUnavailable
    from vvbatch.regress.compare import compare
    from vvbatch.regress.listening import Pair, compare_by_listening

    pairs = []
    for done, line in enumerate(lines):
        count(done, len(lines))
        result, baseline = line.result, line.baseline
        if not result.path:
            text = f"not rendered: {result.error or 'no reason is recorded'}"
            line.verdict, line.reasons = "worse", [Reason("failed", text, "worse")]
            continue
        if baseline is None or baseline.text != result.text:
            text = "never blessed" if baseline is None else "its text is not the one that was blessed"
            line.verdict, line.reasons = "unblessed", [Reason("unblessed", text, "unblessed")]
            continue
        try:
            before, after = samples_of(baseline), audio.read(Path(result.path))[0]
        except (Damaged, audio.AudioError) as error:
            line.verdict, line.reasons = "worse", [Reason("baseline", str(error), "worse")]
            continue
        found = msgspec.structs.asdict(compare(before, after).rounded())
        line.bits = found.pop("bits")
        found["rate"] = less_one(found["rate"])
        found["spectrum_db"], found["noise_db"] = found.pop("mel_db"), found.pop("floor_db")
        line.measures = found
        if line.measures["loudness_db"] is not None and result.facts:  # of the engine's audio, before the peak limit
            line.measures["loudness_db"] += baseline.facts.gain_db - result.facts.gain_db
        if not line.bits:
            pairs.append(Pair(result.line, result.text, baseline.sha256, Path(baseline.path), before, after))
    try:
        listened = compare_by_listening(pairs, suite.settings.listen, home.cache, count)
    except ListeningUnavailable as error:
        text = f"{len(pairs)} lines differ, and the listening models cannot check them: {error}"
        return [Reason("not heard", text, "worse")]
    for line in lines:
        if found_by_models := listened.get(line.result.line):
            line.measures.update(found_by_models.measures)
            line.details.update(found_by_models.details)
    return []


def less_one(ratio: float | None) -> float | None:
    return None if ratio is None else round(ratio - 1, 4)


def reasons_of(line: Line, suite: Suite) -> list[Reason]:
    assert line.baseline is not None and line.result.facts is not None
    then, now = line.baseline.facts, line.result.facts
    exact = not records.differences(then, now)
    seeds = then.seed, now.seed
    found = judge(line.measures, suite.settings.limits, bits=line.bits, exact=exact, seeds=seeds)
    return [
        msgspec.structs.replace(reason, text=f"{reason.text} ({more})")
        if (more := line.details.get(reason.name))
        else reason
        for reason in found
    ]


def medians(lines: Sequence[Line]) -> dict[str, float]:
    """Over the takes of the night: median RTF and seconds to the first chunk, largest memory of a worker in bytes."""
    takes = [line.result.take for line in lines if line.result.take]
    found = {}
    for name in ("rtf", "first_chunk_s"):
        if values := [value for take in takes if (value := getattr(take, name)) is not None]:
            found[name] = round(statistics.median(values), 4)
    if peaks := [take.peak_bytes for take in takes if take.peak_bytes]:
        found["peak_bytes"] = max(peaks)
    return found


def earlier_speeds(ledger: Ledger, suite: Suite, profile: str, facts: Facts | None) -> list[dict[str, float]]:
    """The medians of earlier nights on the same machine and device with as many slots, newest first."""
    here = machine_of(facts)
    ended = [each for each in records.history(ledger, suite.name, profile, limit=60) if each.state == "ended"]
    return [each.speed for each in ended if each.speed and machine_of(each.facts) == here]


def machine_of(facts: Facts | None) -> tuple[object, ...]:
    """Host, processor, device, and slots: a take's RTF grows with the lines that are rendered at the same time."""
    if facts is None:
        return ()
    return facts.machine.get("host"), facts.machine.get("cpu"), facts.device, facts.details.get("slots")


def line_verdict(line: Line, night_id: str) -> LineVerdict:
    return LineVerdict(
        night_id=night_id,
        position=line.result.position,
        line=line.result.line,
        take_id=line.result.take.id if line.result.take else None,
        baseline_id=line.baseline.id if line.baseline else None,
        verdict=line.verdict,
        reasons=line.reasons,
        measures={name: round(value, 4) if value is not None else None for name, value in line.measures.items()},
    )
