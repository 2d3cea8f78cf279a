"""Two wordings compared: which words of a text were said, and what was said beside them."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from difflib import SequenceMatcher
from typing import Any

WORD = re.compile(r"[^\W_]+(?:['’][^\W_]+)*")
SAME_SOUND = 0.75  # letters in common from which on a passage counts as said: "light house", "colour", "Sarah"
OPTIONAL = frozenset({"and"})  # put in and left out at will, between numbers as elsewhere
LEFT_OUT = 0.5  # the likeness of such a word
SHORT = 3  # letters: "a" for "I", "or" for "are" say nothing about the take
SAID = 0.5  # … and a single word: tiny models spell names as they please
PHRASE = 8  # letters of two words and more, from which on saying them again is a fault and not a slip of the ear


@dataclass(frozen=True)
class Wording:
    text: Sequence[str]
    likeness: Sequence[float]  # of each word of the text with what was heard in its place, 0 (missing) to 1
    added: Sequence[str] = ()
    repeated: Sequence[str] = ()  # the longest phrase that was heard more often than the text says it
    wrong: Sequence[tuple[str, str]] = field(default=())

    @property
    def missing(self) -> list[str]:
        return [word for word, likeness in zip(self.text, self.likeness, strict=True) if likeness == 0]

    @property
    def error_rate(self) -> float:
        """(missing + added + wrong) / words of the text: the word error rate (WER)."""
        errors = len(self.missing) + len(self.added) + len(self.wrong)
        return errors / max(len(self.text), 1)

    @property
    def opening(self) -> float:
        """The likeness of the first word; of a short one together with the next: an article is easily misheard."""
        count = 2 if len(self.text[0]) <= SHORT and len(self.text) > 1 else 1
        letters = [len(word) for word in self.text[:count]]
        return sum(a * b for a, b in zip(letters, self.likeness, strict=False)) / sum(letters)

    def as_json(self) -> dict[str, Any]:
        found = {
            "missing": self.missing,
            "added": list(self.added),
            "repeated": list(self.repeated),
            "wrong": [list(pair) for pair in self.wrong],
        }
        return {name: words for name, words in found.items() if words}


def spoken_words(text: str) -> list[str]:
    """The words of a text as they are spoken, in lower case: "£3.50" is three, pounds, and, fifty, pence."""
    from spokenform import prepare

    spoken = prepare(text, language="en").spoken_text if text.strip() else ""
    words = (word.lower().replace("’", "'") for word in WORD.findall(spoken))
    return [word.removesuffix("'s").replace("'", "") for word in words]


def compare(text: Sequence[str], heard: Sequence[str]) -> Wording:
    """Align what was heard with the text."""
    likeness = [1.0] * len(text)
    added: list[str] = []
    wrong: list[tuple[str, str]] = []
    for tag, a, b, c, d in SequenceMatcher(None, text, heard, autojunk=False).get_opcodes():
        if tag == "equal":
            continue
        if alike("".join(text[a:b]), "".join(heard[c:d])) >= SAME_SOUND:
            continue
        for i, j in _pairs(text[a:b], heard[c:d]):
            if j is None and i is not None:
                likeness[a + i] = LEFT_OUT if text[a + i] in OPTIONAL else 0.0
            elif i is None and j is not None:
                # Where other words were heard, one may have become two ("violins", "by a lens").
                if heard[c + j] not in OPTIONAL and (tag == "insert" or d - c > 2 * (b - a) + 1):
                    added.append(heard[c + j])
            elif i is not None and j is not None:
                likeness[a + i] = alike(text[a + i], heard[c + j])
                if max(len(text[a + i]), len(heard[c + j])) <= SHORT:
                    likeness[a + i] = max(likeness[a + i], SAID)
                if likeness[a + i] < SAID:
                    likeness[a + i] = max(likeness[a + i], 0.01)  # something was said in its place
                    wrong.append((text[a + i], heard[c + j]))
    return Wording(tuple(text), tuple(likeness), tuple(added), said_again(text, heard), tuple(wrong))


def alike(one: str, other: str) -> float:
    """2 * letters in common, in order / letters of both."""
    return SequenceMatcher(None, one, other, autojunk=False).ratio() if one and other else 0.0


def _pairs(text: Sequence[str], heard: Sequence[str]) -> Iterator[tuple[int | None, int | None]]:
    """The cheapest alignment: a word left out or added costs 1, one for another 1 less what they have in common."""
    cost = [[float(i + j) for j in range(len(heard) + 1)] for i in range(len(text) + 1)]
    for i, word in enumerate(text, start=1):
        for j, other in enumerate(heard, start=1):
            change = cost[i - 1][j - 1] + 1.0 - alike(word, other)
            cost[i][j] = min(change, cost[i - 1][j] + 1.0, cost[i][j - 1] + 1.0)
    i, j = len(text), len(heard)
    found: list[tuple[int | None, int | None]] = []
    while i or j:
        if i and j and cost[i][j] == cost[i - 1][j - 1] + 1.0 - alike(text[i - 1], heard[j - 1]):
            i, j = i - 1, j - 1
            found.append((i, j))
        elif i and cost[i][j] == cost[i - 1][j] + 1.0:
            i -= 1
            found.append((i, None))
        else:
            j -= 1
            found.append((None, j))
    return reversed(found)


def said_again(text: Sequence[str], heard: Sequence[str]) -> tuple[str, ...]:
    """The longest phrase, of at least two words and PHRASE letters, that was heard more often than the text says it.

    So was each of its words: "of supply", heard for "if supply", makes no phrase of a supply that the text repeats.
    """
    longest: tuple[str, ...] = ()
    letters = "".join(text)  # "heatwaves" are not said less often than "heat waves"
    more = Counter(heard)
    more.subtract(text)
    for length in range(2, len(heard)):
        phrases = Counter(tuple(heard[at : at + length]) for at in range(len(heard) - length + 1))
        twice = {phrase: count for phrase, count in phrases.items() if count > 1}
        if not twice:
            break
        for phrase, count in twice.items():
            run = "".join(phrase)
            if len(run) >= PHRASE and count > letters.count(run) and all(more[word] > 0 for word in phrase):
                longest = phrase
    return longest
