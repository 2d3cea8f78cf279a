"""Errors and Ctrl-C, for every command at once: one message, the right exit code, no traceback."""

from __future__ import annotations

import importlib
import os
import pkgutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click
import pytest
import redis
from click.testing import CliRunner, Result
from sqlalchemy.exc import OperationalError

import vvbatch
from tests.conftest import ROOT
from vvbatch.cli import main
from vvbatch.errors import InputError, UnavailableError, VvbatchError


def commands(group: click.Group, *words: str) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    """Every command of the tree with the words that call it."""
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None, name
        if isinstance(command, click.Group):
            yield from commands(command, *words, name)
        else:
            yield (*words, name), command


COMMANDS = list(commands(main))
every_command = pytest.mark.parametrize(("words", "command"), COMMANDS, ids=[" ".join(words) for words, _ in COMMANDS])


def raising(error: BaseException, words: tuple[str, ...], command: click.Command, patch: pytest.MonkeyPatch) -> Result:
    """Call a command, without its arguments, whose body raises `error`."""

    def body(**_values: object) -> None:
        raise error

    patch.setattr(command, "parse_args", lambda _context, _words: [])
    patch.setattr(command, "callback", body)
    return CliRunner().invoke(main, words)


@every_command
def test_ctrl_c_ends_every_command_with_130(
    words: tuple[str, ...], command: click.Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    done = raising(KeyboardInterrupt(), words, command, monkeypatch)
    assert (done.exit_code, done.stderr) == (130, "interrupted\n")


@pytest.mark.slow
def test_ctrl_c_in_code_compiled_from_a_string_is_130_too(tmp_path: Path) -> None:
    program = """
from vvbatch.cli.common import command_errors
with command_errors():
    exec("raise KeyboardInterrupt")
"""
    (tmp_path / "interrupted.py").write_text(program)
    paths = {**os.environ, "PYTHONPATH": f"{tmp_path}{os.pathsep}{ROOT}"}
    assert subprocess.run([sys.executable, "-m", "interrupted"], env=paths).returncode == 130


@every_command
def test_a_known_error_is_one_message_of_every_command(
    words: tuple[str, ...], command: click.Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    done = raising(UnavailableError("the lamp is out: light it"), words, command, monkeypatch)
    assert (done.exit_code, done.stderr) == (3, "Error: the lamp is out: light it\n")


@pytest.mark.parametrize(
    ("error", "code", "part"),
    [
        (VvbatchError("the line failed"), 1, "the line failed"),
        (InputError("unknown voice 'x'"), 2, "unknown voice 'x'"),
        (redis.exceptions.ConnectionError("refused"), 3, "the queue's server no longer answers: refused"),
        (OperationalError("SELECT 1", {}, Exception("locked")), 3, "the ledger cannot be used now: locked"),
    ],
)
def test_an_error_has_its_exit_code(error: Exception, code: int, part: str, monkeypatch: pytest.MonkeyPatch) -> None:
    words, command = COMMANDS[0]
    done = raising(error, words, command, monkeypatch)
    assert done.exit_code == code
    assert part in done.stderr and done.stderr.count("\n") == 1


def test_an_unknown_error_is_not_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    words, command = COMMANDS[0]
    bug = ZeroDivisionError("a bug of ours")
    assert raising(bug, words, command, monkeypatch).exception is bug


def isolation_with(prompt: Callable[..., str]) -> Callable[..., Any]:
    """CliRunner's isolation, in which a question calls `prompt` instead of reading a line."""
    real = CliRunner.isolation

    @contextmanager
    def isolation(runner: CliRunner, *words: Any, **options: Any) -> Iterator[Any]:
        with real(runner, *words, **options) as streams, pytest.MonkeyPatch.context() as patch:
            patch.setattr("click.termui.visible_prompt_func", prompt)
            yield streams

    return isolation


def test_ctrl_c_at_a_question_is_130_and_no_is_1(monkeypatch: pytest.MonkeyPatch) -> None:
    words, command = COMMANDS[0]

    def asks() -> None:
        click.confirm("Remove it?", abort=True)

    monkeypatch.setattr(command, "parse_args", lambda _context, _words: [])
    monkeypatch.setattr(command, "callback", asks)
    assert CliRunner().invoke(main, words, input="n\n").exit_code == 1

    def interrupted(*_words: object, **_options: object) -> str:
        raise KeyboardInterrupt

    monkeypatch.setattr(click.testing.CliRunner, "isolation", isolation_with(interrupted))
    assert CliRunner().invoke(main, words, input="n\n").exit_code == 130


def test_every_error_of_ours_has_an_exit_code() -> None:
    for module in pkgutil.walk_packages(vvbatch.__path__, "vvbatch."):
        if "__main__" not in module.name and ".vibevoice" not in module.name:
            importlib.import_module(module.name)

    def all_of(kind: type[VvbatchError]) -> Iterator[type[VvbatchError]]:
        yield kind
        for each in kind.__subclasses__():
            yield from all_of(each)

    kinds = set(all_of(VvbatchError))
    assert len(kinds) > 20
    assert {kind.exit_code for kind in kinds} == {1, 2, 3}
