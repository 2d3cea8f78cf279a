"""What the README tells a new user to type works as it stands, and every command's help has an example."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import click
import pytest

from tests.conftest import ROOT, Shell
from vvbatch.cli import COMMANDS, main

README = (ROOT / "README.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)


def test_the_first_own_script_of_the_readme_is_checked_and_rendered_as_written(shell: Shell, tmp_path: Path) -> None:
    pytest.importorskip("piper")
    (tmp_path / "first.yaml").write_text(blocks("yaml")[0])
    typed = [line.partition("#")[0] for block in blocks("sh") for line in block.splitlines() if "first.yaml" in line]
    assert len(typed) == 2
    for line in typed:
        shell(*shlex.split(line)[1:])
    assert len(list((tmp_path / "audio").rglob("*.wav"))) == 3


def test_the_commands_of_the_readme_exist() -> None:
    named = set(re.findall(r"\| `vvbatch ([a-z]+)", README)) | {"resume", "cancel", "retry"}
    assert named <= set(COMMANDS)


def leaves(command: click.Command, words: tuple[str, ...]) -> list[tuple[str, ...]]:
    if not isinstance(command, click.Group):
        return [words]
    context = click.Context(command)
    return [
        leaf
        for name in command.list_commands(context)
        if (inner := command.get_command(context, name))
        for leaf in leaves(inner, (*words, name))
    ]


@pytest.mark.parametrize("words", leaves(main, ()), ids=" ".join)
def test_every_commands_help_has_an_example(words: tuple[str, ...]) -> None:
    command: click.Command = main
    for word in words:
        assert isinstance(command, click.Group)
        found = command.get_command(click.Context(command), word)
        assert found is not None
        command = found
    assert re.search(r"Examples?:", command.help or ""), words
