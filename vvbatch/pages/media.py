"""Pictures and audio within a page as data URIs: PNG, and FLAC, which is lossless and plays in browsers."""

from __future__ import annotations

import base64
import io
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from vvbatch.engine.contract import SAMPLE_RATE
from vvbatch.pages.frame import needs_extra

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

PIXELS_PER_S = 150
WIDEST, HEIGHT = 1100, 96  # pixels
COLOURS = 48
MAX_BYTES = 16 << 20  # of all media in a page; later lines have none


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
        return data_uri(data, kind)


def data_uri(data: bytes, kind: str) -> str:
    return f"data:{kind};base64,{base64.b64encode(data).decode()}"


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
        raise needs_extra("Pillow") from error
    whole = np.zeros(longest)
    whole[: len(samples)] = samples
    width = max(min(round(longest / SAMPLE_RATE * PIXELS_PER_S), WIDEST), 1)
    image = Image.fromarray(picture.spectrogram(whole, width, HEIGHT)).quantize(COLOURS)
    file = io.BytesIO()
    image.save(file, "PNG", optimize=True)
    return file.getvalue()
