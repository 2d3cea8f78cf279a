"""The initial of a paragraph and the rest of its word, which the layout of a page may set apart."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cache

from vvbatch.manuscript.blocks import INITIAL, Block, BlockKind
from vvbatch.script.hyphens import words_of

_INITIAL = re.compile(
    rf"(?P<letter>[^\W\d_])(?P<mark>[\"'’”“‘]?){INITIAL}(?P<space>\s*)(?P<rest>[^\W\d_]*['’]?[^\W\d_]*)"
)
_ALONE = re.compile(r"[\"'“‘«„]?[^\W\d_]")
_WORDS = frozenset("aioöéàyeuòèôæåéуавиокся")
"""Letters that are words in some language: what stands behind them may be a word of its own."""


def joined(blocks: Sequence[Block]) -> list[Block]:
    """As many blocks with each initial at its word, and without INITIAL; one that held only an initial is empty."""
    blocks = list(_with_lone_initials(blocks))
    if not any(INITIAL in block.text for block in blocks):
        return blocks

    @cache
    def words() -> Mapping[str, int]:
        return words_of("\n".join(block.text for block in blocks).replace(INITIAL, " "))

    return [replace(block, text=_joined(block.text, words)) if INITIAL in block.text else block for block in blocks]


def _with_lone_initials(blocks: Sequence[Block]) -> Iterator[Block]:
    """A paragraph of one letter is the initial of the next one, if that goes on with the rest of a word."""
    waiting: Block | None = None
    for block in blocks:
        if waiting:
            first = re.match(r"\s*([^\W\d_]+)", block.text)
            rest = first[1] if first and block.kind is BlockKind.PARAGRAPH else ""
            if rest and (rest.islower() or (INITIAL in waiting.text and rest.isupper())):
                initial = waiting.text if INITIAL in waiting.text else waiting.text + INITIAL
                block = replace(block, text=f"{initial} {block.text}", place=waiting.place)
                waiting = replace(waiting, text="")
            yield waiting
            waiting = None
        if block.kind is BlockKind.PARAGRAPH and not block.role and _ALONE.fullmatch(block.text.replace(INITIAL, "")):
            waiting = block
        else:
            yield block
    if waiting:
        yield waiting


def _joined(text: str, words: Callable[[], Mapping[str, int]]) -> str:
    def replacement(found: re.Match[str]) -> str:
        letter, mark, space, rest = found["letter"], found["mark"], found["space"], found["rest"]
        if space and letter.casefold() in _WORDS:
            whole = (letter + rest).casefold()
            if not words().get(whole) or words().get(rest.casefold(), 0) > words()[whole]:
                return found[0].replace(INITIAL, "")
        return f"{letter}{mark}{rest}" if rest else f"{letter}{mark}{space}"

    return _INITIAL.sub(replacement, text).replace(INITIAL, "")
