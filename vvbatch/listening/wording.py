"""Compares a transcript with the expected text: word error rate, repeated phrases, and the first and last word."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from itertools import groupby

from vvbatch.qc import numbers
from vvbatch.qc.check import Detail
from vvbatch.qc.letters import IDEOGRAPHS, KANA, runs

WORD = re.compile(r"[^\W_]+(?:['’][^\W_]+)*")
LONG_NUMBER = re.compile(r"(?<![\d.,])(?:\d{7,}|\d{1,3}(?:,\d{3}){4,})(?![\d,])")
SAME_SOUND = 0.75  # similarity from which a passage counts as correct: "light house", "colour", "Sarah"
OPTIONAL = frozenset({"and"})  # transcribers insert and drop it freely, not only in numbers
OPTIONAL_MISSING = 0.5  # the similarity of such a word when it is missing
SHORT = 3  # letters: "a" for "I", "or" for "are" say nothing about the take
CORRECT = 0.5  # similarity from which a single word counts as correct: tiny models spell names freely
PHRASE = 8  # letters of two words and more; a shorter repetition may be a transcription error
FEWEST = 4  # words that errors are divided by at least: in a short text, one misrecognized word decides nothing
EDGE = 7  # letters of the first and the last words that are compared together


@dataclass(frozen=True)
class Wording:
    """The alignment of a transcript with the expected text."""

    text: Sequence[str]
    similarity: Sequence[float]  # of each word of the text with the transcribed one, 0 (missing) to 1
    added: Sequence[str] = ()
    repeated: Sequence[str] = ()  # the longest phrase that the transcript has more often than the text
    wrong: Sequence[tuple[str, str]] = ()  # expected and transcribed word

    @property
    def missing(self) -> list[str]:
        return [word for word, similarity in zip(self.text, self.similarity, strict=True) if similarity == 0]

    @property
    def error_rate(self) -> float:
        """The word error rate (WER): (missing + added + wrong) / words of the text, at least FEWEST."""
        errors = len(self.missing) + len(self.added) + len(self.wrong)
        return errors / max(len(self.text), FEWEST)

    @property
    def opening(self) -> float:
        """The similarity of the first words, up to EDGE letters: a single short word is often misrecognized."""
        return self._likeness(range(len(self.text)))

    @property
    def ending(self) -> float:
        """The similarity of the last words, up to EDGE letters; that of the last word alone if it is missing."""
        last = self.text[-1]
        if self.similarity[-1] == 0 and len(last) > SHORT:
            return 0.0
        return self._likeness(range(len(self.text) - 1, -1, -1))

    def _likeness(self, order: range) -> float:
        """The mean similarity of words weighted by their letters, in this order until there are EDGE letters."""
        letters, alike = 0, 0.0
        for index in order:
            letters += len(self.text[index])
            alike += len(self.text[index]) * self.similarity[index]
            if letters >= EDGE:
                break
        return alike / max(letters, 1)

    @property
    def left_out(self) -> tuple[str, ...]:
        """The longest phrase, of at least two words and PHRASE letters, not recognized and with a word missing."""
        longest: tuple[str, ...] = ()
        words = zip(self.text, self.similarity, strict=True)
        for is_off, run in groupby(words, lambda word: word[1] < CORRECT):
            found = list(run)
            phrase = tuple(word for word, _ in found)
            missing = any(similarity == 0 for _, similarity in found)
            if is_off and missing and len(phrase) > max(len(longest), 1) and len("".join(phrase)) >= PHRASE:
                longest = phrase
        return longest

    def detail(self) -> Detail:
        """The words that differ, without empty lists."""
        differences: dict[str, list[str] | list[list[str]]] = {
            "missing": self.missing,
            "added": list(self.added),
            "repeated": list(self.repeated),
            "left_out": list(self.left_out),
            "wrong": [list(pair) for pair in self.wrong],
        }
        return {name: words for name, words in differences.items() if words}


def spoken_words(text: str, language: str = "en") -> list[str]:
    """The words of a text as they are spoken, in lower case: "£3.50" is three, pounds, and, fifty, pence.

    Ideographs and kana are words of their own. What cannot be said stays as it is written.
    """
    spoken = spoken_form(LONG_NUMBER.sub(_number_words, text) if language == "en" else text, language)
    words = (word.lower().replace("’", "'") for word in WORD.findall(spoken))
    plain = (word.removesuffix("'s").replace("'", "") for word in words)
    return [part for word in plain for part in _parts(word)]


def spoken_form(text: str, language: str) -> str:
    """`text` with numbers and abbreviations in words; as written where spokenform does not know how."""
    from spokenform import prepare

    try:
        return str(prepare(text, language=language).spoken_text) if text.strip() else ""
    except (ValueError, ArithmeticError, LookupError):  # a number out of its range, a language it does not know
        return text


def _number_words(number: re.Match[str]) -> str:
    """A number that spokenform leaves in digits or refuses, in words."""
    return " ".join(numbers.readings(number[0])[0])


def _parts(word: str) -> Iterator[str]:
    for density, letters in runs(word):
        yield from letters if density in (IDEOGRAPHS, KANA) else (letters,)


def compare(text: Sequence[str], transcript: Sequence[str]) -> Wording:
    """Align the words of a transcript with those of the text; both as `spoken_words` returns them."""
    similarity = [1.0] * len(text)
    added: list[str] = []
    wrong: list[tuple[str, str]] = []
    for tag, a, b, c, d in SequenceMatcher(None, text, transcript, autojunk=False).get_opcodes():
        if tag == "equal":
            continue
        if alike("".join(text[a:b]), "".join(transcript[c:d])) >= SAME_SOUND:
            continue
        for i, j in _pairs(text[a:b], transcript[c:d]):
            if j is None and i is not None:
                similarity[a + i] = OPTIONAL_MISSING if text[a + i] in OPTIONAL else 0.0
            elif i is None and j is not None:
                # In place of other words, one word may have become two ("violins", "by a lens").
                if transcript[c + j] not in OPTIONAL and (tag == "insert" or d - c > 2 * (b - a) + 1):
                    added.append(transcript[c + j])
            elif i is not None and j is not None:
                similarity[a + i] = alike(text[a + i], transcript[c + j])
                if max(len(text[a + i]), len(transcript[c + j])) <= SHORT:
                    similarity[a + i] = max(similarity[a + i], CORRECT)
                if similarity[a + i] < CORRECT:
                    similarity[a + i] = max(similarity[a + i], 0.01)  # wrong, but not missing
                    wrong.append((text[a + i], transcript[c + j]))
    repeated = repeated_phrase(text, transcript)
    return Wording(tuple(text), tuple(similarity), tuple(added), repeated, tuple(wrong))


def as_recognized(spoken: Sequence[str], written: Sequence[str], transcript: Sequence[str]) -> list[str]:
    """The words of a text, each in the form that fits the transcript better: as it is spoken, or as it is written.

    A recognizer writes "Worcestershire" for what was spoken as "Wooster-sher", and sometimes what it sounds like.
    """
    changes = SequenceMatcher(None, spoken, written, autojunk=False).get_opcodes()
    text = list(spoken)
    rate = compare(text, transcript).error_rate
    for tag, a, b, c, d in reversed(changes):  # from the end, so that the indices before stay right
        if tag != "equal":
            other = [*text[:a], *written[c:d], *text[b:]]
            other_rate = compare(other, transcript).error_rate
            if other_rate < rate:
                text, rate = other, other_rate
    return text


def alike(one: str, other: str) -> float:
    """Ratcliff/Obershelp similarity, 0 to 1: 2 * letters in common, in order / letters of both."""
    return SequenceMatcher(None, one, other, autojunk=False).ratio() if one and other else 0.0


def _pairs(text: Sequence[str], transcript: Sequence[str]) -> Iterator[tuple[int | None, int | None]]:
    """The alignment of least cost: 1 for a missing or added word, 1 - similarity for one word in place of another."""
    cost = [[float(i + j) for j in range(len(transcript) + 1)] for i in range(len(text) + 1)]
    for i, word in enumerate(text, start=1):
        for j, other in enumerate(transcript, start=1):
            change = cost[i - 1][j - 1] + 1.0 - alike(word, other)
            cost[i][j] = min(change, cost[i - 1][j] + 1.0, cost[i][j - 1] + 1.0)
    i, j = len(text), len(transcript)
    pairs: list[tuple[int | None, int | None]] = []
    while i or j:
        if i and j and cost[i][j] == cost[i - 1][j - 1] + 1.0 - alike(text[i - 1], transcript[j - 1]):
            i, j = i - 1, j - 1
            pairs.append((i, j))
        elif i and cost[i][j] == cost[i - 1][j] + 1.0:
            i -= 1
            pairs.append((i, None))
        else:
            j -= 1
            pairs.append((None, j))
    return reversed(pairs)


def repeated_phrase(text: Sequence[str], transcript: Sequence[str]) -> tuple[str, ...]:
    """The longest phrase, of at least two words and PHRASE letters, that the transcript has more often than the text.

    Each of its words must be too: "of supply", recognized for "if supply", repeats nothing when the text itself has
    "supply" twice.
    """
    longest: tuple[str, ...] = ()
    letters = "".join(text)  # so that "heatwaves" matches "heat waves"
    more = Counter(transcript)
    more.subtract(text)
    for length in range(2, len(transcript)):
        phrases = Counter(tuple(transcript[at : at + length]) for at in range(len(transcript) - length + 1))
        twice = {phrase: count for phrase, count in phrases.items() if count > 1}
        if not twice:
            break
        for phrase, count in twice.items():
            run = "".join(phrase)
            if len(run) >= PHRASE and count > letters.count(run) and all(more[word] > 0 for word in phrase):
                longest = phrase
    return longest
