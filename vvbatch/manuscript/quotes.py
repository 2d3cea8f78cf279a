"""Quoted speech: a paragraph → what the narrator says and what is quoted. Who speaks is not guessed."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

NEAR = 50  # characters around a quote that say whether it is speech; more would take hours in a hostile text
QUOTED = "quoted"
"""The speaker of all quoted speech."""


@dataclass(frozen=True)
class Style:
    """A pair of quotation marks. `single` ones may be apostrophes too."""

    opening: str
    closing: str
    single: bool = False


STYLES = (
    Style("“", "”"),
    Style('"', '"'),
    Style("„", "“"),
    Style("«", "»"),
    Style("»", "«"),
    Style("「", "」"),
    Style("„", "”"),
    Style("‘", "’", single=True),
    Style("'", "'", single=True),
    Style("‚", "‘", single=True),
    Style("›", "‹"),
    Style("‹", "›"),
)
_BEFORE_OPENING = re.compile(r"[\s(\[—–\-:…]$|^$")
_SPEECH_END = re.compile(r"[.,!?…;:—–\-。，！？、]['’”\"›»)\]]?\s?$")
_INTRODUCED = re.compile(r"[,:،，：]\s*$")
_COLONS, _COMMAS = (":", "："), (",", "，")
_CLOSING = re.compile(r"[,.;:!?…，。]+")
_SPEAKABLE = re.compile(r"[^\W_]")


@dataclass(frozen=True)
class Span:
    """A part of a paragraph; its quotation marks belong to it."""

    quoted: bool
    text: str


@dataclass(frozen=True)
class Marked:
    """A paragraph in spans. `open`: its last quote has no end, and the next paragraph does not go on with it."""

    spans: tuple[Span, ...]
    open: bool = False


def style_of(texts: Iterable[str]) -> Style | None:
    """The quotation marks that hold most speech in these texts; None if there is none."""
    counts: Counter[Style] = Counter()
    for text in texts:
        for style in STYLES:
            counts[style] += sum(
                end is not None and _is_speech(text, start, end) for start, end in _quotes(text, style)
            )
    best = max(STYLES, key=lambda style: counts[style])
    return best if counts[best] else None


def marked(texts: Sequence[str], style: Style) -> list[Marked]:
    """Each paragraph in spans. A quote without an end goes on in the next paragraph if that begins with a mark."""
    done = []
    for number, text in enumerate(texts):
        after = texts[number + 1] if number + 1 < len(texts) else ""
        done.append(_marked(text, style, goes_on=after.lstrip().startswith(style.opening)))
    return done


def _marked(text: str, style: Style, *, goes_on: bool) -> Marked:
    spans: list[Span] = []
    at = 0
    is_open = False
    for start, end in _quotes(text, style):
        if end is None and style.single and not goes_on:
            continue  # an apostrophe
        if not _is_speech(text, start, end):
            continue
        is_open = end is None and not goes_on
        stop = len(text) if end is None else end
        spans += [Span(False, text[at:start]), Span(True, text[start:stop])]
        at = stop
    return Marked(tuple(_merged([*spans, Span(False, text[at:])])), is_open)


def _quotes(text: str, style: Style) -> list[tuple[int, int | None]]:
    """Where quotes begin and end; the end of the last one may be None."""
    found: list[tuple[int, int | None]] = []
    at = 0
    while (start := text.find(style.opening, at)) >= 0:
        at = start + 1
        if not _BEFORE_OPENING.search(text[max(0, start - 1) : start]) or (
            text[at : at + 1].isspace() and style.single
        ):
            continue
        end = _closing(text, at, style)
        found.append((start, end))
        if end is None:
            break
        at = end
    return found


def _closing(text: str, at: int, style: Style) -> int | None:
    """The index behind the mark that ends a quote. An apostrophe ends none."""
    while (close := text.find(style.closing, at)) >= 0:
        at = close + 1
        if not style.single or (not text[at : at + 1].isalnum() and text[close - 1] in ".,!?…;:—–-" + style.opening):
            return at
    return None


def _is_speech(text: str, start: int, end: int | None) -> bool:
    """Whether a quote is speech rather than a name or a word in quotes: it has the mark of a sentence or a clause at
    its end, or the text around it introduces it, or it is all of the paragraph."""
    if end is None:
        return True
    inside, after, before = (
        text[start + 1 : end - 1],
        text[end : end + NEAR].lstrip(),
        text[max(0, start - NEAR) : start],
    )
    if not _SPEAKABLE.search(inside):
        return False
    if not before.strip() and (after.startswith((",", "，")) or not _SPEAKABLE.search(text, end)):
        return True
    introduced = before.rstrip()[-1:]
    if introduced in _COLONS or (introduced in _COMMAS and not after[:1].isalnum()):
        return True
    return bool(_SPEECH_END.search(inside))


def _merged(spans: Iterable[Span]) -> list[Span]:
    """The same text; a span without a letter or digit, and punctuation behind a quote, belong to the span before."""
    done: list[tuple[bool, list[str]]] = []
    lead = ""
    for span in spans:
        closing = _CLOSING.match(span.text)
        if not _SPEAKABLE.search(span.text):
            if done:
                done[-1][1].append(span.text)
            else:
                lead += span.text
        elif done and closing:
            done[-1][1].append(closing[0])
            done.append((span.quoted, [span.text[closing.end() :]]))
        elif done and done[-1][0] == span.quoted:
            done[-1][1].append(span.text)
        else:
            done.append((span.quoted, [lead, span.text]))
            lead = ""
    return [Span(quoted, "".join(pieces)) for quoted, pieces in done] or [Span(False, lead)]
