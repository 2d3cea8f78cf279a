"""What `synth --stream` plays of the items that a worker sends."""

from __future__ import annotations

import io
from types import SimpleNamespace
from typing import Any

import pytest

from vvbatch.cli.common import Failed
from vvbatch.cli.synth import stream_line
from vvbatch.ledger import queries
from vvbatch.transport import stream

HEADER_BYTES = 44


def played(items: list[stream.Begun | bytes | None], monkeypatch: pytest.MonkeyPatch, output: io.BytesIO) -> bool:
    """The batch is open as long as there are items."""
    left = list(items)
    monkeypatch.setattr(stream, "receive", lambda *_words, **_options: left.pop(0) if left else None)
    monkeypatch.setattr(queries, "open_batches", lambda *_words: len(left))
    monkeypatch.setattr("sys.stdout", SimpleNamespace(buffer=output))
    anything: Any = SimpleNamespace(ledger=None, keep_running=lambda *_words: None)
    return stream_line(anything, anything, "b", anything)


def test_the_chunks_of_one_take_are_played(monkeypatch: pytest.MonkeyPatch) -> None:
    output = io.BytesIO()
    assert played([None, stream.Begun("t"), b"ab", None, b"cd", stream.END], monkeypatch, output)
    assert output.getvalue()[HEADER_BYTES:] == b"abcd"


def test_a_line_that_is_not_rendered_plays_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    output = io.BytesIO()
    assert not played([None, None], monkeypatch, output)
    assert len(output.getvalue()) == HEADER_BYTES


def test_a_second_take_after_a_dead_worker_is_not_played(monkeypatch: pytest.MonkeyPatch) -> None:
    output = io.BytesIO()
    with pytest.raises(Failed, match="the worker ended while the line was streamed"):
        played([stream.Begun("t"), b"ab", stream.END, stream.Begun("t"), b"abcd", stream.END], monkeypatch, output)
    assert output.getvalue()[HEADER_BYTES:] == b"ab"
