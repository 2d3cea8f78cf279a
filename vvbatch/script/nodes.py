"""A YAML document as scalars, lists and mappings with their positions. Scalars keep the text that the author wrote.

Nothing is resolved: `no`, `010` and `2024-01-01` are text until a field reads them. Anchors, aliases, tags, a second
document and deep nesting are problems. Built from PyYAML's events, without recursion.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

import yaml

from vvbatch.script.model import Position, Problems
from vvbatch.script.source import Source

MAX_DEPTH = 12  # the text of a dialogue is nested 7 deep
DEEPEST = 400  # columns of an indentation
MAX_NODES = 1_000_000  # bounds the memory that 16 MiB of `- a` would take
LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # the C loader is about 4 times as fast


@dataclass(slots=True)
class Scalar:
    raw: str
    plain: bool  # without quotes and not a block
    position: Position
    length: int = 0  # in the source
    cut: Position | None = None  # a # that ends a plain text, although text follows it directly

    @property
    def nothing(self) -> bool:
        return self.plain and self.raw in ("", "~", "null", "Null", "NULL")


@dataclass(slots=True)
class Items:
    position: Position
    items: list[Node] = field(default_factory=list)


@dataclass(slots=True)
class Fields:
    position: Position
    pairs: list[tuple[Scalar, Node]] = field(default_factory=list)


@dataclass(slots=True)
class Broken:
    """A placeholder for a node whose problem has been reported."""

    position: Position


_CUT = re.compile(r"[^\S\n]*(\n)?([^\S\n]*)#(?=[^\s#!-])")
# `- #1 keeper`, `text: #1 keeper` and `- > #1 keeper`: all of the text is cut, or its first row.
_CUT_AT_START = re.compile(r"[^\S\n]+#(?=[^\s#!-])")
_BLOCK_HEAD = re.compile(r"[|>][-+0-9]*")
_CUT_ABOVE = re.compile(r"[^\n]*?[-:?][^\S\n]+(#)(?=[^\s#!-])")

_DASHES = re.compile(r"[^\S\n]*(?:-[^\S\n]+)*")

Node = Scalar | Items | Fields | Broken


def read_nodes(source: Source, problems: Problems) -> Node:
    """The root node of the document; Broken if there is none."""
    tree = _Tree(source, problems)
    try:
        for event in yaml.parse(source.text, Loader=LOADER):
            if not tree.take(event):
                return Broken(source.position(0))
    except (yaml.YAMLError, ValueError, OverflowError) as error:  # the last two: \U99999999 in the loader without C
        _add_syntax_problem(source, error, problems)
        return Broken(source.position(0))
    return tree.root or Broken(source.position(0))


class _Tree:
    """Builds the nodes. `open` has the unfinished containers, `keys` the pending key of each."""

    def __init__(self, source: Source, problems: Problems) -> None:
        self.source, self.problems = source, problems
        self.root: Node | None = None
        self.open: list[Items | Fields] = []
        self.keys: list[Node | None] = []
        self.count = 0

    def take(self, event: yaml.Event) -> bool:
        """Add an event. Returns False when parsing should stop."""
        if isinstance(event, yaml.ScalarEvent):
            position = self.begin(event)
            self.add(self.scalar(event, position))
        elif isinstance(event, yaml.CollectionStartEvent):
            position = self.begin(event)
            node = Items(position) if isinstance(event, yaml.SequenceStartEvent) else Fields(position)
            self.add(node)
            self.open.append(node)
            self.keys.append(None)
            if len(self.open) > MAX_DEPTH:
                return self.problem(position, f"nesting of more than {MAX_DEPTH} levels", "a script is nested 7 deep")
        elif isinstance(event, yaml.CollectionEndEvent):
            self.open.pop()
            self.keys.pop()
        elif isinstance(event, yaml.AliasEvent):
            position = self.at(event)
            self.problem(
                position, f"the YAML alias *{str(event.anchor)[:40]}", "write it out; put text with * in quotes"
            )
            self.add(Broken(position))
        elif isinstance(event, yaml.DocumentStartEvent) and self.root:
            return self.problem(self.at(event), "a second YAML document", "a file has one document")
        if self.count > MAX_NODES:
            return self.problem(position, f"more than {MAX_NODES} values", "split the script")
        return True

    def scalar(self, event: yaml.ScalarEvent, position: Position) -> Scalar:
        plain = not event.style
        start = event.start_mark.index if event.start_mark else 0
        end = event.end_mark.index if event.end_mark else start
        if (before := self.cut_at_start(event, start, position)) is not None:
            return Scalar(event.value, plain, position, end - start, self.source.position(before))
        found = _CUT.match(self.source.text, end) if plain and event.value else None
        # A row that begins with # goes on with the text only if it is indented more than what the text belongs to.
        if found and found[1] and found.end() - found.start(2) - 1 <= self.indent(start):
            found = None
        cut = self.source.position(found.end() - 1) if found else None
        return Scalar(event.value, plain, position, end - start, cut)

    def cut_at_start(self, event: yaml.ScalarEvent, start: int, position: Position) -> int | None:
        """The index of a # that begins the text in the place of which YAML reads nothing, or only the rows below."""
        text = self.source.text
        if event.style in ("|", ">"):
            head = _BLOCK_HEAD.match(text, start)
            found = _CUT_AT_START.match(text, head.end() if head else start)
            return found.end() - 1 if found else None
        is_key = bool(self.open) and isinstance(self.open[-1], Fields) and self.keys[-1] is None
        if event.style or is_key:
            return None
        if not event.value:
            found = _CUT_AT_START.match(text, start)
            return found.end() - 1 if found else None
        row = start - position.column + 1  # not searched for: a row may have a million values
        if not row or start - row > DEEPEST or not text[row:start].isspace():
            return None
        while row:
            end, row = row - 1, text.rfind("\n", 0, row - 1) + 1
            above = text[row:end].lstrip()
            if above and not above.startswith("#"):
                found = _CUT_ABOVE.match(text, row, end)
                return found.start(1) if found else None
        return None

    def indent(self, start: int) -> int:
        """The column, from 0, of what the text at `start` belongs to: its key, its dash, or the row above it."""
        row = self.source.text.rfind("\n", 0, start) + 1
        before = self.source.text[row:start]
        dashes = _DASHES.match(before)
        lead = dashes[0] if dashes else ""
        if len(lead) < len(before):
            return len(lead)
        return len(lead.rstrip()) - 1 if lead.strip() else len(lead) - 1

    def at(self, event: yaml.Event) -> Position:
        return self.source.position(event.start_mark.index if event.start_mark else 0)

    def begin(self, event: yaml.ScalarEvent | yaml.CollectionStartEvent) -> Position:
        self.count += 1
        position = self.at(event)
        if event.anchor is not None:
            self.problem(position, f"the YAML anchor &{event.anchor[:40]}", "write it out; put a text with & in quotes")
        if event.tag is not None:
            self.problem(position, f"the YAML tag {event.tag[:40]}", "remove it; put a text with ! in quotes")
        return position

    def add(self, node: Node) -> None:
        if not self.open:
            self.root = node
            return
        parent, key = self.open[-1], self.keys[-1]
        if isinstance(parent, Items):
            parent.items.append(node)
        elif key is None:
            self.keys[-1] = node
        else:
            self.keys[-1] = None
            self.pair(parent, key, node)

    def pair(self, parent: Fields, key: Node, value: Node) -> None:
        if isinstance(key, Scalar):
            parent.pairs.append((key, value))
        elif not isinstance(key, Broken):
            self.problem(
                key.position, "a list or mapping as a key", "a key is a word; put a text with [ or { in quotes"
            )

    def problem(self, position: Position, found: str, allowed: str) -> bool:
        self.problems.add(position, found, allowed)
        return False


