"""Words of a script that may need a pronunciation: names, abbreviations in capitals, words of two scripts, and words
that the recognizer misunderstood again and again."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from itertools import chain

import msgspec

from vvbatch.qc.letters import script_of
from vvbatch.script.sentences import sentence_ends

SHOWN = 20
MISHEARD_IN = 2  # lines
KINDS = ("misheard", "two scripts", "letters and digits", "capitals", "name")

_WORD = re.compile(r"[^\W_]+(?:['’-][^\W_]+)*")
_ORDINAL = re.compile(r"\d+(?:st|nd|rd|th|s|[ap]m)")  # 21st, 1990s, 5pm
_ROMAN = re.compile("[IVXLCDM]+")
_POSSESSIVES = ("'s", "’s")
_OPENING = frozenset('“"‘«„(')


class Candidate(msgspec.Struct, frozen=True):
    word: str
    count: int  # how often the script has it
    why: str


def candidates(
    texts: Iterable[str], known: Iterable[str] = (), misheard: Mapping[str, int] | None = None
) -> list[Candidate]:
    """At most SHOWN words without a `known` pronunciation, the most frequent of each kind first.

    `misheard` gives, by words in small letters, the number of lines in which the recognizer wrote another word.
    """
    words: Counter[str] = Counter()
    inside: Counter[str] = Counter()  # a sentence, where only a name has a capital
    for text in texts:
        for first, word in _words(text):
            words[word] += 1
            inside[word] += not first
    small = {word for word in words if word == word.lower()}
    skipped = {word.lower() for word in known}
    wrong = {word: count for word, count in (misheard or {}).items() if count >= MISHEARD_IN}
    kinds: dict[str, list[Candidate]] = {kind: [] for kind in KINDS}
    for word, count in words.most_common():
        kind = _kind(word, inside[word], small, wrong)
        if kind is not None:
            why = f"misheard in {wrong[word.lower()]} lines" if kind == "misheard" else kind
            kinds[kind].append(Candidate(word, count, why))
    found: list[Candidate] = []
    for each in chain.from_iterable(kinds.values()):
        if each.word.lower() not in skipped:
            skipped.add(each.word.lower())
            found.append(each)
    return found[:SHOWN]


def _words(text: str) -> Iterator[tuple[bool, str]]:
    """The words of a text, each with whether a sentence begins with it."""
    starts = [0, *sentence_ends(text), len(text)]
    at = 0
    for found in _WORD.finditer(text):
        start = found.start()
        first = start >= starts[at]
        while start >= starts[at]:
            at += 1
        word = found[0]
        yield first or _opened(text, start), word[:-2] if word.endswith(_POSSESSIVES) else word


def _opened(text: str, at: int) -> bool:
    """Whether an opening quotation mark or bracket stands before `at`."""
    while at and text[at - 1].isspace():
        at -= 1
    return at > 0 and text[at - 1] in _OPENING


def _kind(word: str, inside: int, small: set[str], wrong: Mapping[str, int]) -> str | None:
    letters = word if word.isalpha() else [letter for letter in word if letter.isalpha()]
    if not letters:
        return None
    if word.lower() in wrong:
        return "misheard"
    if not word.isascii() and len({script_of(letter) for letter in letters}) > 1:
        return "two scripts"
    if any(letter.isdigit() for letter in word) and not _ORDINAL.fullmatch(word.lower()):
        return "letters and digits"
    if len(letters) > 1 and word.isupper():
        return None if _ROMAN.fullmatch(word) else "capitals"
    if len(letters) > 2 and word[0].isupper() and inside and word.lower() not in small:
        return "name"
    return None
