"""When each word of a take is said: as the listening models found when they checked it, else recognised now, once."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import numpy as np

from vvbatch.book.cache import kept
from vvbatch.book.contents import RATE, Chapter, Progress, Speech, Word, unseen
from vvbatch.ledger.records import chunks
from vvbatch.listening.contract import REMEDY, Clip, ListeningUnavailable
from vvbatch.store import write_atomically

if TYPE_CHECKING:
    from vvbatch.listening.words import Words

VERSION = 2
THREADS = 2
AT_ONCE = 32  # takes that are transcribed before their words are kept
Times = tuple[str, float, float]
"""A word with its start and end, in seconds of its take."""


def with_checked_words(chapters: Sequence[Chapter], checked: Mapping[str, Sequence[Times]]) -> list[Chapter]:
    """`checked` has the words of the takes whose profiles listen, by the ids of their lines."""
    return [_with_words(chapter, checked) for chapter in chapters]


def with_all_words(
    chapters: Sequence[Chapter], language: str, cache: Path, seen: Progress = unseen
) -> tuple[list[Chapter], list[str]]:
    """The other takes are transcribed, about 20 times as fast as they play; what an earlier call found is in the cache.

    Also returns, as warnings, why takes still have no words. `seen` is called with the number of takes that are
    transcribed, and of all that must be. Raises BookError and OSError.
    """
    takes = [speech for chapter in chapters for speech in chapter.speeches if speech.words is None]
    times: dict[str, list[Times]] = {}
    for speech in takes:
        with suppress(OSError, msgspec.DecodeError):
            times[speech.line] = msgspec.json.decode(kept(_path(speech, language, cache)), type=list[Times])
    untimed = [speech for speech in takes if speech.line not in times]
    reasons: Counter[str] = Counter()
    if untimed:
        try:
            from vvbatch.listening.words import Words

            words = Words.open(THREADS)
        except ImportError:
            reasons[f"the extra `qc` is not installed: {REMEDY}"] = len(untimed)
        except ListeningUnavailable as error:
            reasons[str(error)] = len(untimed)
        else:
            for speech, found in _transcribed(untimed, language, words, reasons, seen):
                write_atomically(_path(speech, language, cache), msgspec.json.encode(found))
                times[speech.line] = found
    lines = sum(len(chapter.speeches) for chapter in chapters)
    warnings = [f"vtt: words have no times in {count} of {lines} lines: {why}" for why, count in reasons.items()]
    return with_checked_words(chapters, times), warnings


def _transcribed(
    speeches: Sequence[Speech], language: str, words: Words, reasons: Counter[str], seen: Progress
) -> Iterator[tuple[Speech, list[Times]]]:
    """Each take with its words. `reasons` gets the number of takes in languages that no model here recognises."""
    from vvbatch.book.measures import read_item

    of_language: dict[str, list[Speech]] = {}
    for speech in speeches:
        of_language.setdefault(words.language(speech.text, language or None), []).append(speech)
    models = {spoken: model for spoken in of_language if (model := words.model_for(spoken))}
    reasons.update({words.why_not(spoken): len(of_language[spoken]) for spoken in of_language.keys() - models.keys()})
    done, total = 0, sum(len(of_language[spoken]) for spoken in models)
    for spoken, model in models.items():
        for group in chunks(of_language[spoken], AT_ONCE):
            clips = [Clip(np.asarray(read_item(speech), np.float32), RATE).at_16_khz for speech in group]
            for speech, transcript in zip(group, model.transcribe(clips, spoken), strict=True):
                yield speech, [(word.text.strip(), word.start_s, word.end_s) for word in transcript]
            done += len(group)
            seen(done, total)


def _path(speech: Speech, language: str, cache: Path) -> Path:
    name = hashlib.sha256(msgspec.json.encode([VERSION, language, speech.sha256, speech.text])).hexdigest()
    return cache / "words" / f"{name}.json"


def _with_words(chapter: Chapter, times: Mapping[str, Sequence[Times]]) -> Chapter:
    items = [
        replace(item, words=tuple(Word(*word) for word in times[item.line]))
        if isinstance(item, Speech) and item.line in times
        else item
        for item in chapter.items
    ]
    return replace(chapter, items=tuple(items))
