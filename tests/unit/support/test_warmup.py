from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from huggingface_hub import constants

from tests.support import hub_cache
from tests.support.cli import Cli

pytestmark = pytest.mark.slow  # with what it imports, which takes seconds in each process


@pytest.fixture
def cli(
    home: Path, tmp_path: Path, tiny_files: tuple[dict[str, bytes], dict[str, bytes]], monkeypatch: pytest.MonkeyPatch
) -> Cli:
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    hub_cache.put(tmp_path / "hub", hub_cache.REPO, hub_cache.REVISION, tiny_files[0])
    hub_cache.put(tmp_path / "hub", hub_cache.TOKENIZER_REPO, hub_cache.TOKENIZER_REVISION, tiny_files[1])
    hub_cache.write_profile(tmp_path / "configs")
    return Cli()


def latents(home: Path) -> set[str]:
    return {file.name for file in (home / "cache" / "voices").glob("*.npy")}


@pytest.mark.slow
def test_every_voice_is_in_the_engines_cache_afterwards(cli: Cli, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from vvbatch.engine.vibevoice import voice_latents

    found: dict[str, Any] = cli.json("warmup", "tiny")
    assert found["voices"] == ["carter", "alice", "frank", "maya"]
    assert len(latents(home)) == 4
    for when in ("before", "after"):
        assert found[when]["load_s"] > 0
        assert found[when]["first_chunk_s"] > 0

    def encode(*_arguments: object) -> None:
        raise AssertionError("encoded again")

    monkeypatch.setattr(voice_latents, "encode", encode)
    assert "4 voices read" in cli("warmup", "tiny").stdout


@pytest.mark.slow
def test_one_voice_alone_can_be_read(cli: Cli, home: Path) -> None:
    assert cli.json("warmup", "tiny", "--voice", "maya")["voices"] == ["maya"]
    assert len(latents(home)) == 1


def test_a_model_that_is_not_here_and_an_unknown_voice_are_named(cli: Cli) -> None:
    assert "vvbatch models pull" in cli("warmup", "1.5b", code=3).stderr
    assert "unknown voice 'absent'" in cli("warmup", "tiny", "--voice", "absent", code=2).stderr


@pytest.mark.slow
def test_the_draft_voice_can_be_warmed_too(cli: Cli) -> None:
    found = cli.json("warmup", "draft")
    assert found["voices"] == []
    assert found["after"]["first_chunk_s"] > 0
