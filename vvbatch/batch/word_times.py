"""When each word of a take is said: as the listening models found when they checked it, else recognised now, once."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import numpy as np

from vvbatch.book.contents import RATE, Chapter, Speech, Word
from vvbatch.listening.contract import Clip, ListeningUnavailable
from vvbatch.store import write_atomically

if TYPE_CHECKING:
    from vvbatch.listening.words import Words

VERSION = 1
THREADS = 2
Times = tuple[str, float, float]
"""A word with its start and end, in seconds of its take."""


def with_checked_words(chapters: Sequence[Chapter], checked: Mapping[str, Sequence[Times]]) -> list[Chapter]:
    """`checked` has the words of the takes whose profiles listen, by the ids of their lines."""
    return [_with_words(chapter, checked) for chapter in chapters]


def with_all_words(chapters: Sequence[Chapter], language: str, cache: Path) -> list[Chapter]:
    """The other takes are transcribed, about 20 times as fast as they play. They stay as they are without the extra
    `qc`, and in a language that no model here knows. Raises BookError and OSError.
    """
    unheard = [chapter for chapter in chapters if any(speech.words is None for speech in chapter.speeches)]
    if not unheard:
        return list(chapters)
    try:
        from vvbatch.listening.words import Words

        words = Words.open(THREADS)
    except (ImportError, ListeningUnavailable):
        return list(chapters)
    return [_heard(chapter, words, language, cache) if chapter in unheard else chapter for chapter in chapters]


def _heard(chapter: Chapter, words: Words, language: str, cache: Path) -> Chapter:
    from vvbatch.book.measures import read_item

    waiting = [speech for speech in chapter.speeches if speech.words is None]
    named = [VERSION, words.versions, language, [(speech.sha256, speech.text) for speech in waiting]]
    path = cache / "words" / f"{hashlib.sha256(msgspec.json.encode(named)).hexdigest()}.json"
    with suppress(OSError, msgspec.DecodeError):
        return _with_words(chapter, msgspec.json.decode(path.read_bytes(), type=dict[str, list[Times]]))
    by_language: dict[str, list[Speech]] = {}
    for speech in waiting:
        by_language.setdefault(words.language(speech.text, language or None), []).append(speech)
    found: dict[str, list[Times]] = {}
    for spoken, speeches in by_language.items():
        if model := words.model_for(spoken):
            clips = [Clip(np.asarray(read_item(speech), np.float32), RATE).at_16_khz for speech in speeches]
            for speech, transcript in zip(speeches, model.transcribe(clips, spoken), strict=True):
                found[speech.line] = [(word.text.strip(), word.start_s, word.end_s) for word in transcript]
    write_atomically(path, msgspec.json.encode(found))
    return _with_words(chapter, found)


def _with_words(chapter: Chapter, times: Mapping[str, Sequence[Times]]) -> Chapter:
    items = [
        replace(item, words=tuple(Word(*word) for word in times[item.line]))
        if isinstance(item, Speech) and item.line in times
        else item
        for item in chapter.items
    ]
    return replace(chapter, items=tuple(items))
