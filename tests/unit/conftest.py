from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny VibeVoice model in the original layout."""
    from tests.support import tiny_model

    return tiny_model.make(tmp_path_factory.mktemp("tiny"))


@pytest.fixture(scope="session")
def tiny_files(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, bytes], dict[str, bytes]]:
    """The tiny model's files in two shards, and its tokenizer's."""
    from tests.support import hub_cache

    return hub_cache.tiny_files(tmp_path_factory.mktemp("made"))
