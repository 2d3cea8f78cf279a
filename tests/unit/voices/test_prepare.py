from __future__ import annotations

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.sounds import RATE, pitch_of, speechlike
from vvbatch.engine.contract import FRAME
from vvbatch.profiles import bundled
from vvbatch.voices import InvalidVoice
from vvbatch.voices.prepare import MARGIN, prepare


def level_dbfs(samples: np.ndarray) -> float:
    return float(20 * np.log10(np.sqrt(np.mean(samples.astype(np.float64) ** 2))))


@settings(deadline=None, max_examples=20)
@given(
    seconds=st.floats(0.6, 4.0),
    gain=st.floats(1e-2, 3.0),
    offset=st.floats(-0.5, 0.5),
    rate=st.sampled_from([8_000, 16_000, 22_050, 24_000, 44_100, 48_000]),
)
def test_any_recording_becomes_a_levelled_prompt_of_whole_frames(
    seconds: float, gain: float, offset: float, rate: int
) -> None:
    samples = prepare(speechlike(seconds, rate=rate) * gain + offset, rate)
    assert samples.dtype == np.float32 and samples.ndim == 1
    assert len(samples) % FRAME == 0 and len(samples) >= 3 * FRAME
    assert level_dbfs(samples) == pytest.approx(-25.0, abs=0.01)
    assert abs(float(samples.mean())) < 1e-6
    assert np.abs(samples).max() <= 10 ** (-1 / 20)


def test_stereo_is_mixed(rate: int = RATE) -> None:
    left, right = speechlike(2.0, 120.0), speechlike(2.0, 120.0, seed=1)
    both = prepare(np.stack([left, right], axis=1), rate)
    assert np.allclose(both, prepare((left + right) / 2, rate))


def test_pitch_survives_another_rate() -> None:
    assert pitch_of(prepare(speechlike(2.0, 150.0, rate=16_000), 16_000)) == pytest.approx(150.0, rel=0.02)


def test_silence_at_the_ends_is_cut_and_pauses_stay() -> None:
    talk = speechlike(2.0)
    padded = np.concatenate([np.zeros(3 * RATE), talk, np.zeros(RATE), talk, np.zeros(5 * RATE)])
    samples = prepare(padded, RATE)
    assert len(samples) / RATE == pytest.approx(5.0, abs=0.3)


def test_quiet_room_noise_at_the_ends_is_cut() -> None:
    noise = 0.0008 * np.random.default_rng(0).normal(size=10 * RATE)
    noise[4 * RATE : 6 * RATE] += speechlike(2.0)
    assert len(prepare(noise, RATE)) / RATE == pytest.approx(2.0, abs=0.5)


def test_no_onset_is_cut() -> None:
    sound = np.concatenate([np.zeros(RATE), speechlike(1.0)])
    samples = prepare(sound, RATE)
    loud = np.flatnonzero(np.abs(samples) > 0.01)
    assert MARGIN - 300 <= loud[0] <= MARGIN + 300


def test_a_spike_lowers_the_level_rather_than_clipping() -> None:
    sound = speechlike(2.0) * 0.05
    sound[RATE] = 1.0
    samples = prepare(sound, RATE)
    assert np.abs(samples).max() <= 10 ** (-1 / 20)
    assert level_dbfs(samples) < -25.0


@pytest.mark.parametrize("seconds", [0.0, 0.1, 0.35])
def test_less_than_four_tenths_of_a_second_of_sound_is_refused(seconds: float) -> None:
    tone = np.sin(2 * np.pi * 200 * np.arange(round(seconds * RATE)) / RATE)
    with pytest.raises(InvalidVoice, match=r"at least 0\.4 s|no samples"):
        prepare(np.concatenate([np.zeros(RATE if seconds else 0), tone]), RATE)


def test_silence_is_refused() -> None:
    with pytest.raises(InvalidVoice, match="silent"):
        prepare(np.zeros(RATE), RATE)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_samples_that_are_no_numbers_are_refused(bad: float) -> None:
    sound = speechlike(1.0)
    sound[100] = bad
    with pytest.raises(InvalidVoice, match="NaN or infinite"):
        prepare(sound, RATE)


def test_preparing_a_bundled_voice_again_changes_next_to_nothing() -> None:
    once, _ = soundfile.read(bundled("voices") / "alice.wav", dtype="float32")
    again = prepare(once, RATE)
    assert len(again) == len(once)
    assert np.abs(again - once).max() < 2e-3
