"""Every check on the recordings of real VibeVoice that lie next to some checkouts; their README says what they are."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from vvbatch import audio, profiles
from vvbatch.listening.contract import Clip
from vvbatch.qc.judge import judge

FOLDER = Path("../shared/vibevoice-audio")
EDGES = {"start_level", "end_level", "first_word", "last_word"}
WITH_MUSIC = {"background", "noise_floor", "music"}

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not FOLDER.is_dir(), reason="no recordings of VibeVoice next to the checkout"),
]


@dataclass(frozen=True)
class Recording:
    file: str
    text: str
    label: str

    @property
    def was_cut(self) -> bool:
        return self.file.startswith("ms-")


def recordings() -> list[Recording]:
    if not FOLDER.is_dir():
        return []
    index = json.loads((FOLDER / "index.json").read_text(encoding="utf-8"))
    return [
        Recording(part["file"], part["text"], entry["label"])
        for entry in index
        for part in entry.get("segments", [entry])
    ]


@pytest.fixture(scope="module")
def failed() -> dict[str, set[str]]:
    """The checks that each recording fails."""
    pytest.importorskip("faster_whisper")
    from vvbatch.listening.models import ListeningModels

    models, limits, found = ListeningModels.open(), profiles.load("1.5b").qc, {}
    for one in recordings():
        samples, rate = audio.read(FOLDER / one.file)
        mono = samples.astype(np.float32)
        checks = judge(mono, rate, one.text, limits)
        (listened,) = models.check([Clip(mono, rate, one.text, None, limits)])
        found[one.file] = {check.name for check in [*checks, *listened] if not check.ok}
    return found


def test_every_good_recording_passes(failed: dict[str, set[str]]) -> None:
    good = [one for one in recordings() if one.label.startswith(("good", "speech and singing"))]
    assert len(good) >= 18
    off = {one.file: failed[one.file] - (EDGES if one.was_cut else set()) for one in good}
    assert {file: names for file, names in off.items() if names} == {}


def test_every_defective_recording_fails(failed: dict[str, set[str]]) -> None:
    defective = [one.file for one in recordings() if one.label.startswith("defect")]
    assert len(defective) >= 3
    assert [file for file in defective if not failed[file]] == []


def test_music_under_the_speech_fails_the_checks_of_the_background(failed: dict[str, set[str]]) -> None:
    with_music = [one.file for one in recordings() if one.label.startswith("music")]
    assert [file for file in with_music if not failed[file] & WITH_MUSIC] == []
