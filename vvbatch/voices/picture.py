"""A picture of voices, one row each: name, waveform, spectrogram."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from vvbatch.engine.contract import SAMPLE_RATE
from vvbatch.voices.errors import MissingExtra
from vvbatch.voices.measure import spectra

LABEL, WIDTH, WAVE, SPECTRUM, GAP, AXIS = 190, 900, 70, 110, 14, 20  # pixels
RANGE_DB = 70.0
LONGEST = 60 * SAMPLE_RATE  # samples that are drawn
INK, PAPER, TRACE = (30, 30, 30), (255, 255, 255), (40, 90, 160)
COLOURS = np.array([[0, 0, 20], [60, 15, 110], [180, 45, 95], [245, 130, 40], [252, 250, 190]], dtype=np.float64)

Floats = NDArray[np.float64]
Pixels = NDArray[np.uint8]


def draw(voices: Sequence[tuple[str, str, Floats]], path: Path) -> None:
    """Write a PNG of (name, second line, mono samples (n,) at 24 kHz) voices. Raises MissingExtra, OSError."""
    try:
        from PIL import Image, ImageDraw, ImageFont
    except ImportError as error:
        raise MissingExtra("--plot needs Pillow: pip install 'vvbatch[voices]'") from error
    from vvbatch.store import write_atomically

    row = WAVE + SPECTRUM + GAP
    height = row * max(len(voices), 1) + GAP
    image = Image.new("RGB", (LABEL + WIDTH + GAP, height + AXIS), PAPER)
    pen = ImageDraw.Draw(image)
    title, small = ImageFont.load_default(17), ImageFont.load_default(12)
    longest = max((min(len(samples), LONGEST) for _, _, samples in voices), default=0)
    for number, (name, note, samples) in enumerate(voices):
        top = GAP + number * row
        pen.text((GAP, top + 10), shortened(name), INK, font=title)
        pen.text((GAP, top + 36), note, INK, font=small)
        pen.text((LABEL - 6, top + WAVE), "12 kHz", INK, font=small, anchor="ra")
        pen.text((LABEL - 6, top + WAVE + SPECTRUM), "0", INK, font=small, anchor="rd")
        shown = samples[:LONGEST]
        width = columns_of(len(shown), longest)
        image.paste(Image.fromarray(waveform(shown, width)), (LABEL, top))
        image.paste(Image.fromarray(spectrogram(shown, width)), (LABEL, top + WAVE))
    for second in seconds_marked(longest / SAMPLE_RATE):
        x = LABEL + round(WIDTH * second * SAMPLE_RATE / longest)
        pen.line((x, height - GAP, x, height - GAP + 5), INK)
        pen.text((x, height - GAP + 7), f"{second:g} s", INK, font=small, anchor="ma")
    file = io.BytesIO()
    image.save(file, "PNG", optimize=True)
    write_atomically(path, file.getvalue())


def shortened(name: str, longest: int = 19) -> str:
    return name if len(name) <= longest else name[: longest - 1] + "…"


def columns_of(samples: int, longest: int) -> int:
    """How wide a voice of so many samples is drawn, where the longest takes WIDTH: all have one time axis."""
    return max(1, round(WIDTH * samples / longest)) if longest else WIDTH


def seconds_marked(length_s: float) -> list[float]:
    """Round seconds from 0 to the end, at most eight."""
    step = next(step for step in (0.5, 1, 2, 5, 10, 30) if length_s / step <= 8)
    return [step * number for number in range(int(length_s / step) + 1)]


def waveform(samples: Floats, width: int = WIDTH) -> Pixels:
    """(WAVE, width, 3): from the lowest to the highest sample of each column, the highest of all filling the height."""
    picture = np.full((WAVE, width, 3), PAPER, dtype=np.uint8)
    tall = (WAVE - 1) / 2 / max(float(np.abs(samples).max(initial=0.0)), 1e-9)
    for column, (least, most) in enumerate(zip(*extremes(samples, width), strict=True)):
        low, high = (round(WAVE / 2 - float(level) * tall) for level in (most, least))
        picture[max(low, 0) : high + 1, column] = TRACE
    return picture


def extremes(samples: NDArray[np.floating], columns: int) -> tuple[NDArray[np.floating], NDArray[np.floating]]:
    """The lowest and the highest sample of each of so many equal parts, (columns,) each; nothing of no samples."""
    if not len(samples):
        return samples, samples
    starts = np.arange(columns) * len(samples) // columns
    return np.minimum.reduceat(samples, starts), np.maximum.reduceat(samples, starts)


def spectrogram(samples: Floats, width: int = WIDTH, height: int = SPECTRUM) -> Pixels:
    """(height, width, 3): 0 Hz at the bottom, 12 kHz at the top, RANGE_DB from loud to dark."""
    level = 10 * np.log10(spectra(samples) + 1e-12)
    shown = np.clip((level - np.percentile(level, 99.5)) / RANGE_DB + 1.0, 0.0, 1.0)
    columns = np.linspace(0, len(shown) - 1, width).round().astype(int)
    rows = np.linspace(shown.shape[1] - 1, 0, height).round().astype(int)
    place = shown[np.ix_(columns, rows)].T * (len(COLOURS) - 1)
    mixed = [np.interp(place, np.arange(len(COLOURS)), COLOURS[:, part]) for part in range(3)]
    return np.stack(mixed, axis=-1).astype(np.uint8)
