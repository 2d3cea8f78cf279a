"""What of a text is known to go wrong when VibeVoice speaks it, and what is likely to be a slip. See docs/lint.md."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from vvbatch.profiles import PartWords
from vvbatch.qc.letters import DENSITY, script_of
from vvbatch.script.model import Chapter, ScriptLine, ScriptTurn, ScriptWarning
from vvbatch.speech_text.words import words

FEW_WORDS = 3
"""Upstream's documentation: with three words or fewer "the model's stability may degrade"."""
MANY_WORDS = 1000  # of one speaker; beyond, VibeVoice speaks faster and faster

_WORD = re.compile(r"[^\W_]+(?:['’-][^\W_]+)*")
_GREETING = re.compile(
    r"\W*(?:hello|hi|hey|good (?:morning|evening|afternoon|day))?"
    r"\W*(?:everyone|everybody|listeners|folks|all)?\W*(?:and )?"
    r"(?:welcome (?:to|back)|you(?:'|’)re listening to|this is the .{1,40} (?:podcast|show))\b",
    re.IGNORECASE,
)
_DOTS = re.compile(r"…|\.{3,}|(?:\. ){2,}\.")
_EXCLAIMED = re.compile(r"[!?]{3,}|!{2,}")


@dataclass(frozen=True)
class Finding:
    """Something of a text; `where` is the part of it that the finding is about."""

    code: str
    message: str
    remedy: str
    where: str


def of_text(text: str) -> Iterator[Finding]:
    """What VibeVoice is known to speak badly in one speaker's text."""
    found_words = _WORD.findall(text)
    if len(found_words) <= FEW_WORDS and not _unspaced(text):
        count = "one word" if len(found_words) == 1 else f"{len(found_words)} words"
        remedy = "join it with the line before or after it, or listen to the take"
        yield Finding("few-words", f"a text of {count}: VibeVoice is unsteady there, or plays music", remedy, text)
    if found := _GREETING.match(text):
        remedy = "begin with another sentence, or listen to the take"
        yield Finding("greeting", "an opening of podcasts, at which VibeVoice plays music", remedy, found[0].strip())
    if (found := _DOTS.search(text)) and (len(_DOTS.findall(text)) > 1 or not text[found.end() :].strip(" ”\"')»")):
        remedy = "write a comma, a full stop or a pause: [pause 0.8s]"
        yield Finding("dots", "dots: VibeVoice breathes, hums or trails off there", remedy, found[0])
    if found := _EXCLAIMED.search(text):
        remedy = "one mark is enough"
        yield Finding("exclamation", f"{found[0]}: VibeVoice may shout, laugh or play music there", remedy, found[0])
    if shouted := _capitals(text):
        remedy = "write it in small letters"
        yield Finding("capitals", f"words in capitals ({shouted}): spelt out or shouted", remedy, shouted)


def of_length(text: str, longest: int = MANY_WORDS) -> Iterator[Finding]:
    """A text of one speaker that is too long to be spoken evenly."""
    count = words(text)
    if count > longest:
        remedy = "divide it into several lines, or let the profile divide it: text.part_words"
        yield Finding("many-words", f"{count:,.0f} words in one take: VibeVoice speaks faster and faster", remedy, text)


def of_part(text: str, least: int) -> Iterator[Finding]:
    """A take with fewer words than its profile has for a part, and more than FEW_WORDS."""
    count = words(text)
    if FEW_WORDS < count < least:
        remedy = "join it with the line before or after it, or listen to the take"
        yield Finding("short-line", f"a take of {count:.0f} words: VibeVoice may play music there", remedy, text)


def unclosed(texts: Sequence[str]) -> Iterator[tuple[int, Finding]]:
    """Quotation marks and brackets without their other half, each with the index of its text.

    Of several paragraphs in one quotation only the last is closed, while each is opened: that is no slip.
    """
    for index, text in enumerate(texts):
        following = texts[index + 1].lstrip() if index + 1 < len(texts) else ""
        for opening, closing in _pairs(text):
            same = opening == closing
            opened, closed = text.count(opening), 0 if same else sum(text.count(mark) for mark in closing)
            missing = opened % 2 if same else opened - closed
            if missing > 0 and not (missing == 1 and following.startswith(opening)):
                yield index, Finding("unbalanced", f"{opening} is not closed", f"add {closing[0]}", opening)
            elif missing < 0 and opening not in "([":  # "1)" and "a]" number items
                yield index, Finding("unbalanced", f"{closing[0]} is not opened", f"add {opening}", closing[0])


def _pairs(text: str) -> Iterator[tuple[str, str]]:
    """Opening and closing marks as a text uses them: “…”, „…“ or ”…”; «…» or »…«."""
    yield from (('"', '"'), ("「", "」"), ("『", "』"), ("(", ")"), ("[", "]"))
    if "„" in text:
        yield "„", "“”"
    else:
        yield ("“", "”") if "“" in text else ("”", "”")
    reverse = "»" in text and text.find("»") < (text.find("«") if "«" in text else len(text))
    yield ("»", "«") if reverse and "«" in text else ("«", "»")


def of_line(line: ScriptLine, limits: PartWords | None) -> Iterator[ScriptWarning]:
    """What VibeVoice is known to speak badly in a line or a part, each at its turn."""
    for turn in line.turns:
        for finding in (*of_text(turn.text), *of_length(turn.text)):
            yield _warning(turn, finding)
    if limits and len(line.turns) == 1:
        for finding in of_part(line.turns[0].text, limits.min):
            yield _warning(line.turns[0], finding)


def of_chapter(chapter: Chapter) -> Iterator[ScriptWarning]:
    """Quotation marks and brackets without their other half, in any engine's texts."""
    turns = [turn for line in chapter.lines for turn in line.turns]
    for index, finding in unclosed([turn.text if turn.written is None else turn.written for turn in turns]):
        yield _warning(turns[index], finding)


def _warning(turn: ScriptTurn, finding: Finding) -> ScriptWarning:
    return ScriptWarning(turn.position, finding.code, finding.message, finding.remedy)


def _capitals(text: str) -> str | None:
    """The first two or more words in a row that are in capitals, with at least 8 letters together."""
    run: list[str] = []
    for word in [*_WORD.findall(text), ""]:
        if len(word) > 1 and word.isupper():
            run.append(word)
            continue
        if len(run) > 1 and sum(map(len, run)) >= 8:
            return " ".join(run[:6])
        run = []
    return None


def _unspaced(text: str) -> bool:
    return any(script_of(letter) in DENSITY for letter in text)
