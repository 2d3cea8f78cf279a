"""A report on what ACX asks of audio files: technique only, one check a file and measure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vvbatch.book.contents import RATE, Speech
from vvbatch.book.gains import Levels, MeasuredChapter
from vvbatch.book.loudness import SILENCE_DB
from vvbatch.book.packets import Packets

RMS_DB = (-23.0, -18.0)
PEAK_DB = -3.0
FLOOR_DB = -60.0
HEAD_S = (0.5, 1.0)
TAIL_S = (1.0, 5.0)
LONGEST_S = 120 * 60.0
QUIETEST_SHARE = 1  # per cent of the frames of a voice's takes


@dataclass(frozen=True)
class AcxCheck:
    """`subject` is a chapter's number and title, or the name of a voice."""

    name: str
    subject: str
    value: float
    limit: str
    ok: bool


def acx_report(
    book: Sequence[MeasuredChapter], encoded: Sequence[Packets], levels: Levels, target: str
) -> list[AcxCheck]:
    """Of chapters as they were encoded, then the floor within each voice's takes, where no pause of ours helps."""
    checks = []
    for part, packets in zip(book, encoded, strict=True):
        header = packets.header
        subject = f"{part.chapter.number:02d} {part.chapter.title}".strip()
        length_s = header.samples / header.rate
        head_s = part.layout.speech[0][0] / RATE
        tail_s = length_s - part.layout.speech[-1][1] / RATE
        checks += [
            _within("rms_db", subject, header.energies.rms_db, RMS_DB),
            _at_most("peak_db", subject, header.true_peak_dbtp, PEAK_DB),
            _at_most("floor_db", subject, header.energies.floor_db, FLOOR_DB),
            _within("head_s", subject, head_s, HEAD_S),
            _within("tail_s", subject, tail_s, TAIL_S),
            _at_most("length_s", subject, length_s, LONGEST_S),
        ]
    for voice, floor in voice_floors(book, levels, target).items():
        checks.append(_at_most("floor_in_speech_db", voice, floor, FLOOR_DB))
    return checks


def voice_floors(book: Sequence[MeasuredChapter], levels: Levels, target: str) -> dict[str, float]:
    """How quiet each voice's takes get between words, in the book: the level that 1 % of their frames stay under.

    A frame is 21 ms: the gaps between words of a short text are not as long as the tenths of a second of a floor.
    """
    parts: dict[str, list[NDArray[np.float32]]] = {}
    for part in book:
        for item, measure in zip(part.chapter.items, part.measures, strict=True):
            if isinstance(item, Speech):
                in_book = measure.levels_db.astype(np.float32) + levels.gain_db(item, target)
                parts.setdefault(item.voice, []).append(in_book)
    return {
        voice: float(np.percentile(np.concatenate(found), QUIETEST_SHARE)) if any(map(len, found)) else SILENCE_DB
        for voice, found in parts.items()
    }


def _within(name: str, subject: str, value: float, limits: tuple[float, float]) -> AcxCheck:
    low, high = limits
    return AcxCheck(name, subject, round(value, 2), f"{low:g} to {high:g}", low <= round(value, 2) <= high)


def _at_most(name: str, subject: str, value: float, limit: float) -> AcxCheck:
    return AcxCheck(name, subject, round(value, 2), f"at most {limit:g}", round(value, 2) <= limit)
