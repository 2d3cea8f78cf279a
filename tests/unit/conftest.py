"""Unit tests that are not marked `slow` start no process of ours, so that `make unit` stays quick on any machine."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest


@pytest.fixture(autouse=True)
def no_process_of_ours(request: pytest.FixtureRequest) -> Iterator[None]:
    """Fail a test that runs Python in another process without the marker; small system programs may run."""
    if request.node.get_closest_marker("slow"):
        yield
        return

    start = subprocess.Popen.__init__

    def checked(process: subprocess.Popen[Any], args: Any, *more: Any, **options: Any) -> None:
        words = [args] if isinstance(args, str | Path) else [*args]
        if sys.executable in map(str, words):
            pytest.fail(f"{request.node.name} starts Python in another process: mark it with pytest.mark.slow")
        start(process, args, *more, **options)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(subprocess.Popen, "__init__", checked)
        yield


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
