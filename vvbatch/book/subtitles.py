"""Subtitles of a finished file: one cue a line or a part of it, by the map of its takes. SRT and WebVTT."""

from __future__ import annotations

import html
import re
from collections.abc import Iterator, Sequence
from dataclasses import replace

from vvbatch.book.contents import Cue, Word
from vvbatch.book.tags import plain

LONGEST_CUE = 84  # characters: two rows of 42
ROW = 42
SHORTEST_S = 0.2


def srt(cues: Sequence[Cue]) -> str:
    """An SRT file; times are rounded to milliseconds."""
    shown = [cue for cue in _divided(cues) if cue.text]
    rows = [
        f"{index}\n{_clock(cue.start_s, ',')} --> {_clock(cue.stop_s, ',')}\n{_rows(cue.text)}\n"
        for index, cue in enumerate(shown, 1)
    ]
    return "\n".join(rows)


def vtt(cues: Sequence[Cue]) -> str:
    """A WebVTT file with the voice of each cue, and the times of its words where they are known."""
    parts = ["WEBVTT\n"]
    for cue in _divided(cues):
        if cue.text:
            times = f"{_clock(cue.start_s, '.')} --> {_clock(cue.stop_s, '.')}"
            voice = html.escape(plain(cue.voice), quote=False)
            parts.append(f"{times}\n<v {voice}>{_timed(cue)}\n")
    return "\n".join(parts)


def clamped(words: Sequence[Word], start_s: float, stop_s: float) -> list[Word]:
    """Words within their line, in order: a recogniser's times lie up to half a second off."""
    found: list[Word] = []
    earliest = start_s
    for word in words:
        start = min(max(word.start_s, earliest), stop_s)
        stop = min(max(word.stop_s, start), stop_s)
        found.append(Word(word.text, start, stop))
        earliest = stop
    return found


def aligned(text: str, words: Sequence[Word], start_s: float, stop_s: float) -> list[Word]:
    """The words of the known text with the times of the recognised ones; what was not recognised lies between.

    Without recognised words the times follow the lengths of the words.
    """
    import difflib

    known = text.split()
    found_words = clamped(words, start_s, stop_s)
    matcher = difflib.SequenceMatcher(
        None, [_bare(w) for w in known], [_bare(w.text) for w in found_words], autojunk=False
    )
    times: dict[int, Word] = {}
    for block in matcher.get_matching_blocks():
        for offset in range(block.size):
            times[block.a + offset] = found_words[block.b + offset]
    found: list[Word] = []
    index = 0
    while index < len(known):
        if index in times:
            found.append(replace(times[index], text=known[index]))
            index += 1
            continue
        stop = next((at for at in range(index, len(known)) if at in times), len(known))
        first = found[-1].stop_s if found else start_s
        last = times[stop].start_s if stop in times else stop_s
        found += _spread(known[index:stop], first, max(first, last))
        index = stop
    return found


def _spread(words: Sequence[str], start_s: float, stop_s: float) -> list[Word]:
    """Times in proportion to the lengths of the words."""
    sizes = [len(word) + 1 for word in words]
    if not sizes:
        return []
    step = (stop_s - start_s) / sum(sizes)
    ends = [start_s + step * sum(sizes[: index + 1]) for index in range(len(sizes))]
    return [Word(word, start, stop) for word, start, stop in zip(words, [start_s, *ends], ends, strict=False)]


def _divided(cues: Sequence[Cue]) -> Iterator[Cue]:
    """Long lines in pieces that fit two rows, by the times of their words."""
    for cue in cues:
        words = list(cue.words) or _spread(plain(cue.text, 1 << 20).split(), cue.start_s, cue.stop_s)
        if not words:
            yield replace(cue, text="", words=())
        for piece in _pieces(words):
            stop = max(piece[-1].stop_s, piece[0].start_s + SHORTEST_S)
            known = piece if cue.words else ()
            text = " ".join(word.text for word in piece)
            yield replace(
                cue, text=text, start_s=piece[0].start_s, stop_s=min(stop, max(cue.stop_s, stop)), words=known
            )


def _pieces(words: Sequence[Word]) -> Iterator[list[Word]]:
    """At most LONGEST_CUE characters each, divided after punctuation where that leaves no tiny piece."""
    piece: list[Word] = []
    size = 0
    for word in words:
        full = size + len(word.text) + 1 > LONGEST_CUE
        sentence_ends = piece and re.search(r"[.!?…]['\"”’)]*$", piece[-1].text) and size > LONGEST_CUE // 2
        if piece and (full or sentence_ends):
            yield piece
            piece, size = [], 0
        piece.append(word)
        size += len(word.text) + 1
    if piece:
        yield piece


def _rows(text: str) -> str:
    """Two rows of about equal length; a line that begins like a cue's number or time stays text."""
    text = text.replace("-->", "→")
    if len(text) <= ROW:
        return text
    middle = len(text) / 2
    gaps = [match.start() for match in re.finditer(" ", text)]
    at = min(gaps, key=lambda gap: abs(gap - middle), default=len(text))
    return f"{text[:at]}\n{text[at + 1 :]}".rstrip("\n")


def _timed(cue: Cue) -> str:
    if not cue.words:
        return html.escape(cue.text, quote=False)
    first, *others = cue.words
    rest = "".join(f" <{_clock(w.start_s, '.')}>{html.escape(w.text, quote=False)}" for w in others)
    return html.escape(first.text, quote=False) + rest


def _bare(word: str) -> str:
    return re.sub(r"[^\w]", "", word.casefold().replace("’", "'"))


def _clock(seconds: float, point: str) -> str:
    hours, rest = divmod(round(max(0.0, seconds) * 1000), 3_600_000)
    minutes, rest = divmod(rest, 60_000)
    return f"{hours:02d}:{minutes:02d}:{rest // 1000:02d}{point}{rest % 1000:03d}"
