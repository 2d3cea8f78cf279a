"""Whether a proof's takes are like real VibeVoice audio, and what is likely wrong when they are not."""

from __future__ import annotations

import statistics
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

import msgspec

from vvbatch.profiles import Profile
from vvbatch.proof.measure import Measures

OUTLIERS = 0.25
"""Share of the takes that may lie outside a range: its ends are those of few recordings, not of all that is good."""

MOST_WORD_ERRORS = 0.08  # of all words of the proof; on the real recordings: 2 errors in 700 words


@dataclass(frozen=True)
class Range:
    """What a measure may be in a good take, both ends included."""

    unit: str
    low: float
    high: float


RANGES: Mapping[str, Range] = {
    "level": Range("dBFS", -32, -21),
    "peak": Range("dBFS", -14, -1.5),
    "floor": Range("dBFS", -120, -45),
    "leading_silence": Range("s", 0, 1),
    "trailing_silence": Range("s", 0, 0.5),
    "pace": Range("s/char", 0.042, 0.085),
    "extra_samples": Range("samples", 0, 0),
    "bandwidth": Range("x prompt", 0.8, 1.2),
    "similarity": Range("cosine", 0.61, 1),
}
"""Measured on audio that VibeVoice (1.5B, and the official demos) generated, in public repositories under MIT licences:
joonghorang/vibevoice, vibevoice-community/VibeVoice, microsoft/VibeVoice, toddllm/vibevoice and
dwilli15/VibeVoice-Community, with the functions of `vvbatch.proof.measure`. Each range is what was found, widened:

- 13 unaltered clips: level -29.4 to -23.4, peak -10.7 to -4.1, floor -96 to -48, silence at the start 0 to 0.78 and at
  the end 0 to 0.20, always whole frames of 3,200 samples. Demos with a bed of music have a floor of -39 to -29.
- 14 clean clips of 4 s and more: pace 0.046 to 0.074, medians of the voices 0.053 to 0.074. Two of them that speak only
  their first sentence have 0.016 and 0.021.
- Two speakers of a demo, 3 turns each: the bandwidth of a voice varies by 3 %. It is that of the voice prompt.
- 4 speakers of two demos, turn against turn: similarity 0.64 to 0.94 for the same speaker, 0.32 to 0.58 for two.
"""


class Judged(msgspec.Struct, frozen=True):
    """A measure over all takes. It is off too if no take has it: then `median` is None.

    `level` is RMS, `bandwidth` a multiple of the voice prompt's.
    """

    name: str
    unit: str
    median: float | None  # `word_errors`: the share of all words; `takes`: how many have audio
    lowest: float | None
    highest: float | None
    low: float  # of the range
    high: float
    outside: int  # takes
    ok: bool


class Cause(msgspec.Struct, frozen=True):
    """A likely cause of what is off, and what to do."""

    cause: str
    remedy: str


def judge(takes: Sequence[Measures | None]) -> list[Judged]:
    """The measures of a proof; None stands for a take without audio.

    A measure is good if its median is within the range, and of the takes at most OUTLIERS are outside. A take without
    audio is outside of everything.
    """
    made = [take for take in takes if take is not None]
    silent = len(takes) - len(made)
    words, errors = sum(take.words for take in made), sum(take.word_errors for take in made)
    rates = [take.word_errors / take.words for take in made if take.words]
    wrong = errors / words if words else None
    return [
        Judged("takes", "takes", len(made), None, None, len(takes), len(takes), silent, not silent),
        *(_judged(name, [_value(take, name) for take in takes]) for name in RANGES),
        Judged(
            "word_errors",
            "share",
            None if wrong is None else round(wrong, 4),
            round(min(rates), 4) if rates else None,
            round(max(rates), 4) if rates else None,
            0.0,
            MOST_WORD_ERRORS,
            silent + sum(rate > MOST_WORD_ERRORS for rate in rates),
            wrong is not None and wrong <= MOST_WORD_ERRORS,
        ),
    ]


