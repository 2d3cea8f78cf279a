"""A script on stdin."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from vvbatch.cli import main

SCRIPTS = {
    "yaml": "version: 1\nlines:\n- The lamp went out.\n- No one answered.\n",
    "csv": "id,text\na,The lamp went out.\nb,No one answered.\n",
    "txt": "The lamp went out.\n\nNo one answered.\n",
}


def check(*words: str, stdin: str = "", code: int = 0) -> Result:
    done = CliRunner().invoke(main, ["check", *words], input=stdin)
    assert done.exit_code == code, done.output
    return done


@pytest.mark.parametrize("form", SCRIPTS)
def test_a_script_of_each_format_is_read(form: str, home: Path) -> None:
    found = json.loads(check("-", "--format", form, "--model", "ready", "--json", stdin=SCRIPTS[form]).stdout)
    assert (found["script"], found["title"], found["lines"]) == (f"stdin.{form}", "stdin", 2)


def test_a_problem_of_it_is_named_with_its_place(home: Path) -> None:
    done = check("-", "--format", "yaml", stdin="version: 1\nlines:\n- text: Hello there.\n  voice: absent\n", code=2)
    assert "stdin.yaml:4:10: unknown voice 'absent'" in done.stderr


def test_a_format_belongs_to_stdin_and_stdin_needs_one(home: Path, tmp_path: Path) -> None:
    assert "a script on stdin needs its format: --format yaml, csv or txt" in check("-", code=2).stderr
    (tmp_path / "s.txt").write_text("Hello there.")
    done = check(str(tmp_path / "s.txt"), "--format", "txt", code=2)
    assert "--format txt is for a script on stdin" in done.stderr


def test_more_than_a_script_may_have_is_refused(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vvbatch.script.source.MAX_BYTES", 1000)
    assert "more than 0 MiB: split it" in check("-", "--format", "txt", stdin="x" * 1001, code=2).stderr
