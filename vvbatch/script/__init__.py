"""Scripts: a YAML, CSV or text file of lines to speak, parsed strictly, with all that is wrong told at once."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from vvbatch.script.fields import did_you_mean
from vvbatch.script.ids import with_ids
from vvbatch.script.model import (
    Chapter,
    Line,
    Place,
    Problem,
    Problems,
    Script,
    ScriptError,
    TooManyProblems,
    Turn,
)
from vvbatch.script.source import START, Source, read, title_from

__all__ = ["Chapter", "Line", "Place", "Problem", "Problems", "Script", "ScriptError", "Turn", "did_you_mean", "parse"]


def parse(path: Path) -> Script:
    """Read and check the script at `path`: .yaml and .yml, .csv and .tsv, or .txt.

    Every line has an id; names of voices and models are still to be looked up. Raises ScriptError with every problem.
    """
    problems = Problems()
    source = read(path, problems)
    with suppress(TooManyProblems):
        script = _parsed(source, problems)
        chapters = with_ids(script.chapters, problems)
        if not problems and not any(chapter.lines for chapter in chapters):
            problems.add(START, "no lines", "a script has at least one line to speak")
    if problems:
        raise ScriptError(path, problems, source.text)
    return replace(script, title=script.title or title_from(path), chapters=chapters)


def _parsed(source: Source, problems: Problems) -> Script:
    """Each format's module is imported only for a script of that format."""
    suffix = source.path.suffix.lower()
    if suffix in (".yaml", ".yml"):
        from vvbatch.script import yaml_script

        return yaml_script.read(source, problems)
    if suffix in (".csv", ".tsv"):
        from vvbatch.script import csv_script

        return csv_script.read(source, problems)
    from vvbatch.script import text_script

    return text_script.read(source, problems)
