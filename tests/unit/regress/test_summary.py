from __future__ import annotations

from vvbatch.regress.records import Change, Facts
from vvbatch.regress.summary import voice_files


def facts(**voices: str) -> Facts:
    return Facts(
        engine="draft 1",
        model="m",
        revision="1",
        device="cpu",
        dtype="float32",
        control_hash="c",
        seed=1,
        voices=voices,
    )


def test_a_voice_whose_file_changed_is_what_changed() -> None:
    then, now = facts(mara="a" * 64, alice="b" * 64), facts(mara="c" * 64, alice="b" * 64)
    assert voice_files(then, now) == [Change("voice mara", "a" * 12, "c" * 12)]


def test_another_voice_of_a_line_is_no_changed_file() -> None:
    assert voice_files(facts(mara="a" * 64), facts(alice="b" * 64)) == []
