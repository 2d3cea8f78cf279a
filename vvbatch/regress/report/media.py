"""Pictures and audio of a report as data URIs: PNG, and FLAC, which is lossless and plays in browsers."""

from __future__ import annotations

import base64
import io
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from vvbatch.engine.contract import SAMPLE_RATE
from vvbatch.regress.summary import LineSummary
from vvbatch.voices.errors import MissingExtra

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

PIXELS_PER_S = 150
SHOWN_PER_S = 300  # pixels on a page that is wide enough
WIDEST, HEIGHT = 1100, 96  # pixels
COLOURS = 48
MAX_BYTES = 16 << 20  # of all media in a report; later lines have none


@dataclass
class Budget:
    """The bytes left for media. The worst lines come first."""

    left: int = MAX_BYTES
    left_out: int = 0

    def take(self, data: bytes, kind: str) -> str | None:
        """A data URI, or None if it does not fit."""
        if len(data) > self.left:
            self.left_out += 1
            return None
        self.left -= len(data)
        return f"data:{kind};base64,{base64.b64encode(data).decode()}"


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


def sound(path: str | None, sha256: str | None) -> tuple[NDArray[np.float32] | None, str | None]:
    """The samples of a file, float32 (frames,) at SAMPLE_RATE, or the reason why it cannot be shown."""
    from vvbatch import audio, store

    if not path:
        return None, "its audio was removed, or never rendered"
    try:
        if store.sha256_file(Path(path)) != sha256:
            return None, "its file has changed"
        return audio.read(Path(path))[0], None
    except (OSError, audio.AudioError) as error:
        return None, f"its file cannot be read: {getattr(error, 'strerror', None) or error}"


def flac(samples: NDArray[np.float32]) -> bytes:
    import soundfile

    from vvbatch.audio import to_pcm16

    file = io.BytesIO()
    soundfile.write(file, to_pcm16(samples), SAMPLE_RATE, format="FLAC", subtype="PCM_16")
    return file.getvalue()


def spectrogram(samples: NDArray[np.float32], longest: int) -> bytes:
    """A PNG of float32 (frames,) samples; its width stands for `longest` samples, so that pairs share a time scale."""
    import numpy as np

    from vvbatch.voices import picture

    try:
        from PIL import Image
    except ImportError as error:
        raise MissingExtra("the report's pictures need Pillow: pip install 'vvbatch[regress]'") from error
    whole = np.zeros(longest)
    whole[: len(samples)] = samples
    width = max(min(round(longest / SAMPLE_RATE * PIXELS_PER_S), WIDEST), 1)
    image = Image.fromarray(picture.spectrogram(whole, width, HEIGHT)).quantize(COLOURS)
    file = io.BytesIO()
    image.save(file, "PNG", optimize=True)
    return file.getvalue()
