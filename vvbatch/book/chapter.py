"""One chapter's samples, streamed: takes with their gains, pauses between them, peaks limited."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
from numpy.typing import NDArray

from vvbatch.book.contents import RATE, Chapter, Span, Speech
from vvbatch.book.gains import Levels
from vvbatch.book.layout import Layout
from vvbatch.book.limiter import Limiter
from vvbatch.book.measures import read_item
from vvbatch.book.room_tone import tone_samples

BLOCK = 3 * RATE

Samples = NDArray[np.float32]


def mastered(
    chapter: Chapter, layout: Layout, levels: Levels, target: str, limiter: Limiter | None
) -> Iterator[Samples]:
    """The chapter as it is encoded, in blocks of any length. Raises BookError."""
    blocks = _in_blocks(_pieces(chapter, layout, levels, target))
    return limiter.limited(blocks) if limiter else blocks


def _pieces(chapter: Chapter, layout: Layout, levels: Levels, target: str) -> Iterator[Samples]:
    position = 0
    gap = _Gap(chapter, levels, target, None, layout.spans[0] if layout.spans else None, layout)
    read = -1
    source: Samples = np.zeros(0, np.float32)
    tail: Samples = np.zeros(0, np.float32)  # the end of the take before, which this one is faded into
    for index, span in enumerate(layout.spans):
        if not len(tail):
            yield gap.samples[gap.under_before : gap.under_before + span.start - position]
        following = layout.spans[index + 1] if index + 1 < len(layout.spans) else None
        if span.item != read:
            source, read = read_item(chapter.items[span.item]), span.item
        piece = source[span.source : span.source + span.length] * _linear(
            levels.gain_db(chapter.items[span.item], target)
        )
        if span.fade_in:
            ramp = _ramp(span.fade_in)
            under = tail if len(tail) else gap.samples[-span.fade_in :] * ramp[::-1]
            piece[: span.fade_in] = piece[: span.fade_in] * ramp + under
        overlap = max(0, span.stop - following.start) if following else 0
        ramp = _ramp(span.fade_out)[::-1]
        if overlap:
            piece, tail = piece[:-overlap], piece[-overlap:] * ramp
        else:
            tail = tail[:0]
            gap = _Gap(chapter, levels, target, span, following, layout)
            if span.fade_out:
                under = gap.samples[: span.fade_out] * ramp[::-1]
                piece[-span.fade_out :] = piece[-span.fade_out :] * ramp + under
        yield piece
        position = span.stop - overlap
    yield gap.samples[gap.under_before : gap.under_before + layout.length - position]


class _Gap:
    """What sounds between two spans: silence or room tone, which also lies under the fades on both sides."""

    def __init__(
        self, chapter: Chapter, levels: Levels, target: str, before: Span | None, after: Span | None, layout: Layout
    ) -> None:
        start = before.stop if before else 0
        stop = after.start if after else layout.length
        self.under_before = before.fade_out if before else 0
        length = self.under_before + stop - start + (after.fade_in if after else 0)
        owner = before or after
        self.samples: Samples = np.zeros(length, np.float32)
        if owner is None:
            return
        item = chapter.items[owner.item]
        tone = levels.tones.get(item.voice) if isinstance(item, Speech) else None
        if tone:
            seed = f"{item.sha256} {owner.source} {before is None}"
            self.samples = tone_samples(tone, tone.at(levels.gain_db(item, target)), length, seed)


def _ramp(length: int) -> Samples:
    """From just above 0 to just below 1; reversed it is the complement."""
    return ((np.arange(length, dtype=np.float32) + np.float32(0.5)) / np.float32(length)).astype(np.float32)


def _linear(gain_db: float) -> np.float32:
    return np.float32(10 ** (gain_db / 20))


def _in_blocks(pieces: Iterable[Samples]) -> Iterator[Samples]:
    """The same stream in blocks of about BLOCK samples: fewer calls for short lines, less memory for long ones."""
    held: list[Samples] = []
    size = 0
    for piece in pieces:
        for start in range(0, len(piece), BLOCK):
            held.append(piece[start : start + BLOCK])
            size += len(held[-1])
            if size >= BLOCK:
                yield np.concatenate(held)
                held, size = [], 0
    if size:
        yield np.concatenate(held)
