"""Parses scripts for tests and returns their lines or their problems."""

from __future__ import annotations

import tempfile
from pathlib import Path

from vvbatch.script import Script, ScriptError, ScriptLine, parse

YAML_LINES = "version: 1\nspeakers: {mara: alice}\nlines:\n"


def write(folder: Path, name: str, content: str | bytes) -> Path:
    path = folder / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def parsed(name: str, content: str | bytes) -> Script:
    with tempfile.TemporaryDirectory() as folder:
        return parse(write(Path(folder), name, content))


def refused(name: str, content: str | bytes) -> ScriptError:
    try:
        script = parsed(name, content)
    except ScriptError as error:
        return error
    raise AssertionError(f"parsed: {script}")


def problems(name: str, content: str | bytes) -> list[tuple[int, int, str]]:
    """Line, column and `found; allowed` of every problem."""
    return [
        (problem.position.line, problem.position.column, f"{problem.found}; {problem.allowed}")
        for problem in refused(name, content).problems
    ]


def all_lines(script: Script) -> list[ScriptLine]:
    return [line for chapter in script.chapters for line in chapter.lines]


def texts(script: Script) -> list[str]:
    return [turn.text for line in all_lines(script) for turn in line.turns]
