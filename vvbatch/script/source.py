"""Reads a script file as text, and gives the line and column of every character. Refuses what is not text."""

from __future__ import annotations

import codecs
import os
import re
import stat
from array import array
from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import chain, islice
from pathlib import Path
from typing import NoReturn

from vvbatch.script.hyphens import words_of
from vvbatch.script.model import Position, Problem, Problems, ScriptError

MAX_BYTES = 16 * 1024 * 1024
SUFFIXES = (".yaml", ".yml", ".csv", ".tsv", ".txt")
START = Position(1, 1)

# Control characters except tab and newline, surrogates, bidirectional controls (they can disguise a text), byte order
# marks inside the text, and two noncharacters.
UNSPEAKABLE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff\u202a-\u202e\u2066-\u2069\ufeff\ufffe\uffff]")


@dataclass(frozen=True)
class Source:
    """The text of a script with `\\n` newlines and no byte order mark; UNSPEAKABLE characters are spaces."""

    path: Path
    text: str

    @cached_property
    def _starts(self) -> array[int]:
        return array("I", chain([0], (newline.end() for newline in re.finditer("\n", self.text))))

    @cached_property
    def _words(self) -> Mapping[str, int]:
        return words_of(self.text)

    def words(self) -> Mapping[str, int]:
        """How often each word is in the text."""
        return self._words

    def index(self, position: Position) -> int:
        """The index of the character at a position of this text."""
        return self._starts[position.line - 1] + position.column - 1

    def position(self, index: int) -> Position:
        """The line and column of the character at `index`, or of the end of the text."""
        index = min(index, len(self.text))
        line = bisect_right(self._starts, index)
        return Position(line, index - self._starts[line - 1] + 1)


def read(path: Path, problems: Problems) -> Source:
    """Read a regular file of at most MAX_BYTES. Raises as `decoded`."""
    _refuse_suffix(path)
    return decoded(path, _bytes(path), problems)


def decoded(path: Path, data: bytes, problems: Problems) -> Source:
    """The text of a script. Its first 100 UNSPEAKABLE characters are problems.

    `path` is named in problems; nothing is read from it. Raises ScriptError for what is not text.
    """
    _refuse_suffix(path)
    text = _decode(path, data)
    source = Source(path, UNSPEAKABLE.sub(" ", text))
    for match in islice(UNSPEAKABLE.finditer(text), 100):
        problems.add(source.position(match.start()), unspeakable(match[0]), "remove it")
    if not problems and not source.text.strip():
        _refuse(path, "an empty file", "a script has at least one line to speak")
    return source


def _refuse_suffix(path: Path) -> None:
    if path.suffix.lower() not in SUFFIXES:
        found = f"a script ending in {path.suffix!r}" if path.suffix else "a script without a file type"
        _refuse(path, found, f"allowed: {', '.join(SUFFIXES)}")


def title_from(path: Path) -> str:
    """The title of a script without one: the name of its file without unprintable characters."""
    return " ".join(UNSPEAKABLE.sub(" ", path.stem).split())[:200] or "script"


def unspeakable(char: str) -> str:
    """The name of an UNSPEAKABLE character in messages."""
    code = ord(char)
    if code < 0x20 or 0x7F <= code < 0xA0:
        return f"the control character U+{code:04X}"
    if 0x202A <= code <= 0x202E or 0x2066 <= code <= 0x2069:
        return f"the invisible character U+{code:04X}, which changes the direction of text"
    return "a byte order mark inside the text" if code == 0xFEFF else f"U+{code:04X}, which is not a character"


def _bytes(path: Path) -> bytes:
    """The content of the file. Never blocks on a pipe, and never reads more than MAX_BYTES."""
    try:
        with open(path, "rb", opener=_without_waiting) as file:
            status = os.fstat(file.fileno())
            if not stat.S_ISREG(status.st_mode):
                _refuse(path, "a pipe, socket or device", "a script is a regular file")
            size = status.st_size
            if size <= MAX_BYTES:
                data = file.read(MAX_BYTES + 1)
                size = len(data)
    except IsADirectoryError:
        _refuse(path, "a folder", "a script is a file")
    except FileNotFoundError:
        _refuse(path, "no such file", "give the path of a script")
    except PermissionError:
        _refuse(path, "a file without read permission", "check its permissions")
    except (OSError, ValueError) as error:  # ValueError: a NUL in the path
        _refuse(path, f"a file that cannot be read ({error})", "give the path of a script")
    if size > MAX_BYTES:
        _refuse(path, f"a file of {size / 2**20:.1f} MiB", "a script has at most 16 MiB: split it")
    return data


def _without_waiting(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NONBLOCK)


def _decode(path: Path, data: bytes) -> str:
    encoding, mark = "utf-8", codecs.BOM_UTF8
    if data.startswith(codecs.BOM_UTF16_LE):
        encoding, mark = "utf-16-le", codecs.BOM_UTF16_LE
    elif data.startswith(codecs.BOM_UTF16_BE):
        encoding, mark = "utf-16-be", codecs.BOM_UTF16_BE
    elif b"\0" in data:
        _refuse(path, "a binary file (it has zero bytes)", "a script is text; export a spreadsheet as CSV UTF-8")
    data = data.removeprefix(mark)
    try:
        return _with_newlines(data.decode(encoding))
    except UnicodeDecodeError as error:
        text = _with_newlines(data.decode(encoding, "replace"))
        position = Source(path, text).position(len(_with_newlines(data[: error.start].decode(encoding))))
        found = f"the byte 0x{data[error.start]:02X}, which is not {encoding.upper()} text"
        allowed = "save the file as UTF-8 (in a spreadsheet: CSV UTF-8)"
        raise ScriptError(path, [Problem(position, found, allowed)], text) from error


def _with_newlines(text: str) -> str:
    """Newlines as `\\n`; Unicode line separators, which are newlines in YAML but not in editors, as spaces."""
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    return text.replace("\u2028", " ").replace("\u2029", " ")


def _refuse(path: Path, found: str, allowed: str) -> NoReturn:
    raise ScriptError(path, [Problem(START, found, allowed)])
