"""A long line in parts, each rendered as a line of its own.

VibeVoice is steady over some 40 to 250 words: it plays music on single sentences, speeds up over long texts, and a
cloned voice decays after minutes. A text is cut at the ends of sentences, a sentence that is too long at those of its
clauses, and a clause that is too long between words. `cuts` says where, so that an edit renders one part again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import pairwise

from vvbatch.profiles import PartWords, TextLimits
from vvbatch.script.ids import part_id
from vvbatch.script.model import BreakAfter, ScriptLine, ScriptTurn
from vvbatch.script.sentences import clause_ends, sentence_ends
from vvbatch.script.written import written_parts
from vvbatch.speech_text.cuts import Sizes, cuts, mark_of
from vvbatch.speech_text.words import word_ends, words

DIALOGUE_BEST = 0.5
"""A part of a dialogue, as a share of the characters that the profile allows."""
DIALOGUE_LEAST = 0.1


def parts_of(line: ScriptLine, limits: TextLimits) -> list[ScriptLine]:
    """The line, or its parts in order. A dialogue is cut between turns, when it is too long for the profile."""
    if limits.part_words is None:
        return [line]
    if len(line.turns) > 1:
        return _numbered(line, _parts_of_dialogue(line.turns, limits.max_chars))
    [turn] = line.turns
    texts = text_parts(turn.text, limits.part_words)
    if len(texts) == 1:
        return [line]
    written = texts if turn.written is None else written_parts(texts, turn.written)
    return _numbered(
        line,
        [
            (replace(turn, text=text, written=None if own == text else own),)
            for text, own in zip(texts, written, strict=True)
        ],
    )


def text_parts(text: str, limits: PartWords) -> list[str]:
    """A text in parts without the spaces between them; one part if it has no more than `limits.max` words."""
    if len(text) <= limits.max:  # a word has a character
        return [text]
    sizes = Sizes(limits.min, limits.best, limits.max)
    pieces = [text]
    for ends in (sentence_ends, clause_ends, word_ends):
        too_long = {piece for piece in pieces if words(piece) > limits.max}
        pieces = [part for piece in pieces for part in (_cut(piece, ends, sizes) if piece in too_long else [piece])]
    return pieces


def _cut(text: str, ends: Callable[[str], Iterable[int]], sizes: Sizes) -> Iterator[str]:
    """A text in parts that are cut at these ends."""
    places = [0, *(end for end in ends(text) if end < len(text)), len(text)]
    units = [text[start:end] for start, end in pairwise(places)]
    begins = cuts(list(map(words, units)), list(map(mark_of, units)), sizes)
    for begin, end in pairwise([0, *begins, len(units)]):
        yield text[places[begin] : places[end]].strip()


def _parts_of_dialogue(turns: Sequence[ScriptTurn], longest: int) -> list[tuple[ScriptTurn, ...]]:
    lengths = [len(turn.text) for turn in turns]
    sizes = Sizes(DIALOGUE_LEAST * longest, DIALOGUE_BEST * longest, longest)
    begins = cuts(lengths, [mark_of(turn.text) for turn in turns] if sum(lengths) > longest else [], sizes)
    return [tuple(turns[begin:end]) for begin, end in pairwise([0, *begins, len(turns)])]


def _numbered(line: ScriptLine, parts: Sequence[tuple[ScriptTurn, ...]]) -> list[ScriptLine]:
    """The parts as lines. What comes after the line comes after its last part."""
    if len(parts) == 1:
        return [line]
    first = [
        replace(
            line,
            id=part_id(line.id, number),
            turns=turns,
            part_of=line.id,
            part=number,
            pause_after_s=0.0,
            pauses=(),
            pause_given_s=None,
            break_after=BreakAfter.LINE,
        )
        for number, turns in enumerate(parts, start=1)
    ]
    after = {name: getattr(line, name) for name in ("pause_after_s", "pauses", "pause_given_s", "break_after")}
    return [*first[:-1], replace(first[-1], **after)]
