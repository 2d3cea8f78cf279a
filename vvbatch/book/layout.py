"""Takes and pauses → where every sample of a take lies in its chapter. The map of a chapter, made before its audio."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from vvbatch.book.contents import RATE, Chapter, Span, Speech
from vvbatch.book.edges import Edges
from vvbatch.book.measures import Measure, kept_parts
from vvbatch.book.pauses import Pauses
from vvbatch.book.presets import Preset

FADE_S = 0.005
BLOCK = RATE // 10
"""A chapter is a whole number of these long, so that the energies of chapters can be joined."""


@dataclass(frozen=True)
class Layout:
    spans: tuple[Span, ...]
    speech: tuple[tuple[int, int], ...]
    """Of each item: its first sound and the end of its last, in samples of the chapter."""
    length: int  # samples

    @property
    def duration_s(self) -> float:
        return self.length / RATE


def lay_out(chapter: Chapter, measures: Sequence[Measure], pauses: Pauses, preset: Preset) -> Layout:
    """A pause is exact: from the last sound of an item to the first sound of the next, edges included.

    The pause between chapters is divided: a preset's head before the first sound, the rest after the last.
    """
    if not chapter.items:
        return Layout((), (), 0)
    edges = [measure.edges for measure in measures]
    between = [
        round(pauses.after(item, following) * RATE)
        for item, following in zip(chapter.items, chapter.items[1:], strict=False)
    ]
    head = round(preset.head_s * RATE)
    tail = min(max(pauses.chapter - preset.head_s, preset.shortest_tail_s), preset.longest_tail_s)
    edges = _fitted(edges, [head, *between, round(tail * RATE)], round(preset.crossfade_ms / 1000 * RATE))
    spans: list[Span] = []
    speech: list[tuple[int, int]] = []
    position = head
    for index, (edge, measure) in enumerate(zip(edges, measures, strict=True)):
        first = position
        position -= edge.before
        for start, stop in kept_parts(edge, measure.cuts):
            spans.append(Span(index, position, start, stop - start, *_fades(chapter, index, edge, start, stop)))
            position += stop - start
        position -= edge.after
        speech.append((first, position))
        position += [*between, round(tail * RATE)][index]
    return Layout(tuple(_crossfaded(spans)), tuple(speech), -(-position // BLOCK) * BLOCK)


def _fitted(edges: Sequence[Edges], silences: Sequence[int], crossfade: int) -> list[Edges]:
    """Edges cut so that those around a silence fit into it: `silences` are before, between and after the items.

    Where they do not, the edges of two takes may overlap by `crossfade`. No edge is longer than its silence: it would
    lie over the speech of the other take.
    """
    fitted = list(edges)
    fitted[0] = replace(fitted[0], start=max(fitted[0].start, fitted[0].speech_start - silences[0]))
    fitted[-1] = replace(fitted[-1], stop=min(fitted[-1].stop, fitted[-1].speech_stop + silences[-1]))
    for index, silence in enumerate(silences[1:-1]):
        one, other = fitted[index], fitted[index + 1]
        after, before = min(one.after, silence), min(other.before, silence)
        room = silence + min(crossfade, after, before)
        if after + before > room:
            after = min(after, max(room // 2, room - before))
            before = min(before, room - after)
        fitted[index] = replace(one, stop=one.speech_stop + after)
        fitted[index + 1] = replace(other, start=other.speech_start - before)
    return fitted


def _crossfaded(spans: Sequence[Span]) -> list[Span]:
    """Spans that overlap fade into each other over all of the overlap."""
    found = list(spans)
    for index, (one, other) in enumerate(pairwise(spans)):
        if (overlap := one.stop - other.start) > 0:
            found[index] = replace(found[index], fade_out=overlap)
            found[index + 1] = replace(found[index + 1], fade_in=overlap)
    return found


def _fades(chapter: Chapter, index: int, edge: Edges, start: int, stop: int) -> tuple[int, int]:
    """Lengths of the fades of one kept part. They lie in silence: in an edge, or where a silence was cut."""
    if not isinstance(chapter.items[index], Speech):
        return 0, 0
    fade = round(FADE_S * RATE)
    fade_in = min(fade, edge.before) if start == edge.start else fade
    fade_out = min(fade, edge.after) if stop == edge.stop else fade
    return fade_in, fade_out
