"""Verdicts from measures: same, equivalent, changed or worse, each with its reasons.

On the baseline's machine and versions the samples must be equal bit for bit. Elsewhere the limits on the measured
differences decide. A shift of the whole night that is too small to show on one line is found by the median over its
lines.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import msgspec

from vvbatch.regress.suite import Limit, Limits, Shifts, Speed

VERDICTS = ("same", "equivalent", "changed", "unblessed", "worse")
"""From best to worst."""
MAD_TO_SIGMA = 1.4826  # of a normal distribution
MEDIAN_ERROR = 1.2533  # the standard error of a median over that of a mean
SURE = 3.0  # standard errors by which a night's median must differ from 0
FEWEST_LINES = 3


class Reason(msgspec.Struct, frozen=True):
    """Why a line or a night differs from its baseline; `verdict` is the verdict for this reason alone."""

    name: str
    text: str
    verdict: str
    value: float | int | str | None = None
    limit: float | None = None


def percent(more: str, less: str) -> Callable[[float], str]:
    return lambda value: f"{abs(100 * value):.1f} % {more if value > 0 else less}"


def amount(unit: str, more: str, less: str) -> Callable[[float], str]:
    return lambda value: f"{abs(value):.2g} {unit} {more if value > 0 else less}"


@dataclass(frozen=True)
class Measure:
    """The name, limit and description of a measured value. `one_sided`: only an increase counts."""

    name: str
    limit: str  # the field of Limits
    describe: Callable[[float], str]
    one_sided: bool = False


MEASURES: Mapping[str, Measure] = {
    "missing_s": Measure("cut", "missing_s", lambda value: f"the last {value:.2f} s of the speech are cut", True),
    "words": Measure("words", "words", lambda value: f"word errors up by {100 * value:.0f} %", True),
    "voice": Measure(
        "voice", "voice", lambda value: f"another voice: similarity to the baseline {1 - value:.2f}", True
    ),
    "pitch_semitones": Measure("pitch", "pitch_semitones", amount("semitones", "higher", "lower")),
    "rate": Measure("rate", "rate", percent("faster", "slower")),
    "loudness_db": Measure("loudness", "loudness_db", amount("dB", "louder", "quieter")),
    "added_s": Measure("added", "added_s", lambda value: f"{value:.2f} s of sound after the end", True),
    "pause_s": Measure("pause", "pause_s", lambda value: f"the longest pause is {value:.2f} s longer", True),
    "noise_db": Measure("noise", "noise_db", lambda value: f"the background is {value:.1f} dB louder", True),
    "naturalness": Measure("naturalness", "naturalness", lambda value: f"{value:.2f} points less natural", True),
    "background": Measure(
        "background", "background", lambda value: f"the background is {value:.2f} points worse", True
    ),
    "music": Measure("music", "music", lambda value: f"music in {100 * value:.0f} % more of the time", True),
    "pitch_range_semitones": Measure(
        "intonation", "pitch_range_semitones", amount("semitones", "more pitch range", "less pitch range")
    ),
    "spectrum_db": Measure("spectrum", "spectrum_db", lambda value: f"{value:.1f} dB apart after alignment", True),
}
"""In the order in which reasons are listed: the most specific first."""

CONSEQUENCES = {"spectrum", "intonation", "noise", "loudness", "pitch", "rate", "naturalness", "background"}
"""Measures that a cut changes as a side effect: not reported for a line that is cut."""


def worst(verdicts: Iterable[str]) -> str:
    return max(verdicts, key=VERDICTS.index, default="same")


def judge(
    measures: Mapping[str, float | None], limits: Limits, *, bits: bool, exact: bool, seeds: tuple[int, int]
) -> list[Reason]:
    """The reasons why a line differs from its baseline; none if it is equal bit for bit.

    `measures` by the keys of MEASURES, None where nothing could be measured. `bits`: the samples are equal. `exact`:
    machine and versions are the baseline's, so the samples should be equal. `seeds`: the baseline's, the take's.
    """
    if bits:
        return []
    reasons = [
        Reason(measure.name, measure.describe(value), verdict, round(value, 4), limit)
        for key, measure in MEASURES.items()
        if (value := measures.get(key)) is not None
        for verdict, limit in [beyond(value, getattr(limits, measure.limit), measure.one_sided)]
        if verdict
    ]
    if any(reason.name == "cut" for reason in reasons):
        reasons = [reason for reason in reasons if reason.name not in CONSEQUENCES]
    reasons = named_as_voice(reasons)
    if seeds[0] != seeds[1]:
        text = f"rendered with seed {seeds[1]}, the baseline has {seeds[0]}"
        reasons.append(Reason("seed", text, "changed", str(seeds[1])))
    # A changed spectrum is a reason of its own only if nothing else explains it.
    plain = [reason for reason in reasons if reason.name == "spectrum" and reason.verdict == "changed"]
    for reason in plain:
        reasons.remove(reason)
        if not reasons:
            text = f"another rendition, as with another seed: {reason.text}; words, voice, pace and level are the same"
            reasons.append(Reason("rendition", text, "changed", reason.value, reason.limit))
    if exact and not reasons:
        text = (
            "the samples differ, although machine, versions and seed are the baseline's: the engine is not repeatable"
        )
        reasons.append(Reason("bits", text, "changed"))
    return reasons


def named_as_voice(reasons: list[Reason]) -> list[Reason]:
    """A worse spectrum together with another pitch is reported as another voice, even without a speaker model."""
    by_name = {reason.name: reason for reason in reasons}
    spectrum, pitch = by_name.get("spectrum"), by_name.get("pitch")
    if spectrum is None or spectrum.verdict != "worse" or pitch is None or "voice" in by_name:
        return reasons
    text = f"another voice: {pitch.text}, {spectrum.text}"
    rest = [reason for reason in reasons if reason.name not in ("spectrum", "pitch", "intonation")]
    return [Reason("voice", text, "worse", spectrum.value, spectrum.limit), *rest]


def beyond(value: float, limit: Limit, one_sided: bool) -> tuple[str | None, float | None]:
    size = value if one_sided else abs(value)
    for verdict, allowed in (("worse", limit.worse), ("changed", limit.changed)):
        if allowed is not None and size > allowed:
            return verdict, allowed
    return None, None


def verdict_of(reasons: Sequence[Reason], *, bits: bool) -> str:
    if bits:
        return "same"
    return worst(["equivalent", *(reason.verdict for reason in reasons)])


def shifts_of(lines: Sequence[Mapping[str, float | None]], shifts: Shifts) -> list[Reason]:
    """Shifts that all lines of a night share: the median is over its limit, and over SURE standard errors.

    The standard error of a median is MEDIAN_ERROR times that of a mean, for normally distributed values.
    """
    found = []
    for key in Shifts.__struct_fields__:
        limit: float | None = getattr(shifts, key)
        values = [value for line in lines if (value := line.get(key)) is not None]
        if limit is None or len(values) < FEWEST_LINES:
            continue
        middle, deviation = median_and_deviation(values)
        measure = MEASURES[key]
        size = middle if measure.one_sided else abs(middle)
        if size > limit and size > SURE * MEDIAN_ERROR * deviation / len(values) ** 0.5:
            text = (
                f"the whole night: {measure.describe(middle)} (median of {len(values)} lines, spread {deviation:.2g})"
            )
            found.append(Reason(measure.name, text, "worse", round(middle, 4), limit))
    return found


def shared_by(line: Mapping[str, float | None], shifts: Sequence[Reason]) -> list[Reason]:
    """The shifts of the night that a line has at least half of."""
    parts = []
    for shift in shifts:
        key = next(key for key, measure in MEASURES.items() if measure.name == shift.name)
        value = line.get(key)
        if value is not None and isinstance(shift.value, float) and value / shift.value >= 0.5:
            text = f"{MEASURES[key].describe(value)}, with the whole night"
            parts.append(Reason(shift.name, text, shift.verdict, round(value, 4), shift.limit))
    return parts


def median_and_deviation(values: Sequence[float]) -> tuple[float, float]:
    """The median, and the median absolute deviation scaled to a standard deviation (MAD_TO_SIGMA)."""
    middle = statistics.median(values)
    return middle, MAD_TO_SIGMA * statistics.median(abs(value - middle) for value in values)


SPEEDS = {
    "rtf": ("speed", "RTF", 1.0, ""),
    "first_chunk_s": ("first chunk", "first chunk after", 1.0, " s"),
    "peak_bytes": ("memory", "memory", 1e-6, " MB"),
}


def slower(now: Mapping[str, float], before: Sequence[Mapping[str, float]], limits: Speed) -> list[Reason]:
    """Where the medians of this night exceed those of earlier nights by more than `spreads` and by `share`.

    `now` and each of `before` by the keys of SPEEDS: real-time factor, seconds, bytes.
    """
    found = []
    for key, (name, label, scale, unit) in SPEEDS.items():
        values = [night[key] for night in before if night.get(key) is not None]
        if now.get(key) is None or len(values) < limits.nights:
            continue
        usual, deviation = median_and_deviation(values)
        allowed = usual + max(limits.spreads * deviation, limits.share * usual)
        if now[key] > allowed:
            shown = (f"{value * scale:.3g}{unit}" for value in (now[key], usual, allowed))
            text = "{} {}, usually {} (limit {})".format(label, *shown)
            found.append(Reason(name, text, "worse", round(now[key], 4), round(allowed, 4)))
    return found
