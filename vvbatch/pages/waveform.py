"""The waveform of a recording as the path of an SVG, which takes the colours of its page."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

COLUMNS, HEIGHT = 200, 64  # of the picture's view box


def waveform(samples: NDArray[np.float32]) -> str:
    """A path of one stroke a column, from the lowest to the highest of its samples (frames,); full scale is HEIGHT.

    All recordings of a page have one scale, so that louder ones look louder.
    """
    from vvbatch.voices.picture import extremes

    middle = HEIGHT // 2
    strokes = []
    for column, (low, high) in enumerate(zip(*extremes(samples, COLUMNS), strict=True)):
        top, bottom = middle - round(min(float(high), 1.0) * middle), middle - round(max(float(low), -1.0) * middle)
        strokes.append(f"M{column} {top}v{max(bottom - top, 1)}")
    return "".join(strokes)
