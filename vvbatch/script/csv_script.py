"""Scripts in CSV, as spreadsheets write them: one line per row."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Any

from vvbatch.script.csv_cells import Cell, between_cells, rows
from vvbatch.script.fields import (
    DEFAULT_VOICE,
    MAX_LINES,
    NARRATOR,
    RANGES,
    READERS,
    Given,
    choices,
    did_you_mean,
    quoted,
    title,
)
from vvbatch.script.items import Item, Texts, chapters_of, in_order, lines_of
from vvbatch.script.model import Position, Problems, Refused, Script
from vvbatch.script.source import START, Source

READ: Mapping[str, Callable[[str], Any]] = {
    "text": str,
    "chapter": title,
    **READERS,
}  # a text is read when its voice is known
COLUMNS = ("text", "id", "chapter", "speaker", "voice", "model", "escalate", *RANGES)

_SEPARATOR = re.compile(r'"?sep=(.)"?[ ,;\t]*(?:\n|\Z)', re.IGNORECASE)
_DECIMAL_COMMA = re.compile(r"[0-9]+,[0-9]+")
_ZERO_DECIMALS = re.compile(r"([0-9]+)[.,]0+")


# What spreadsheets write into the cell of a formula that failed. In every language it is a name in capitals behind a #,
# and most end in `!` or `?`: #REF!, #BEZUG!, #¿NOMBRE?, #ССЫЛКА!. LibreOffice has codes, and there is a sign for a
# column that is too narrow.
_NAMED_ERROR = re.compile(r"#[¡¿]?[^\W\d_]{2,24}(?:/0)?[!?]")
_WITHOUT_END = (
    "N/A N/D N/B N/DISP I/T Н/Д NV BRAK YOK SAKNAS PUUTTUU HIÁNYZIK EPÄTOSI GETTING_DATA ERR ERROR REF VALUE NAME NUM "
    "NULL DIV/0"
)
_OTHER_ERROR = re.compile(rf"#(?:{'|'.join(map(re.escape, _WITHOUT_END.split()))})|#ERR[0-9]{{1,3}}|#{{3,}}")
_IN_ANY_CASE = re.compile(
    r"#(?:NAME\?|REF!|VALUE!|NUM!|NULL!|DIV/0!|N/A)|Loading\.\.\."
    r"|(?:err|error|erro|erreur|errore|fehler|fel|fejl|feil|fout|błąd|chyba|hiba|virhe|hata|eroare|ошибка|помилка)"
    r":\s?[0-9]{3}",
    re.IGNORECASE,
)


def is_error_value(raw: str) -> bool:
    """Whether a cell holds nothing but the error value of a spreadsheet."""
    capitals = _NAMED_ERROR.fullmatch(raw) or _OTHER_ERROR.fullmatch(raw)
    return bool(_IN_ANY_CASE.fullmatch(raw)) or (raw == raw.upper() and bool(capitals))


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
    texts = Texts(source, problems)
    drafts: list[tuple[str, list[Item]]] = []
    for row in found:
        speaker, _ = row.given.get("speaker", (None, START))
        if "voice" in row.given and speaker:
            voices[speaker] = row.given["voice"]
        voice, voice_position = row.given.get("voice") or voices.get(speaker, (DEFAULT_VOICE, row.text_position))
        spoken = texts.read(row.text, speaker or NARRATOR, voice, row.text_position, voice_position)
        drafts.append((row.chapter, lines_of(spoken, row.position, row.given)))
    return Script(source.path, source.text, "", None, None, chapters_of(in_order(drafts), problems))


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
    header = next(table, [])
    columns = _columns(source, header, problems)
    if "text" not in columns or _other_separator(source, header, delimiter, problems):
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


_QUOTED = re.compile('"[^"]*"')
_NAMES = {",": "commas", ";": "semicolons", "\t": "tabs"}


def _other_separator(source: Source, header: list[Cell], delimiter: str, problems: Problems) -> bool:
    """Whether the rows below the header have another separator than the header. It is a problem."""
    below = list(islice(re.compile(r"[^\n]*\S[^\n]*").finditer(source.text, header[0].start), 1, 20))
    wanted = len(header) - 1
    for other in _NAMES if below and wanted else ():
        if other != delimiter and all(_separated_by(other, row[0], delimiter, wanted) for row in below):
            found = f"{_NAMES[other]} between the cells, and {_NAMES[delimiter]} in the header row"
            problems.add(source.position(below[0].start()), found, "use one separator in the whole file")
            return True
    return False


def _separated_by(other: str, row: str, delimiter: str, wanted: int) -> bool:
    """Whether `other` rather than the delimiter separates the cells of a row."""
    row = _QUOTED.sub('""', row)
    if between_cells(row, other) < wanted:
        return False
    return row.count(delimiter) < wanted or row.index(other) < row.index(delimiter)


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
        broken = False
        for column, cell in zip(self.columns, cells, strict=False):
            raw = cell.raw.strip()
            if is_error_value(raw):
                self.problem(cell, f"{quoted(raw)}, an error value of a spreadsheet", "correct the formula of the cell")
                broken = True
                continue
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
        if broken:
            return None
        other = next((each for each in _NAMES if between_cells(cells[0].raw, each) >= len(self.columns) - 1), None)
        if len(cells) == 1 < len(self.columns) and other:
            found = f"{_NAMES[other]} between the cells, and {_NAMES[self.delimiter]} in the header row"
            self.problem(cells[0], found, "use one separator in the whole file")
            return None
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
