"""A model that is not whole stops its worker at the start, with one message and no failed line."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests import hub_cache
from tests.conftest import Shell


def test_a_run_with_a_broken_model_says_so_once_and_fails_no_line(
    shell: Shell, script: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files, tokenizer = hub_cache.tiny_files(tmp_path / "made")
    folder = hub_cache.put(tmp_path / "hub", hub_cache.REPO, hub_cache.REVISION, files)
    hub_cache.put(tmp_path / "hub", hub_cache.TOKENIZER_REPO, hub_cache.TOKENIZER_REVISION, tokenizer)
    hub_cache.write_profile(tmp_path / "configs")
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))
    hub_cache.truncate_a_shard(folder)
    done = shell("run", str(script("One.", "Two.", model="tiny")), code=3)
    assert done.stderr.count("it is cut off") == 1
    assert "vvbatch models pull tiny" in done.stderr
    (batch,) = shell.json("ledger", "batches")
    assert batch["counts"]["failed"] == 0
    assert batch["counts"]["queued"] + batch["counts"]["cancelled"] == 2
