"""Differences between two takes by listening models, with a fake listener."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest

from vvbatch.listening import process
from vvbatch.listening.process import Verdict
from vvbatch.qc.check import Check
from vvbatch.regress.listening import Pair, compare_by_listening

QUIET, LOUD = np.zeros(2400, np.float32), np.ones(2400, np.float32)


class Knowing:
    """Says of LOUD takes that a word is missing, and fails on takes of the line `odd`."""

    asked: ClassVar[list[str]] = []
    versions: ClassVar[dict[str, str]] = {"whisper": "tiny.en"}

    @classmethod
    def start(cls, listen: Any) -> Knowing:
        return cls()

    def __init__(self) -> None:
        self.due: list[Verdict] = []

    @property
    def waiting(self) -> int:
        return len(self.due)

    def submit(self, take_id: str, samples: Any, text: str, voice: Path | None, *_: Any) -> None:
        Knowing.asked.append(f"{text} {'after' if voice else 'before'}")
        if text == "odd":
            self.due.append(Verdict(take_id, (), "the listening process failed twice on this take"))
            return
        loud = bool(samples[0])
        checks = [
            Check(
                "wer",
                0.25 if loud else 0.0,
                0.3,
                True,
                1,
                {"missing": ["snow"], "wrong": [["fell", "fall"]]} if loud else None,
            )
        ]
        checks.append(Check("naturalness", 3.0 if loud else 4.0, 2.5, True))
        checks.append(Check("music", 0.0, 0.0, True, 0.0, {"not_checked": "too short"}))
        if voice:
            checks.append(Check("voice", 0.5 if loud else 1.0, 0.6, True))
        self.due.append(Verdict(take_id, tuple(checks)))

    def poll(self) -> list[Verdict]:
        due, self.due = self.due, []
        return due

    def close(self) -> None:
        pass


@pytest.fixture(autouse=True)
def knowing(monkeypatch: pytest.MonkeyPatch) -> None:
    Knowing.asked = []
    monkeypatch.setattr(process, "ListeningProcess", Knowing)


def pair(line: str, after: Any = LOUD, sha256: str = "a") -> Pair:
    return Pair(line, line, sha256, Path("baseline.wav"), QUIET, after)


def test_the_difference_of_both_takes_is_measured(tmp_path: Path) -> None:
    found = compare_by_listening([pair("one"), pair("two", QUIET, "b")], ["words"], tmp_path)
    assert found["one"].measures == {"words": 0.25, "voice": 0.5, "naturalness": 1.0}
    assert found["one"].details == {"words": "missing: snow; wrong: fell as fall"}
    assert found["two"].measures == {"words": 0.0, "voice": 0.0, "naturalness": 0.0}


def test_a_baseline_is_checked_again_only_after_its_file_or_the_models_changed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    compare_by_listening([pair("one")], ["words"], tmp_path)
    compare_by_listening([pair("one")], ["words"], tmp_path)
    assert Knowing.asked.count("one before") == 1 and Knowing.asked.count("one after") == 2
    compare_by_listening([pair("one", sha256="b")], ["words"], tmp_path)
    monkeypatch.setattr(Knowing, "versions", {"whisper": "small.en"})
    compare_by_listening([pair("one")], ["words"], tmp_path)
    assert Knowing.asked.count("one before") == 3


def test_a_take_that_crashes_the_listener_is_left_out(tmp_path: Path) -> None:
    assert set(compare_by_listening([pair("odd"), pair("one")], ["words"], tmp_path)) == {"one"}


def test_nothing_to_listen_to_starts_no_listener(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Knowing, "start", None)
    assert compare_by_listening([], ["words"], tmp_path) == {} == compare_by_listening([pair("one")], [], tmp_path)
