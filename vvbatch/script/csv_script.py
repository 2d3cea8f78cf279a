"""Scripts in CSV, as spreadsheets write them: one line per row."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from vvbatch.script.csv_cells import Cell, rows
from vvbatch.script.fields import (
    DEFAULT_VOICE,
    MAX_LINES,
    NARRATOR,
    RANGES,
    READERS,
    Given,
    Refused,
    choices,
    did_you_mean,
    line,
    quoted,
    text,
    title,
)
from vvbatch.script.model import Chapter, Position, Problems, Script, ScriptLine, ScriptTurn
from vvbatch.script.source import START, Source

READ = {"text": text, "chapter": title, **READERS}
COLUMNS = ("text", "id", "chapter", "speaker", "voice", "model", "escalate", *RANGES)

_SEPARATOR = re.compile(r'"?sep=(.)"?[ ,;\t]*(?:\n|\Z)', re.IGNORECASE)
_DECIMAL_COMMA = re.compile(r"[0-9]+,[0-9]+")
_ZERO_DECIMALS = re.compile(r"([0-9]+)[.,]0+")


@dataclass
class Row:
    """The values of one row, before voices are assigned to speakers."""

    position: Position
    text_position: Position
    text: str
    chapter: str
    given: Given


def read(source: Source, problems: Problems) -> Script:
    """Parse the script as far as possible and add to `problems`. Lines without an id have an empty one."""
    found = _read_rows(source, problems)
    _check_case("speaker", (row.given["speaker"] for row in found if "speaker" in row.given), problems)
    _check_case("chapter", ((row.chapter, row.position) for row in found), problems)
    voices = _first_voices(found)
    chapters: dict[str, list[ScriptLine]] = {}
    for row in found:
        speaker, _ = row.given.get("speaker", (None, START))
        if "voice" in row.given and speaker:
            voices[speaker] = row.given["voice"]
        voice, voice_position = row.given.get("voice") or voices.get(speaker, (DEFAULT_VOICE, row.text_position))
        turn = ScriptTurn(speaker or NARRATOR, voice, row.text, row.text_position, voice_position)
        chapters.setdefault(row.chapter, []).append(line([turn], row.position, row.given))
    made = tuple(Chapter(chapter, tuple(lines)) for chapter, lines in chapters.items())
    return Script(source.path, source.text, "", None, None, made)


def _check_case(kind: str, names: Iterable[tuple[str, Position]], problems: Problems) -> None:
    """Refuse a name that differs from an earlier one in case only: a typo would lose its voice or start a chapter."""
    first: dict[str, str] = {}
    reported: set[str] = set()
    for name, position in names:
        other = first.setdefault(name.casefold(), name)
        if other != name and name not in reported:
            reported.add(name)
            problems.add(position, f"{kind} {name!r} next to {other!r}", "use one spelling of each name")


def _first_voices(found: list[Row]) -> dict[str | None, tuple[str, Position]]:
    """The first voice of each speaker in the file. It also applies to rows of the speaker before it."""
    voices: dict[str | None, tuple[str, Position]] = {}
    for row in found:
        if "speaker" in row.given and "voice" in row.given:
            voices.setdefault(row.given["speaker"][0], row.given["voice"])
    return voices


def _read_rows(source: Source, problems: Problems) -> list[Row]:
    separator = _SEPARATOR.match(source.text)
    start = separator.end() if separator else 0
    delimiter = separator[1] if separator else _delimiter(source)
    if delimiter not in ",;\t":
        problems.add(START, f"the separator {quoted(delimiter)}", "allowed: comma, semicolon or tab")
        return []
    table = rows(source, start, delimiter, problems)
    columns = _columns(source, next(table, []), problems)
    if "text" not in columns:
        return []
    reader = _RowReader(source, columns, delimiter, problems)
    found: list[Row] = []
    for count, cells in enumerate(table):
        if count == MAX_LINES:
            problems.add(source.position(cells[0].start), f"more than {MAX_LINES} lines", "split the script")
            break
        row = reader.row(cells)
        if row:
            found.append(row)
    return found


def _delimiter(source: Source) -> str:
    """The delimiter that splits the header row into the most known columns."""
    header = source.text.lstrip().partition("\n")[0]

    def known(delimiter: str) -> int:
        return sum(_column(cell.strip(' "')) in COLUMNS for cell in header.split(delimiter))

    return max(",;\t", key=known)


def _column(raw: str) -> str:
    return raw.strip().casefold()


def _columns(source: Source, header: list[Cell], problems: Problems) -> list[str]:
    """The name of each column; empty if it has none. Unknown and repeated names are problems."""
    columns: list[str] = []
    for cell in header:
        column = _column(cell.raw)
        if column in COLUMNS and column in columns:
            problems.add(source.position(cell.start), f"the column {column!r} again", "use each column once")
        if column and column not in COLUMNS:
            found = f"unknown column {quoted(cell.raw.strip())}{did_you_mean(column, COLUMNS)}"
            problems.add(source.position(cell.start), found, choices(COLUMNS))
        columns.append(column)
    if "text" not in columns and not problems:
        position = source.position(header[0].start if header else 0)
        problems.add(position, "no column named text", f"the first row names the columns, {choices(COLUMNS)}")
    return columns


@dataclass
class _RowReader:
    source: Source
    columns: list[str]
    delimiter: str
    problems: Problems
    chapter: str = ""

    def row(self, cells: list[Cell]) -> Row | None:
        """The values of the row, or None without a text. An empty chapter cell means the chapter of the row above."""
        given: Given = {}
        for column, cell in zip(self.columns, cells, strict=False):
            raw = cell.raw.strip()
            if column == "" and raw:
                self.problem(cell, f"{quoted(raw)} in a column without a name", "name the column or clear the cell")
            if column in READ and (raw or column == "text") and column not in given:
                value = self.value(column, raw, cell)
                if value is not None:
                    given[column] = value, self.source.position(cell.start)
        beyond = next((cell for cell in cells[len(self.columns) :] if cell.raw.strip()), None)
        if beyond:
            found = f"{quoted(beyond.raw.strip())} beyond the last of {len(self.columns)} columns"
            self.problem(beyond, found, "put a text that contains the separator in quotes")
        if "chapter" in given:
            self.chapter, _ = given.pop("chapter")
        if len(cells) <= self.columns.index("text"):
            self.problem(cells[-1], "a row without text", "a text needs a letter or a digit")
        if "text" not in given:
            return None
        content, position = given.pop("text")
        return Row(self.source.position(cells[0].start), position, content, self.chapter, given)

    def value(self, column: str, raw: str, cell: Cell) -> Any:
        if column in RANGES:
            raw = self.plain_number(column, raw)
        try:
            return READ[column](raw)
        except Refused as refused:
            self.problem(cell, refused.found, refused.allowed)
            return None

    def plain_number(self, column: str, raw: str) -> str:
        """Convert what spreadsheets write: 1,5 where the separator is not a comma, and 11.00 for a whole number."""
        if RANGES[column].whole and (zeros := _ZERO_DECIMALS.fullmatch(raw)):
            return zeros[1]
        if self.delimiter != "," and _DECIMAL_COMMA.fullmatch(raw):
            return raw.replace(",", ".")
        return raw

    def problem(self, cell: Cell, found: str, allowed: str) -> None:
        self.problems.add(self.source.position(cell.start), found, allowed)
