"""From a reader's draft to a manuscript: what is left out, initials, chapters, clean texts, quoted speech."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from itertools import takewhile
from pathlib import Path

from vvbatch.manuscript import chapters, initials, left_out, quotes
from vvbatch.manuscript.blocks import Block, BlockKind, Draft
from vvbatch.manuscript.model import (
    Chapter,
    Item,
    Kind,
    Manuscript,
    ManuscriptError,
    Notes,
    Options,
    Paragraph,
    Turn,
    shown,
)
from vvbatch.script.fields import MAX_LINES
from vvbatch.script.fields import language as language_tag
from vvbatch.script.fields import title as script_title
from vvbatch.script.markup import SECTION
from vvbatch.script.model import LONGEST_PAUSE_S, Pause, Refused
from vvbatch.script.sentences import divided
from vvbatch.script.source import UNSPEAKABLE, title_from
from vvbatch.script.speech import Said, speech_of

LONGEST_LINE = 20_000
"""Characters of a line: what is longer is divided at ends of sentences, as no bundled profile takes it."""
LONGEST_TITLE = 200
BLANKS_OF = 4
"""Empty paragraphs are section breaks where fewer than one paragraph in four is followed by one."""


def composed(draft: Draft, path: Path, options: Options, notes: Notes) -> Manuscript:
    """Raises ManuscriptError for a manuscript without a text to speak."""
    title = _title(draft, path, notes)
    blocks = left_out.marked(initials.joined(draft.blocks), f"{title} {draft.author or ''}")
    blocks = left_out.rejoined(blocks, options.keep)
    left_out.report(blocks, options.keep, notes)
    kept = [replace(block, role=None) if block.role in options.keep else block for block in blocks]
    sections = chapters.divided(_with_breaks(kept), draft.toc, options.depth, notes)
    language = _language(draft, notes)
    _warn_of_languages(kept, language, notes)
    writer = _Writer(notes, dict(draft.voices))
    if options.quotes:
        spoken = [block.text for section in sections for block in section.blocks if block.text and not block.speaker]
        writer.style = quotes.style_of(spoken)
        if writer.style is None:
            notes.warn("no quoted speech is found: --quotes has no effect", str(path.name))
        else:
            writer.voices[quotes.QUOTED] = options.quotes
    untitled = title if len(sections) > 1 else ""
    following = [*(_first_text(section) for section in sections[1:]), ""][: len(sections)]
    done = [writer.chapter(section, untitled, after) for section, after in zip(sections, following, strict=True)]
    done = [chapter for chapter in done if chapter.paragraphs]
    if not done:
        found = "no text to speak" + (f" ({_counted(notes)} left out)" if notes.skipped else "")
        raise ManuscriptError(path, found, "keep what is left out with --keep, or give another file")
    count = sum(len(chapter.paragraphs) for chapter in done)
    if count > MAX_LINES:
        raise ManuscriptError(path, f"{count:,} paragraphs", f"a script has at most {MAX_LINES:,} lines: split it")
    author = " ".join(UNSPEAKABLE.sub(" ", draft.author or "").split())[:LONGEST_TITLE] or None
    return Manuscript(
        title, author, language, draft.cover, tuple(done), writer.voices, tuple(notes.skipped), tuple(notes.warnings)
    )


@dataclass(frozen=True)
class _Text:
    """A clean text of a chapter, before quoted speech is looked for in it."""

    text: str
    speaker: str | None
    place: str


@dataclass
class _Writer:
    notes: Notes
    voices: dict[str, str]
    style: quotes.Style | None = None
    pieces: list[_Text | Pause] = field(default_factory=list)

    def chapter(self, section: chapters.Section, untitled: str, after: str) -> Chapter:
        """The chapter of a section; `after` is the first text of the next one."""
        self.pieces = []
        for block in section.blocks:
            if block.kind is BlockKind.BREAK:
                self.pause(SECTION, block.place)
            elif block.text:
                if block.kind is BlockKind.HEADING:
                    self.pause(SECTION, block.place)
                self.text(block)
        while self.pieces and isinstance(self.pieces[-1], Pause):
            self.pieces.pop()
        return Chapter(self.title(section, untitled), tuple(self.items(after)))

    def title(self, section: chapters.Section, untitled: str) -> str:
        written = chapters.together([title for title in section.titles if title])
        title = clean_title(written) or clean_title(untitled)
        if len(title) > LONGEST_TITLE:
            self.notes.warn(f"a title of {len(title):,} characters is cut", section.place)
            title = title[: LONGEST_TITLE - 1].rsplit(" ", 1)[0] + "…"
        return title

    def pause(self, pause: Pause, place: str) -> None:
        """Add a pause to those since the last text. Section breaks in a row are one; before the first text is none."""
        before = list(takewhile(lambda piece: isinstance(piece, Pause), reversed(self.pieces)))
        if len(before) == len(self.pieces) or (pause == SECTION and SECTION in before):
            return
        if pause.seconds + sum(each.seconds for each in before if isinstance(each, Pause)) > LONGEST_PAUSE_S:
            self.notes.warn(f"pauses of more than {LONGEST_PAUSE_S:g} seconds in a row; one is left out", place)
            return
        self.pieces.append(pause)

    def text(self, block: Block) -> None:
        raw = without_controls(block.text)
        try:
            speech = speech_of(raw)
        except Refused as refused:
            why = f"{refused.found}; {refused.allowed}"
            self.notes.skip(Kind.OTHER, f"a paragraph: {shown(block.text)}", block.place, why)
            return
        for note in speech.notes:
            self.notes.warn(note.message, block.place)
        for part in speech.parts:
            if isinstance(part, Said):
                self.pieces += [_Text(each, block.speaker, block.place) for each in self.short_enough(part, block)]
            else:
                self.pause(part, block.place)

    def short_enough(self, said: Said, block: Block) -> list[str]:
        parts = divided(said.spoken, LONGEST_LINE) if len(said.spoken) > LONGEST_LINE else None
        if parts:
            message = f"a paragraph of {len(said.spoken):,} characters is divided into {len(parts)} lines"
            self.notes.warn(f"{message} at ends of sentences", block.place)
        return parts or [said.spoken]

    def items(self, after: str) -> list[Item]:
        spoken = [piece for piece in self.pieces if isinstance(piece, _Text) and not piece.speaker]
        marked: dict[int, quotes.Marked] = {}
        if self.style:
            found = quotes.marked([*(piece.text for piece in spoken), after], self.style)
            marked = {id(piece): each for piece, each in zip(spoken, found[:-1], strict=True)}
        items: list[Item] = []
        for piece in self.pieces:
            if isinstance(piece, Pause):
                items.append(piece)
            else:
                items.append(Paragraph(self.turns(piece, marked.get(id(piece)))))
        return items

    def turns(self, piece: _Text, marked: quotes.Marked | None) -> tuple[Turn, ...]:
        if marked is None:
            return (Turn(piece.speaker, piece.text),)
        if marked.open:
            self.notes.warn("a quote without an end; all of the paragraph after it is quoted speech", piece.place)
        turns = tuple(Turn(quotes.QUOTED if span.quoted else None, span.text.strip()) for span in marked.spans)
        if all(_is_spoken_as_written(turn.text) for turn in turns):
            return turns
        return (Turn(None, piece.text),)


def _first_text(section: chapters.Section) -> str:
    return next((block.text for block in section.blocks if block.text), "")


def _is_spoken_as_written(text: str) -> bool:
    try:
        return speech_of(text).parts == (Said(text),)
    except Refused:
        return False


def without_controls(text: str) -> str:
    """`text` without the characters that a script may not have."""
    return UNSPEAKABLE.sub(lambda found: "" if found[0] > "\u2000" else " ", text)


def clean_title(written: str) -> str:
    """A title as it is spoken; empty if nothing of it is."""
    try:
        said = [part.spoken for part in speech_of(without_controls(written)).parts if isinstance(part, Said)]
    except Refused:
        return ""
    return " ".join(said)


def _title(draft: Draft, path: Path, notes: Notes) -> str:
    lone = chapters.lone_title(draft.blocks)
    title = clean_title(draft.title) or (clean_title(lone.text) if lone else "") or title_from(path)
    try:
        return script_title(title[:LONGEST_TITLE])
    except Refused:
        return title_from(path)


def _language(draft: Draft, notes: Notes) -> str | None:
    written = (draft.language or "").strip().replace("_", "-")
    if not written or written.lower() in ("und", "zxx", "mul"):
        return None
    try:
        return language_tag(written)
    except Refused as refused:
        notes.warn(f"{refused.found}; {refused.allowed}", "its language")
        return None


def _warn_of_languages(blocks: Sequence[Block], language: str | None, notes: Notes) -> None:
    """Say which paragraphs are marked as another language than the manuscript's: a script has one."""
    if not language:
        return
    others: Counter[str] = Counter()
    first: dict[str, str] = {}
    for block in blocks:
        own = _primary(block.language or "")
        if block.text and not block.role and own not in ("", "und", "zxx", _primary(language)):
            others[own] += 1
            first.setdefault(own, block.place)
    for own, count in others.items():
        paragraphs = "1 paragraph is" if count == 1 else f"{count:,} paragraphs are"
        notes.warn(
            f"{paragraphs} in {own!r}, the manuscript is in {language!r}: choose a voice that speaks it", first[own]
        )


def _primary(tag: str) -> str:
    return tag.replace("_", "-").partition("-")[0].strip().lower()


def _with_breaks(blocks: Sequence[Block]) -> list[Block]:
    """As many blocks; an empty paragraph is a section break, unless such paragraphs are everywhere."""
    pairs = zip([None, *blocks], blocks, strict=False)
    blanks = sum(
        block.kind is BlockKind.BLANK and (before is None or before.kind is not BlockKind.BLANK)
        for before, block in pairs
    )
    paragraphs = sum(block.kind is BlockKind.PARAGRAPH and bool(block.text) for block in blocks)
    kind = BlockKind.BREAK if blanks * BLANKS_OF < paragraphs else BlockKind.PARAGRAPH
    return [replace(block, kind=kind) if block.kind is BlockKind.BLANK else block for block in blocks]


def _counted(notes: Notes) -> str:
    counts = Counter(skipped.kind.value for skipped in notes.skipped)
    return ", ".join(f"{count:,} {kind}" for kind, count in counts.most_common(3))
