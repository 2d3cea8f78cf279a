"""Which pause follows what."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from vvbatch.book.contents import Break, Sound, Speech
from vvbatch.book.pauses import Pauses


def said(
    line: str, voice: str = "emma", *, title: bool = False, break_after: Break = Break.LINE, own: float | None = None
) -> Speech:
    return Speech(line, Path("x.wav"), "0", voice, "", title, break_after, own)


@pytest.mark.parametrize(
    ("item", "following", "wanted"),
    [
        (said("a", break_after=Break.PART), said("a"), 0.25),
        (said("a"), said("b"), 0.45),
        (said("a", break_after=Break.PARAGRAPH), said("b"), 0.7),
        (said("a"), said("b", "carter"), 0.5),
        (said("a", break_after=Break.PARAGRAPH), said("b", "carter"), 0.7),
        (said("a", break_after=Break.SECTION), said("b", "carter"), 2.0),
        (said("t", title=True), said("a"), 1.5),
        (said("a", break_after=Break.SECTION, own=0.0), said("b"), 0.0),
        (said("t", title=True, own=3.25), said("b"), 3.25),
        (said("a"), Sound(Path("j.wav"), "1"), 0.7),
        (Sound(Path("j.wav"), "1", 1.25), said("a"), 1.25),
    ],
)
def test_the_pause_after_an_item_follows_its_kind_and_its_own_value_wins(
    item: Speech | Sound, following: Speech | Sound, wanted: float
) -> None:
    assert Pauses().after(item, following) == wanted


def test_pauses_are_read_from_a_script_and_refused_beyond_a_minute() -> None:
    assert msgspec.convert({"line": 1, "chapter": 4.5}, Pauses).chapter == 4.5
    for wrong in ({"line": -0.1}, {"chapter": 61}, {"sentence": 1}):
        with pytest.raises(msgspec.ValidationError):
            msgspec.convert(wrong, Pauses)
