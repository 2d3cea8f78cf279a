"""`run` and `submit` for a model that is not on this machine."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.support.cli import Cli
from vvbatch import profiles
from vvbatch.cli.up import makes_books
from vvbatch.models.ready import why_not_ready

pytestmark = pytest.mark.slow  # commands run


@pytest.fixture
def script(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    file = tmp_path / "s.yaml"
    file.write_text("version: 1\nmodel: 1.5b\nlines:\n- She walked along the pier.\n")
    return str(file)


@pytest.mark.parametrize("command", ["run", "submit"])
def test_nothing_is_queued_for_a_model_that_is_not_here(command: str, script: str) -> None:
    run = Cli()
    done = run(command, script, "--json", code=3)
    assert done.stdout == ""
    assert (
        "its model microsoft/VibeVoice-1.5B at cf42b8ff is not on this machine: vvbatch models pull 1.5b" in done.stderr
    )
    assert "nothing is queued" in done.stderr
    assert json.loads(run("ledger", "batches", "--json").stdout) == []


def test_a_missing_package_is_named_with_the_command_that_installs_it(
    script: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("vvbatch.models.ready.find_spec", lambda name: None)
    why = why_not_ready(profiles.load("1.5b"), tmp_path)
    assert why == "profile '1.5b' needs the package torch: pip install 'vvbatch[vibevoice]'"
    assert why_not_ready(profiles.load("draft"), tmp_path) == (
        "profile 'draft' needs the package piper: pip install 'vvbatch[draft]'"
    )
    monkeypatch.undo()
    assert why_not_ready(profiles.load("draft"), tmp_path) is None


def test_a_worker_elsewhere_or_a_wish_to_wait_is_enough(
    home: Path, script: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = Cli()
    waiting = json.loads(run("submit", script, "--wait-for-model", "--json").stdout)
    assert waiting["counts"]["queued"] == 1
    (home / "redis" / "redis.sock").touch()
    monkeypatch.setattr("vvbatch.transport.queue.has_worker", lambda connection, profile: profile == "1.5b")
    monkeypatch.setattr("vvbatch.transport.connection.await_answer", lambda *given, **more: None)
    assert json.loads(run("submit", script, "--json").stdout)["batch"] == waiting["batch"]


def test_check_says_so_first_shows_the_plan_and_exits_with_3(script: str) -> None:
    done = Cli()("check", script, code=3)
    assert done.stderr.startswith("Error: profile '1.5b' cannot run: its model")
    assert "to render" in done.stdout
    assert Cli().json("check", script, code=3)["to_render"] == 1


def test_up_names_every_profile_that_cannot_start_and_ends_when_none_can(script: str) -> None:
    done = Cli()("up", "--workers", "1.5b,7b", code=3)
    assert "profile '1.5b' cannot run" in done.stderr
    assert "vvbatch models pull 7b" in done.stderr


def test_up_says_that_books_are_not_made_without_their_extra(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert makes_books()
    assert capsys.readouterr().err == ""
    monkeypatch.setattr("vvbatch.cli.up.find_spec", lambda name: None)
    assert not makes_books()
    assert "pip install 'vvbatch[book]'" in capsys.readouterr().err
