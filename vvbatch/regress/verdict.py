"""From measures to verdicts: same, equivalent, changed, worse, each with its reasons.

Bits decide where machine and versions are the baseline's: what should be equal and is not has changed. Elsewhere the
measured differences decide. A shift of a whole night, too small to be told on one line, stands out of their spread.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from vvbatch.regress.suite import Limits, Shifts, Speed

VERDICTS = ("same", "equivalent", "changed", "unblessed", "worse")
"""From good to bad."""
MAD_TO_SIGMA = 1.4826  # of a normal distribution
MEDIAN_ERROR = 1.2533  # the standard error of a median over that of a mean
SURE = 3.0  # standard errors that a night's median must stand out by
FEWEST_LINES = 3


@dataclass(frozen=True)
class Reason:
    """Why a line or a night is not as its baseline; `verdict` is what the reason alone would make of it."""

    name: str
    text: str
    verdict: str
    value: float | str | None = None
    limit: float | None = None

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


def percent(word_up: str, word_down: str) -> Callable[[float], str]:
    return lambda value: f"{abs(100 * value):.1f} % {word_up if value > 0 else word_down}"


def amount(unit: str, word_up: str, word_down: str) -> Callable[[float], str]:
    return lambda value: f"{abs(value):.2g} {unit} {word_up if value > 0 else word_down}"


@dataclass(frozen=True)
class Measure:
    """How a measured value is named, limited and told; `one_sided`: only more of it counts."""

    name: str
    limit: str  # the field of Limits
    tell: Callable[[float], str]
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
"""In the order in which reasons are given: what explains most first."""

CONSEQUENCES = {"spectrum", "intonation", "noise", "loudness", "pitch", "rate", "naturalness", "background"}
"""What a cut changes as well, being measured over less: not told of a line that is cut."""


def worst(verdicts: Iterable[str]) -> str:
    return max(verdicts, key=VERDICTS.index, default="same")


def judge(
    measures: Mapping[str, float | None], limits: Limits, *, bits: bool, exact: bool, seeds: tuple[int, int]
) -> list[Reason]:
    """The reasons for which a line is not the same as its baseline; none if it is, bit for bit.

    `exact`: the baseline's machine and versions, so that bits should be equal. `seeds`: the baseline's, the take's.
    """
    if bits:
        return []
    reasons = [
        Reason(measure.name, measure.tell(value), verdict, round(value, 4), limit)
        for key, measure in MEASURES.items()
        if (value := measures.get(key)) is not None
        for verdict, limit in [beyond(value, getattr(limits, measure.limit), measure.one_sided)]
        if verdict
    ]
    if any(reason.name == "cut" for reason in reasons):
        reasons = [reason for reason in reasons if reason.name not in CONSEQUENCES]
    reasons = named_as_voice(reasons)
    if seeds[0] != seeds[1]:
        told = f"rendered with seed {seeds[1]}, the baseline has {seeds[0]}"
        reasons.append(Reason("seed", told, "changed", str(seeds[1])))
    # A whole other rendition is what nothing else explains.
    plain = [reason for reason in reasons if reason.name == "spectrum" and reason.verdict == "changed"]
    for reason in plain:
        reasons.remove(reason)
        if not reasons:
            told = f"another rendition, as with another seed: {reason.text}; words, voice, pace and level are the same"
            reasons.append(Reason("rendition", told, "changed", reason.value, reason.limit))
    if exact and not reasons:
        told = (
            "the samples differ, although machine, versions and seed are the baseline's: the engine is not repeatable"
        )
        reasons.append(Reason("bits", told, "changed"))
    return reasons


def named_as_voice(reasons: list[Reason]) -> list[Reason]:
    """A spectrum far apart together with a pitch far off is another voice, also where no model has listened."""
    by_name = {reason.name: reason for reason in reasons}
    spectrum, pitch = by_name.get("spectrum"), by_name.get("pitch")
    if spectrum is None or spectrum.verdict != "worse" or pitch is None or "voice" in by_name:
        return reasons
    told = f"another voice: {pitch.text}, {spectrum.text}"
    rest = [reason for reason in reasons if reason.name not in ("spectrum", "pitch", "intonation")]
    return [Reason("voice", told, "worse", spectrum.value, spectrum.limit), *rest]


def beyond(value: float, limit: Any, one_sided: bool) -> tuple[str | None, float | None]:
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
    """What all lines of a night share: a median over the limit that stands out of the lines' own spread."""
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
            told = f"the whole night: {measure.tell(middle)} (median of {len(values)} lines, spread {deviation:.2g})"
            found.append(Reason(measure.name, told, "worse", round(middle, 4), limit))
    return found


def shared_by(line: Mapping[str, float | None], shifts: Sequence[Reason]) -> list[Reason]:
    """Of the night's shifts those that a line has its part in: at least half of it."""
    parts = []
    for shift in shifts:
        key = next(key for key, measure in MEASURES.items() if measure.name == shift.name)
        value = line.get(key)
        if value is not None and isinstance(shift.value, float) and value / shift.value >= 0.5:
            told = f"{MEASURES[key].tell(value)}, with the whole night"
            parts.append(Reason(shift.name, told, shift.verdict, round(value, 4), shift.limit))
    return parts


def median_and_deviation(values: Sequence[float]) -> tuple[float, float]:
    """The median, and the median absolute deviation from it as a standard deviation."""
    middle = statistics.median(values)
    return middle, MAD_TO_SIGMA * statistics.median(abs(value - middle) for value in values)


SPEEDS = {
    "rtf": ("speed", "RTF", 1.0, ""),
    "first_chunk_s": ("first chunk", "first chunk after", 1.0, " s"),
    "peak_bytes": ("memory", "memory", 1e-6, " MB"),
}


def slower(now: Mapping[str, float], before: Sequence[Mapping[str, float]], limits: Speed) -> list[Reason]:
    """What this night's medians are over those of earlier nights: beyond their spread, and by a good share."""
    found = []
    for key, (name, words, scale, unit) in SPEEDS.items():
        values = [night[key] for night in before if night.get(key) is not None]
        if now.get(key) is None or len(values) < limits.nights:
            continue
        usual, deviation = median_and_deviation(values)
        allowed = usual + max(limits.spreads * deviation, limits.share * usual)
        if now[key] > allowed:
            shown = (f"{value * scale:.3g}{unit}" for value in (now[key], usual, allowed))
            told = "{} {}, usually {} (limit {})".format(words, *shown)
            found.append(Reason(name, told, "worse", round(now[key], 4), round(allowed, 4)))
    return found
