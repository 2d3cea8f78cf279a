"""The ends of sentences in a text, and a long text divided there."""

from __future__ import annotations

import re
from collections.abc import Iterator

_END = re.compile(r"[.!?…]+[”’\"'»)\]*_]*(?=\s+(\S))|[。！？]+[”’」』）》]*")
_CLAUSE_END = re.compile(r"[,;:–—]+[”’\"'»)\]]*(?=\s)|[，；、：]+")
_LAST_WORD = re.compile(r"(?:^|[\s(\[“‘\"'«])([\w.]+)$")
_LONGEST_WORD = 20
_ABBREVIATIONS = (
    "mr mrs ms mx dr prof st sr jr vs etc no nos fig figs vol ed eds inc ltd co corp gen col capt cmdr lt sgt maj rev "
    "hon gov sen rep pres messrs mt ft dept est approx cf al ca bzw usw nr hr fr hrsg evtl ggf inkl tel str abb bd jh "
    "mme mlle mm m sra dra srta ud uds av pág sig dott ing"
)
_ABBREVIATED = frozenset(_ABBREVIATIONS.split())


def sentence_ends(text: str) -> Iterator[int]:
    """The index behind the last character of each sentence but the last one.

    A full stop after an abbreviation or an initial, or before a lower-case letter, ends none.
    """
    for found in _END.finditer(text):
        after = found[1]  # None at the end, and behind marks that need no space
        if not after or not (after.islower() or (found[0].startswith(".") and _abbreviated(text, found))):
            yield found.end()


def clause_ends(text: str) -> Iterator[int]:
    """The index behind each mark that ends a clause: a comma, a semicolon, a colon or a dash."""
    return (found.end() for found in _CLAUSE_END.finditer(text))


def _abbreviated(text: str, stop: re.Match[str]) -> bool:
    if len(stop[0]) > 1 and stop[0][1] == ".":
        return False
    word = _LAST_WORD.search(text[max(0, stop.start() - _LONGEST_WORD) : stop.start()])
    if not word:
        return False
    return word[1].casefold() in _ABBREVIATED or "." in word[1] or (len(word[1]) == 1 and word[1].isalpha())


def divided(text: str, longest: int) -> list[str] | None:
    """`text` in parts of at most `longest` characters and about equal length, divided at the ends of sentences.

    A sentence that is too long is divided behind a comma or another mark of a clause; None if it has none.
    """
    sentences, clauses = list(sentence_ends(text)), list(clause_ends(text))
    parts = []
    start = 0
    while len(text) - start > longest:
        count = -(-(len(text) - start) // longest)
        ideal = start + (len(text) - start) / count
        for ends in (sentences, clauses):
            near = [end for end in ends if start < end <= start + longest]
            if near:
                break
        else:
            return None
        end = min(near, key=lambda each: abs(each - ideal))
        parts.append(text[start:end].strip())
        start = end + len(text[end:]) - len(text[end:].lstrip())
    return [*parts, text[start:]]
