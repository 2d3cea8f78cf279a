"""Several channels become one without cancelling."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.support.sounds import RATE, speechlike
from vvbatch import audio

TALK = speechlike(4.0)
Floats = NDArray[np.float64]


def noise(level: float, seed: int, count: int = len(TALK)) -> Floats:
    return level * np.random.default_rng(seed).normal(size=count)


def mixed(*channels: Floats, rate: int = RATE) -> tuple[Floats, str]:
    return audio.mono(np.stack(channels, 1), rate)


def level_db(samples: Floats) -> float:
    return audio.rms_dbfs(samples.astype(np.float32))


def test_one_channel_is_unchanged() -> None:
    for samples in (TALK, TALK[:, None]):
        mono, note = audio.mono(samples, RATE)
        assert np.array_equal(mono, TALK) and note == ""


@pytest.mark.parametrize("share", [1.0, 0.5, 0.9])
def test_channels_in_phase_give_their_mean_without_a_note(share: float) -> None:
    mono, note = mixed(TALK, share * TALK)
    assert np.allclose(mono, TALK * (1 + share) / 2) and note == ""


def test_unlike_channels_give_their_mean() -> None:
    other = speechlike(4.0, 190.0, seed=3)
    mono, note = mixed(TALK, other)
    assert np.allclose(mono, (TALK + other) / 2) and note == ""


@pytest.mark.parametrize("rate", [8_000, 24_000, 48_000])
@pytest.mark.parametrize("factor", [-1.0, -0.95, -0.5, -0.2])
def test_opposite_channels_give_the_louder_one_with_a_note(factor: float, rate: int) -> None:
    talk = speechlike(4.0, rate=rate)
    mono, note = mixed(factor * talk, talk, rate=rate)
    assert level_db(mono) == pytest.approx(level_db(talk), abs=0.5)
    assert "channels" in note and "opposite phase (correlation -1.00)" in note


@pytest.mark.parametrize("hiss", [0.001, 0.01, 0.05])
def test_partly_opposite_channels_give_the_cleaner_one(hiss: float) -> None:
    clean, noisy = TALK + noise(0.0005, 1), -TALK + noise(hiss, 2)
    for channels, number in (((clean, noisy), 1), ((noisy, clean), 2)):
        mono, note = mixed(*channels)
        assert "opposite phase" in note
        if hiss > 0.001:
            assert np.array_equal(mono, clean) and f"only channel {number} is used" in note


def test_channels_opposite_for_a_part_of_the_time_give_one_channel() -> None:
    other = TALK.copy()
    other[3 * RATE :] *= -1
    mono, note = mixed(TALK, other)
    assert np.array_equal(mono, TALK) and "opposite phase" in note


def test_a_hum_in_phase_does_not_hide_opposite_speech() -> None:
    hum = 0.5 * np.sin(2 * np.pi * 50 * np.arange(len(TALK)) / RATE)
    mono, note = mixed(TALK + hum + 0.1, -TALK + hum + 0.1)
    assert "opposite phase" in note
    assert np.corrcoef(mono - hum, TALK)[0, 1] > 0.99


@pytest.mark.parametrize("dead", [0.0, 1e-5])
@pytest.mark.parametrize("number", [1, 2])
def test_a_dead_channel_is_left_out_with_a_note(number: int, dead: float) -> None:
    silent = noise(dead, 7)
    mono, note = mixed(*((silent, TALK) if number == 1 else (TALK, silent)))
    assert np.array_equal(mono, TALK)
    assert note == f"channel {number} of 2 is silent and is left out"


def test_the_dead_channels_of_surround_sound_are_left_out() -> None:
    silent = np.zeros(len(TALK))
    mono, note = mixed(silent, silent, TALK, silent, 0.5 * TALK, silent)
    assert np.allclose(mono, 0.75 * TALK)
    assert note == "channels 1, 2, 4, 6 of 6 are silent and are left out"


@pytest.mark.parametrize("count", [0, 1, 5])
def test_few_samples_and_silence_are_mixed(count: int) -> None:
    mono, note = audio.mono(np.zeros((count, 2)), RATE)
    assert (mono.shape, note) == ((count,), "")


def test_samples_that_are_not_numbers_stay_so() -> None:
    assert not np.isfinite(mixed(np.array([np.nan, 0.0]), np.zeros(2))[0]).all()
