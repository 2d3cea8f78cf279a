"""Scripts: YAML, CSV or text files of lines to speak. Parsing is strict and reports all problems at once."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from vvbatch.script.fields import did_you_mean
from vvbatch.script.ids import with_ids
from vvbatch.script.model import (
    BreakAfter,
    Chapter,
    Pause,
    PauseKind,
    Position,
    Problem,
    Problems,
    Role,
    Script,
    ScriptError,
    ScriptLine,
    ScriptTurn,
    ScriptWarning,
    TooManyProblems,
)
from vvbatch.script.source import START, Source, decoded, read, title_from

if TYPE_CHECKING:  # each format's module is imported only for a script of that format
    from vvbatch.script.nodes import Node

__all__ = [
    "BreakAfter",
    "Chapter",
    "Pause",
    "PauseKind",
    "Position",
    "Problem",
    "Problems",
    "Role",
    "Script",
    "ScriptError",
    "ScriptLine",
    "ScriptTurn",
    "ScriptWarning",
    "did_you_mean",
    "parse",
    "parsed_bytes",
    "parsed_text",
    "parsed_tree",
]


def parse(path: Path, *, chapters: bool = True) -> Script:
    """Parse the script at `path`: .yaml, .yml, .csv, .tsv or .txt.

    Every line gets an id; names of voices and models are not resolved. Without `chapters`, the headings of a plain text
    are spoken. Raises ScriptError with all problems.
    """
    problems = Problems()
    return _whole(read(path, problems), problems, chapters)


def parsed_bytes(path: Path, data: bytes, *, chapters: bool = True) -> Script:
    """As `parse`, of a script's bytes: `path` is its name, and nothing is read from there. Raises ScriptError."""
    problems = Problems()
    return _whole(decoded(path, data, problems), problems, chapters)


def _whole(source: Source, problems: Problems, chapters: bool) -> Script:
    with suppress(TooManyProblems):
        script = _complete(_parsed(source, problems, chapters), problems)
    if problems:
        raise ScriptError(source.path, problems, source.text)
    return script


def parsed_text(path: Path, text: str) -> Script:
    """The script in YAML that has this text; `path` is named in problems. Raises ScriptError."""
    from vvbatch.script import yaml_script

    problems = Problems()
    with suppress(TooManyProblems):
        script = _complete(yaml_script.read(Source(path, text), problems), problems)
    if problems:
        raise ScriptError(path, problems, text)
    return script


def parsed_tree(source: Source, root: Node, problems: Problems) -> Script:
    """The script in a parsed YAML document from which the caller has removed its own keys. Adds to `problems`."""
    from vvbatch.script import yaml_script

    return _complete(yaml_script.read_tree(source, root, problems), problems)


def _complete(script: Script, problems: Problems) -> Script:
    chapters = with_ids(script.chapters, problems)
    if not problems and not any(chapter.lines for chapter in chapters):
        problems.add(START, "no lines", "a script has at least one line to speak")
    warnings = sorted(problems.warnings, key=lambda warning: (warning.position.line, warning.position.column))
    script_title = script.title or title_from(script.path)
    return replace(script, title=script_title, chapters=chapters, warnings=tuple(warnings))


def _parsed(source: Source, problems: Problems, chapters: bool) -> Script:
    suffix = source.path.suffix.lower()
    if suffix in (".yaml", ".yml"):
        from vvbatch.script import yaml_script

        return yaml_script.read(source, problems)
    if suffix in (".csv", ".tsv"):
        from vvbatch.script import csv_script

        return csv_script.read(source, problems)
    from vvbatch.script import text_script

    return text_script.read(source, problems, chapters=chapters)
