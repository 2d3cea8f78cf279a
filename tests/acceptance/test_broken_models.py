"""A model that is not whole stops its worker at the start, with one message and no failed line."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conftest import Shell, wait_until
from tests.support import hub_cache


@pytest.fixture
def snapshot(shell: Shell, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The tiny model, whole, as profile `tiny` names it."""
    files, tokenizer = hub_cache.tiny_files(tmp_path / "made")
    folder = hub_cache.put(tmp_path / "hub", hub_cache.REPO, hub_cache.REVISION, files)
    hub_cache.put(tmp_path / "hub", hub_cache.TOKENIZER_REPO, hub_cache.TOKENIZER_REVISION, tokenizer)
    hub_cache.write_profile(tmp_path / "configs")
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))
    return folder


def test_with_each_damage_a_worker_ends_at_its_start_and_the_lines_stay_queued(
    shell: Shell, script: Callable[..., Path], snapshot: Path, tmp_path: Path
) -> None:
    shell.start("vvbatch", "redis")
    wait_until(lambda: shell("submit", str(script("One.", "Two.", model="tiny")), code=None).returncode == 0)
    shutil.copytree(tmp_path / "hub", tmp_path / "whole", symlinks=True)
    for kind, (damage, words) in hub_cache.DAMAGES.items():
        shutil.rmtree(tmp_path / "hub")
        shutil.copytree(tmp_path / "whole", tmp_path / "hub", symlinks=True)
        damage(snapshot)
        worker = shell.start("workers", "tiny")
        said, _ = worker.communicate(timeout=60)
        assert worker.returncode == 3, f"{kind}: {said}"
        assert said.count("cannot start") == 1
        assert words in said
        assert "vvbatch models pull tiny" in said
    (batch,) = shell.json("ledger", "batches")
    assert batch["counts"]["queued"] == 2
    assert shell.json("ledger", "takes") == []


def test_a_run_with_a_broken_model_says_so_once_and_queues_nothing(
    shell: Shell, script: Callable[..., Path], snapshot: Path
) -> None:
    hub_cache.truncate_a_shard(snapshot)
    done = shell("run", str(script("One.", "Two.", model="tiny")), code=3)
    assert done.stderr.count("it is cut off") == 1
    assert "vvbatch models pull tiny" in done.stderr
    assert shell.json("ledger", "batches") == []
