"""The measures of a take on sounds whose values are known."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.support.sounds import speechlike, write_wav
from vvbatch import audio
from vvbatch.listening.contract import Clip, not_checked
from vvbatch.proof.measure import RenderedTake, bandwidth, measure, measure_all, mono
from vvbatch.proof.sentences import LONGEST_S_PER_CHARACTER, SENTENCES, script
from vvbatch.qc.check import Check, at_most

pytest.importorskip("spokenform")

TEXT = "The lamp went out, and nobody spoke."


def samples() -> NDArray[np.float32]:
    """0.5 s of silence, 3 s of sound, 0.25 s of silence: 90,000 samples."""
    sound = speechlike(3.0).astype(np.float32)
    return np.concatenate([np.zeros(12_000, np.float32), sound, np.zeros(6_000, np.float32)])


class Listener:
    """Models that find one wrong word in seven, and too little sound for a voice."""

    versions: dict[str, str] = {}  # noqa: RUF012

    def check(self, clips: Sequence[Clip]) -> list[list[Check]]:
        return [[at_most("wer", 1 / 7, 0.1), not_checked("voice", "less than 1.2 s of sound")] for _ in clips]


def test_silence_pace_and_frames_are_those_of_the_samples() -> None:
    found = measure(samples(), TEXT, bandwidth(samples()), 2 / 7, 0.7)
    assert (found.leading_s, found.trailing_s) == pytest.approx((0.5, 0.25), abs=0.15)
    assert found.s_per_char == pytest.approx(3.0 / len(TEXT), rel=0.05)
    assert found.extra_samples == 90_000 % 3_200
    assert (found.bandwidth, found.similarity) == (1.0, 0.7)
    assert (found.words, found.word_errors) == (7, 2)
    assert found.level_dbfs == pytest.approx(audio.rms_dbfs(samples()), abs=0.01)


def test_silence_has_no_pace_and_no_bandwidth() -> None:
    found = measure(np.zeros(24_000, np.float32), TEXT, 8000.0, 1.0, None)
    assert (found.s_per_char, found.bandwidth, found.similarity) == (None, None, None)


def test_levels_are_those_before_the_gain_of_the_file(tmp_path: Path) -> None:
    file, prompt = write_wav(tmp_path / "take.wav", samples() / 2), write_wav(tmp_path / "voice.wav", samples())
    steps: list[tuple[int, int]] = []
    take = RenderedTake(file, TEXT, 20 * np.log10(0.5))
    (found,) = measure_all([take], prompt, Listener(), lambda done, total: steps.append((done, total)))
    assert (found.word_errors, found.similarity) == (1, None)
    assert found.level_dbfs == pytest.approx(audio.rms_dbfs(samples()), abs=0.05)
    assert found.bandwidth == pytest.approx(1.0, abs=0.05)
    assert steps == [(0, 1), (1, 1)]


def test_a_stereo_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(audio.AudioError, match="not mono"):
        mono(write_wav(tmp_path / "two.wav", np.zeros((2400, 2))))


def test_there_are_twelve_different_sentences_in_one_voice_with_a_limit_each() -> None:
    (chapter,) = script("alice").chapters
    assert len({line.id for line in chapter.lines}) == len(set(SENTENCES)) == 12
    assert {turn.voice for line in chapter.lines for turn in line.turns} == {"alice"}
    for line, text in zip(chapter.lines, SENTENCES, strict=True):
        assert line.max_duration_s == pytest.approx(LONGEST_S_PER_CHARACTER * len(text))
        assert 80 <= len(text) <= 140
