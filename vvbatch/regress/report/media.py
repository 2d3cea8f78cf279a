"""The recordings of a line in the report: before and after."""

from __future__ import annotations

from dataclasses import dataclass

from vvbatch.engine.contract import SAMPLE_RATE
from vvbatch.pages.media import Budget, flac, sound, spectrogram
from vvbatch.regress.summary import LineSummary

SHOWN_PER_S = 300  # pixels on a page that is wide enough


@dataclass(frozen=True)
class Media:
    """One take in the report. `missing` is the reason if there is no audio."""

    audio: str | None = None  # data URI
    picture: str | None = None  # data URI
    width: int = 0  # pixels of the picture on the page
    seconds: float | None = None
    missing: str | None = None


def media_of(line: LineSummary, budget: Budget) -> dict[str, Media]:
    """The media of a line by `before` (if it has a baseline) and `after`."""
    sounds = {"after": sound(line.path, line.sha256)}
    if line.baseline:
        sounds = {"before": sound(line.baseline.path, line.baseline.sha256), **sounds}
    longest = max((len(samples) for samples, _ in sounds.values() if samples is not None), default=0)
    found: dict[str, Media] = {}
    for which, (samples, missing) in sounds.items():
        if samples is None:
            found[which] = Media(missing=missing)
            continue
        audio = budget.take(flac(samples), "audio/flac")
        picture = budget.take(spectrogram(samples, longest), "image/png") if audio else None
        missing = None if audio else "left out: the report would be too large"
        seconds, width = len(samples) / SAMPLE_RATE, round(longest / SAMPLE_RATE * SHOWN_PER_S)
        found[which] = Media(audio, picture, width, seconds, missing)
    return found
