from __future__ import annotations

from pathlib import Path

import pytest

from tests.support import hub_cache


@pytest.fixture
def cache(
    tmp_path: Path, tiny_files: tuple[dict[str, bytes], dict[str, bytes]], monkeypatch: pytest.MonkeyPatch
) -> Path:
    """A hub cache of this test's own with the tiny model and its tokenizer."""
    import huggingface_hub.constants

    cache = tmp_path / "hub"
    hub_cache.put(cache, hub_cache.REPO, hub_cache.REVISION, tiny_files[0])
    hub_cache.put(cache, hub_cache.TOKENIZER_REPO, hub_cache.TOKENIZER_REVISION, tiny_files[1])
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(cache))
    monkeypatch.setenv("HF_HUB_CACHE", str(cache))
    return cache
