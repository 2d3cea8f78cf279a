"""What is seen and heard in a report, as data URIs: PNG, and FLAC, which is lossless and which browsers play."""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vvbatch.engine.contract import SAMPLE_RATE
from vvbatch.voices.errors import MissingExtra

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

PIXELS_PER_S = 150
SHOWN_PER_S = 300  # pixels, where the page is wide enough
WIDEST, HEIGHT = 1100, 96  # pixels
COLOURS = 48
MAX_BYTES = 16 << 20  # of all media in a report; what comes later has none


@dataclass
class Budget:
    """How much room is left: lines come worst first."""

    left: int = MAX_BYTES
    left_out: int = 0

    def take(self, data: bytes, kind: str) -> str | None:
        """A data URI, or None when it does not fit any more."""
        if len(data) > self.left:
            self.left_out += 1
            return None
        self.left -= len(data)
        return f"data:{kind};base64,{base64.b64encode(data).decode()}"


def media_of(line: Mapping[str, Any], budget: Budget) -> dict[str, Any]:
    """`before` and `after` of a line: `audio`, `picture`, its `width`, `seconds`, and `missing`, why there is none."""
    files = {"before": line["baseline"], "after": {"path": line["path"], "sha256": line["sha256"]}}
    sounds = {which: sound(file) for which, file in files.items() if file}
    longest = max((len(samples) for samples, _ in sounds.values() if samples is not None), default=0)
    found: dict[str, Any] = {}
    for which, (samples, missing) in sounds.items():
        if samples is None:
            found[which] = {"audio": None, "picture": None, "width": 0, "seconds": None, "missing": missing}
            continue
        audio = budget.take(flac(samples), "audio/flac")
        picture = budget.take(spectrogram(samples, longest), "image/png") if audio else None
        told = None if audio else "left out: the report would be too large"
        seconds, width = len(samples) / SAMPLE_RATE, round(longest / SAMPLE_RATE * SHOWN_PER_S)
        found[which] = {"audio": audio, "picture": picture, "width": width, "seconds": seconds, "missing": told}
    return found


def sound(file: Mapping[str, Any]) -> tuple[NDArray[np.float32] | None, str | None]:
    """A file's samples if it is there and has its hash, else why not."""
    from vvbatch import audio, store

    if not file["path"]:
        return None, "its audio is not kept any more, or was never made"
    try:
        if store.sha256_file(Path(file["path"])) != file["sha256"]:
            return None, "its file has changed since"
        return audio.read(Path(file["path"]))[0], None
    except (OSError, audio.AudioError) as error:
        return None, f"its file cannot be read: {getattr(error, 'strerror', None) or error}"


def flac(samples: NDArray[np.float32]) -> bytes:
    import soundfile

    from vvbatch.audio import to_pcm16

    file = io.BytesIO()
    soundfile.write(file, to_pcm16(samples), SAMPLE_RATE, format="FLAC", subtype="PCM_16")
    return file.getvalue()


def spectrogram(samples: NDArray[np.float32], longest: int) -> bytes:
    """A PNG as wide as the take is long, on the scale of the longer of a pair."""
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
