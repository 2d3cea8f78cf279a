"""Subtitles, SRT and WebVTT: cues → paragraphs. A cue ends where the screen is full, not where a sentence does."""

from __future__ import annotations

import html
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from vvbatch.manuscript.blocks import Block, BlockKind, Draft
from vvbatch.manuscript.model import Kind, ManuscriptError, Notes, Options, shown
from vvbatch.manuscript.tree import Reader
from vvbatch.script.labels import VOICES

SECTION_S = 8.0  # of silence
PARAGRAPH_S = 2.0  # of silence, behind the end of a sentence
LONGEST = 500  # characters of a paragraph, which then ends with its sentence

_VOICE = re.compile(r"<v(?:\.[^\s>]*)?\s+([^>]{1,64})>")
_TAG = re.compile(r"</?[A-Za-z0-9.:][^<>]{0,200}>|\{\\[^{}]{0,200}\}")
_SOUND = re.compile(r"\[[^\[\]]{1,200}\]|[（(][^()（）]{1,200}[)）]|[♪♫#]+[^♪♫#]*[♪♫#]+|[♪♫].*")
_DASH = re.compile(r"^\s*(?:[-–—‐]\s*|>>\s*)")
_LABEL = re.compile(r"(?:>>\s*)?([A-Z][A-Z0-9 .'’-]{1,30}):\s+(?=\S)")
_SENTENCE_END = re.compile(r"[.!?…。！？][”’\"'»)\]]*$")


@dataclass(frozen=True)
class _Said:
    start_s: float
    end_s: float
    speaker: str | None
    text: str
    new: bool  # begins a paragraph: another speaker


def read(path: Path, data: bytes, options: Options, notes: Notes) -> Draft:
    """Raises ManuscriptError for a file without cues."""
    said = list(_without_repeats(_cues(path, data, options, notes)))
    labels = {each.speaker for each in said if each.speaker}
    draft = Draft(voices={})
    for name in dict.fromkeys(each.speaker for each in said if each.speaker in labels):
        if name:
            draft.voices[name] = VOICES[len(draft.voices) % len(VOICES)]
    draft.blocks = list(_blocks(said))
    return draft


def _cues(path: Path, data: bytes, options: Options, notes: Notes) -> Iterator[_Said]:
    import pysubs2
    from pysubs2.exceptions import Pysubs2Error

    text = Reader(path, notes).text(data, path.name).replace("\r\n", "\n").replace("\r", "\n")
    kind = path.suffix.lower().removeprefix(".")
    try:
        cues = pysubs2.SSAFile.from_string(text, format_=kind, keep_unknown_html_tags=True)
    except (Pysubs2Error, ValueError, ArithmeticError, LookupError) as error:
        raise ManuscriptError(path, f"not {kind.upper()} ({str(error)[:100]})", "export the subtitles again") from error
    if not cues.events:
        raise ManuscriptError(path, f"{kind.upper()} without a cue", "give subtitles with times and texts")
    speaker = None
    for cue in sorted(cues.events, key=lambda cue: cue.start):
        place = _time(cue.start / 1000)
        new = False
        for row in cue.text.replace("\\N", "\n").replace("\\n", "\n").replace("\\h", " ").split("\n"):
            plain, voice = _plain(row)
            if Kind.SOUNDS not in options.keep:
                plain = _without_sounds(plain, place, notes)
            if _DASH.match(plain):
                plain, new, speaker = _DASH.sub("", plain), True, None
            if label := _LABEL.match(plain):
                voice, plain = label[1].strip().title(), plain[label.end() :]
            if voice and voice != speaker:
                new, speaker = True, voice
            if any(map(str.isalnum, plain)):
                yield _Said(cue.start / 1000, cue.end / 1000, speaker, plain.strip(), new)
                new = False


def _plain(row: str) -> tuple[str, str | None]:
    """The text of a row without tags, and the speaker that WebVTT names in it."""
    voice = _VOICE.search(row)
    plain = html.unescape(_TAG.sub("", _VOICE.sub("", row)))
    return " ".join(plain.split()), " ".join(html.unescape(voice[1]).split()) if voice else None


def _without_sounds(text: str, place: str, notes: Notes) -> str:
    def out(found: re.Match[str]) -> str:
        notes.skip(Kind.SOUNDS, f"sounds: {shown(found[0])}", place)
        return " "

    return " ".join(_SOUND.sub(out, text).split())


def _without_repeats(said: Iterable[_Said]) -> Iterator[_Said]:
    """Without rows that are on the screen again while the next ones come, as in automatic captions."""
    before: list[_Said] = []
    for each in said:
        if any(each.text == one.text and each.start_s - one.end_s < 0.05 for one in before):
            continue
        before = [*before[-1:], each]
        yield each


def _blocks(said: Iterable[_Said]) -> Iterator[Block]:
    """Paragraphs: until another speaker, a silence behind a sentence, or a long text's next end of a sentence."""
    texts: list[str] = []
    length = 0
    first: _Said | None = None
    last: _Said | None = None
    for each in said:
        if first and last:
            silence = each.start_s - last.end_s
            ended = bool(_SENTENCE_END.search(texts[-1]))
            long = length > LONGEST
            if (
                each.new
                or each.speaker != first.speaker
                or silence >= SECTION_S
                or (ended and (silence >= PARAGRAPH_S or long))
            ):
                yield _block(first, texts)
                if silence >= SECTION_S:
                    yield Block(BlockKind.BREAK, "", _time(each.start_s))
                texts, first, length = [], each, 0
        first = first or each
        texts.append(each.text)
        length += len(each.text)
        last = each
    if first:
        yield _block(first, texts)


def _block(first: _Said, texts: list[str]) -> Block:
    return Block(BlockKind.PARAGRAPH, " ".join(texts), _time(first.start_s), speaker=first.speaker)


def _time(seconds: float) -> str:
    whole = int(seconds)
    return f"{whole // 3600:02d}:{whole // 60 % 60:02d}:{whole % 60:02d}"
