"""Scripts in plain text: turns of labelled speakers, or paragraphs for the narrator; headings and scene breaks."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice

from vvbatch.script.fields import DEFAULT_VOICE, MAX_LINES, NARRATOR, quoted, title
from vvbatch.script.headings import LONGEST_TITLE, Heading, headings, is_break
from vvbatch.script.items import Item, PauseItem, Texts, chapters_of, lines_of
from vvbatch.script.labels import HIGHEST_NUMBER, Label, Labels, labels_of
from vvbatch.script.markup import SECTION
from vvbatch.script.model import SECONDS_PER_CHARACTER, BreakAfter, Problems, Refused, Script, ScriptLine
from vvbatch.script.rows import Row, rows
from vvbatch.script.source import Source
from vvbatch.script.speech import Said, speech_of

MAX_ROWS = 1_000_000  # bounds the memory that 16 MiB of short rows would take
_BLANK = re.compile(r"\n[^\S\n]*+\n")
LONG_ROWS, LONG_CHARACTERS = 10, 3000  # of a paragraph that is probably several: about three minutes


@dataclass(frozen=True)
class Break:
    """A scene break, or the end of a paragraph of the narrator."""

    start: int
    end: int
    scene: bool = True


Cut = Heading | Label | Break


def read(source: Source, problems: Problems, *, chapters: bool = True) -> Script:
    """Parse the script as far as possible and add to `problems`. Its lines have empty ids.

    Without `chapters`, headings are spoken.
    """
    return _Reader(source, problems).script(chapters)


@dataclass
class _Draft:
    """A chapter while the text is read; `heading` is None for the lines before the first one."""

    heading: Heading | None
    items: list[Item] = field(default_factory=list)

    @property
    def empty(self) -> bool:
        return not any(isinstance(item, ScriptLine) for item in self.items)


@dataclass
class _Reader:
    source: Source
    problems: Problems

    def script(self, with_chapters: bool) -> Script:
        text = self.source.text
        found = headings(text) if with_chapters else []
        spoken, cuts = self.spoken_rows(found)
        labels = labels_of(text, spoken)
        for label in labels.doubtful:
            self.warn_of_label(label)
        cuts += labels.labels or [Break(row.start, row.start, scene=False) for row in spoken if row.first]
        drafts = self.drafts(sorted(cuts, key=lambda cut: (cut.start, cut.end)), labels)
        script_title = self.book_title(drafts)
        chapters = chapters_of(((title, draft.items) for title, draft in self.titled(drafts)), self.problems)
        return Script(self.source.path, text, script_title, None, None, chapters)

    def spoken_rows(self, found: list[Heading]) -> tuple[list[Row], list[Cut]]:
        """The rows that are neither in a heading nor a scene break; and the headings and breaks."""
        spoken: list[Row] = []
        cuts: list[Cut] = list(found)
        ends = iter([*found, Heading(len(self.source.text), len(self.source.text) + 1, "")])
        heading = next(ends)
        begins = True  # whether the next row begins a paragraph whatever is before it
        for row in islice(rows(self.source.text), MAX_ROWS + 1):
            while row.start >= heading.end:
                heading = next(ends)
            if row.start >= heading.start:
                begins = True
            elif is_break(row.text):
                cuts.append(Break(row.start, row.end))
                begins = True
            else:
                spoken.append(row._replace(first=row.first or begins))
                begins = False
        if len(spoken) > MAX_ROWS:
            self.problems.add(
                self.source.position(spoken[-1].start), f"more than {MAX_ROWS:,} rows of text", "split the script"
            )
        return spoken, cuts

    def drafts(self, cuts: list[Cut], labels: Labels) -> list[_Draft]:
        text, voices = self.source.text, labels.voices()
        texts = Texts(self.source, self.problems, silent_allowed=True)
        drafts = [_Draft(None)]
        label: Label | None = None
        count = 0
        before = text[: cuts[0].start if cuts else len(text)]
        if before.strip():
            self.no_speaker(0)
        for cut, after in zip(cuts, [*cuts, None][1:], strict=True):
            end = after.start if after else len(text)
            raw = text[cut.end : end]
            start = cut.end + len(raw) - len(raw.lstrip())
            if isinstance(cut, Heading):
                drafts.append(_Draft(cut))
            elif isinstance(cut, Label):
                label, start, raw = cut, cut.start, cut.bold + (raw.lstrip() if cut.bold else raw)
                if (cut.number or 0) > HIGHEST_NUMBER:
                    at = cut.start + next(index for index, char in enumerate(cut.shown) if char.isdigit())
                    shown = cut.shown[at - cut.start :][:20]
                    self.problems.add(
                        self.source.position(at), f"Speaker {shown}", f"allowed: Speaker 0 to {HIGHEST_NUMBER}"
                    )
                    continue
            elif cut.scene:
                drafts[-1].items.append(PauseItem(SECTION, self.source.position(cut.start)))
            if not isinstance(cut, Label):
                if not raw.strip():
                    continue
                if labels.labels and label is None:
                    self.no_speaker(start)
                    continue
            count += 1
            position = self.source.position(start)
            if count > MAX_LINES:
                self.problems.add(position, f"more than {MAX_LINES} lines", "split the script")
                break
            speaker, voice = (label.speaker, voices[label.speaker]) if label else (NARRATOR, DEFAULT_VOICE)
            self.warn_of_length(raw, start)
            turns = texts.read(raw, speaker, voice, position, position, end - start)
            ends = BreakAfter.LINE if label else BreakAfter.PARAGRAPH
            drafts[-1].items += lines_of(turns, position, {}, divisible=True, ends=ends)
        return drafts

    def no_speaker(self, index: int) -> None:
        text = self.source.text
        index += len(text[index:]) - len(text[index:].lstrip())
        self.problems.add(self.source.position(index), "text before the first speaker label", "begin with `Speaker 1:`")

    def book_title(self, drafts: list[_Draft]) -> str:
        """The title of the script: the only `# heading` of the first level, if it begins the text and others follow."""
        first = [draft for draft in drafts if draft.heading and draft.heading.level == 1]
        if len(drafts) > 2 and first == [drafts[1]] and drafts[0].empty and drafts[1].empty:
            return self.title_of(drafts.pop(1))
        return ""

    def titled(self, drafts: list[_Draft]) -> Iterator[tuple[str, _Draft]]:
        """The chapters that have lines. `PART ONE` directly over `CHAPTER ONE` becomes part of its title."""
        waiting: list[_Draft] = []
        for draft in drafts:
            if draft.empty and draft.heading:
                waiting.append(draft)
            elif not draft.empty:
                title = self.title_of(draft)
                if len(waiting) == 1:
                    title = f"{self.title_of(waiting.pop())[:LONGEST_TITLE]}, {title}"
                yield title, draft
            elif draft.items:  # pauses before the first line
                yield "", draft
            if len(waiting) > 1 and not draft.empty:
                self.warn_of_empty(waiting)
                waiting = []
        self.warn_of_empty(waiting)

    def title_of(self, draft: _Draft) -> str:
        if not draft.heading:
            return ""
        try:
            said = [part.spoken for part in speech_of(draft.heading.title).parts if isinstance(part, Said)]
            return title(" ".join(said))
        except Refused as refused:
            self.problems.add(self.source.position(draft.heading.start), refused.found, refused.allowed)
            return ""

    def warn_of_empty(self, drafts: list[_Draft]) -> None:
        for heading in [draft.heading for draft in drafts if draft.heading]:
            self.problems.warn(
                self.source.position(heading.start),
                "empty-chapter",
                f"the heading {quoted(heading.title)} without a text; it is left out",
                "take it out, or write `--no-chapters` if it is to be spoken",
            )

    def warn_of_label(self, label: Label) -> None:
        self.problems.warn(
            self.source.position(label.start),
            "label",
            f"{quoted(label.shown)} looks like the label of a speaker, but is spoken",
            "begin every paragraph with a label of the same form, such as `Speaker 1:`; in YAML, name the speakers",
        )

    def warn_of_length(self, raw: str, start: int) -> None:
        for paragraph in _BLANK.split(raw) if len(raw) > LONG_CHARACTERS else ():
            count = paragraph.strip().count("\n") + 1
            if count >= LONG_ROWS and len(paragraph) > LONG_CHARACTERS:
                self.problems.warn(
                    self.source.position(start),
                    "long-paragraph",
                    f"{count:,} rows without a blank line are one paragraph of {len(paragraph):,} characters, about "
                    f"{len(paragraph) * SECONDS_PER_CHARACTER / 60:.0f} minutes in one take",
                    "separate paragraphs by blank lines",
                )