def _judged(name: str, values: Sequence[float | None]) -> Judged:
    limits = RANGES[name]
    found = [value for value in values if value is not None]
    outside = sum(value is None or not limits.low <= value <= limits.high for value in values)
    median = round(statistics.median(found), 4) if found else None
    ok = median is not None and limits.low <= median <= limits.high and outside <= OUTLIERS * len(values)
    lowest, highest = min(found, default=None), max(found, default=None)
    return Judged(name, limits.unit, median, lowest, highest, limits.low, limits.high, outside, ok)


def _value(take: Measures | None, name: str) -> float | None:
    if take is None:
        return None
    values: Mapping[str, float | None] = {
        "level": take.level_dbfs,
        "peak": take.peak_dbfs,
        "floor": take.floor_dbfs,
        "leading_silence": take.leading_s,
        "trailing_silence": take.trailing_s,
        "pace": take.s_per_char,
        "extra_samples": take.extra_samples,
        "bandwidth": take.bandwidth,
        "similarity": take.similarity,
    }
    return values[name]


def likely_causes(judged: Sequence[Judged], profile: Profile, voice: str, errors: Collection[str]) -> list[Cause]:
    """What to look at, the most likely first; empty when every measure is good.

    `errors` are the reasons that the ledger has for takes without audio.
    """
    off = {each.name for each in judged if not each.ok}
    return list(_causes(off, profile, voice, sorted(errors))) if off else []


def _causes(off: set[str], profile: Profile, voice: str, errors: Sequence[str]) -> Iterator[Cause]:
    sound = off & {"level", "peak", "floor", "pace", "bandwidth"}
    other_voice = f"vvbatch models prove {profile.name} --voice OTHER"
    if profile.engine != "vibevoice":
        yield Cause(
            f"profile {profile.name!r} has the engine {profile.engine!r}: the ranges are those of VibeVoice audio",
            "prove a profile with the engine 'vibevoice': vvbatch models list",
        )
        return
    verify = f"vvbatch models verify {profile.name}"
    if errors:
        yield Cause(f"the engine gave no audio: {errors[0]}", "vvbatch doctor")
    if "word_errors" in off and (sound or "similarity" in off):
        yield Cause("the weights are not those of a trained VibeVoice model, or they are damaged", verify)
    elif "word_errors" in off:
        yield Cause(
            "the tokenizer is not the model's, or the voice prompt is not English",
            f"{verify}; compare `tokenizer_repo` with the table in docs/models.md; {other_voice}",
        )
    elif "similarity" in off:
        yield Cause(
            f"the voice prompt {voice!r} is not followed: it is noisy, very short, or has two speakers",
            f"vvbatch voices check {voice}; {other_voice}",
        )
    if profile.dtype != "float32" or profile.device != "cpu":
        yield Cause(
            f"{profile.dtype} on {profile.device} computes something else than float32 on the CPU",
            "prove a profile of the same model with `device: cpu` and `dtype: float32`; if that is good, report it",
        )
    if "extra_samples" in off:
        yield Cause("samples were cut off, added or resampled after the decoder", "compare `vvbatch doctor`; report it")
    if "word_errors" not in off:
        yield from _causes_of_sound(off, voice, other_voice)


def _causes_of_sound(off: set[str], voice: str, other_voice: str) -> Iterator[Cause]:
    """Of takes that say the right words."""
    if off & {"level", "peak", "floor", "bandwidth"}:
        yield Cause(
            f"the voice prompt {voice!r} is unusually loud, quiet or noisy: takes take over its sound",
            f"vvbatch voices check {voice}; {other_voice}",
        )
    if "pace" in off:
        yield Cause(f"the voice prompt {voice!r} is spoken unusually fast or slowly", other_voice)
    if off & {"leading_silence", "trailing_silence"}:
        yield Cause("the model begins late or does not end with its text: a revision that is not pinned", other_voice)
    if "takes" in off:
        yield Cause("some lines were not rendered", "vvbatch ledger takes --batch BATCH")