_REMEDIES = (
    ("mapping values are not allowed", "put a text with a colon in quotes, and check the indentation"),
    ("cannot start any token", "indent with spaces, not tabs; put a text beginning with % @ or ` in quotes"),
    ("alphabetic or numeric", "put a text beginning with * or & in quotes"),
    ("unexpected end of stream", "close the quotes; put a text beginning with ' in double quotes"),
    ("unknown escape character", "a \\ in double quotes is written \\\\"),
    ("expected <document start>", "a script is one YAML document: a mapping with version, title, lines …"),
    ("character escape code", "write the character itself (in JSON: ensure_ascii=False)"),
    ("could not find expected ':'", "a key is followed by a colon; check the indentation"),
    ("expected", "check the indentation; put a whole text that has quotes or brackets in it in quotes"),
)


CUT = "# and text: YAML cuts the text here", "put the whole text in quotes; a comment has a space after the #"
_CUT_TEXT = re.compile(r"[^\s'\"][^\S\n]+(#)[^\s#!-]")


def _cut_before(text: str, index: int) -> int | None:
    """The index of a # that cuts a text in the row of `index` or the one above; what is left may be no YAML."""
    above = text.rfind("\n", 0, max(0, text.rfind("\n", 0, index))) + 1
    found = _CUT_TEXT.search(text, above, index)
    return found.start(1) if found else None


def _add_syntax_problem(source: Source, error: Exception, problems: Problems) -> None:
    mark = getattr(error, "problem_mark", None)
    what = str(getattr(error, "problem", None) or getattr(error, "reason", None) or error)
    context = getattr(error, "context", None)
    index = mark.index if mark else getattr(error, "position", None) or 0
    # An error at the end of the file is reported where the unfinished structure begins.
    opened = getattr(error, "context_mark", None)
    if index >= len(source.text.rstrip()):
        index = opened.index if opened else len(source.text.rstrip())
    if cut := _cut_before(source.text, mark.index if mark else index):
        problems.add(source.position(cut), *CUT)
        return
    found = f"invalid YAML: {context + ', ' if context else ''}{what[:200]}"
    allowed = next((remedy for part, remedy in _REMEDIES if part in what), "a script is a YAML mapping")
    problems.add(source.position(index), found, allowed)
