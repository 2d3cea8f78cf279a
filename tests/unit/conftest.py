from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny VibeVoice model in the original layout."""
    from tests import tiny_model

    return tiny_model.make(tmp_path_factory.mktemp("tiny"))
