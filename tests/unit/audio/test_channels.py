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


def mixed(*channels: Floats, rate: int = RATE) -> tuple[Floats, str | None]:
    return audio.mono(np.stack(channels, 1), rate)


def level_db(samples: Floats) -> float:
    return audio.rms_dbfs(samples.astype(np.float32))


def test_one_channel_is_unchanged() -> None:
    for samples in (TALK, TALK[:, None]):
        mono, note = audio.mono(samples, RATE)
        assert np.array_equal(mono, TALK) and note is None


@pytest.mark.parametrize("share", [1.0, 0.5, 0.9])
def test_channels_in_phase_give_their_mean_without_a_note(share: float) -> None:
    mono, note = mixed(TALK, share * TALK)
    assert np.allclose(mono, TALK * (1 + share) / 2) and note is None


@pytest.mark.parametrize("rate", [8_000, 24_000, 48_000])
@pytest.mark.parametrize("factor", [-1.0, -0.95, -0.5, -0.2])
def test_opposite_channels_give_the_louder_one_with_a_note(factor: float, rate: int) -> None:
    talk = speechlike(4.0, rate=rate)
    mono, note = mixed(factor * talk, talk, rate=rate)
    assert level_db(mono) == pytest.approx(level_db(talk), abs=0.5)
    assert "their correlation is -1.00" in str(note)


@pytest.mark.parametrize("hiss", [0.005, 0.01, 0.05])
def test_partly_opposite_channels_give_the_cleaner_one(hiss: float) -> None:
    clean, noisy = TALK + noise(0.0005, 1), -TALK + noise(hiss, 2)
    for channels, number in (((clean, noisy), 1), ((noisy, clean), 2)):
        mono, note = mixed(*channels)
        assert np.array_equal(mono, clean) and f"channel {number} of 2 is used" in str(note)


def test_channels_opposite_for_a_part_of_the_time_give_one_channel() -> None:
    other = TALK.copy()
    other[3 * RATE :] *= -1
    mono, note = mixed(TALK, other)
    assert np.array_equal(mono, TALK) and "channel 1 of 2 is used" in str(note)


def test_a_hum_in_phase_does_not_hide_opposite_speech() -> None:
    hum = 0.5 * np.sin(2 * np.pi * 50 * np.arange(len(TALK)) / RATE)
    mono, note = mixed(TALK + hum + 0.1, -TALK + hum + 0.1)
    assert "their correlation is -" in str(note)
    assert abs(np.corrcoef(mono - hum, TALK)[0, 1]) > 0.99


@pytest.mark.parametrize("count", [0, 1, 5])
def test_few_samples_and_silence_are_mixed(count: int) -> None:
    mono, note = audio.mono(np.zeros((count, 2)), RATE)
    assert (mono.shape, note) == ((count,), None)


def test_samples_that_are_not_numbers_stay_so() -> None:
    assert not np.isfinite(mixed(np.array([np.nan, 0.0]), np.zeros(2))[0]).all()


def test_channels_of_opposite_phase_lose_nothing() -> None:
    speech = speechlike(2.0)
    signal, note = audio.mono(np.stack([speech, -speech], axis=1), RATE)
    assert np.allclose(signal, speech) and note == (
        "channel 1 of 2 is used: their correlation is -1.00, their mean would distort"
    )


@pytest.mark.parametrize("correlation", [-0.5, 0.0, 0.3])
def test_the_channel_with_less_noise_is_used_of_two_that_differ(correlation: float) -> None:
    rng = np.random.default_rng(3)
    speech = speechlike(2.0).astype(np.float64)
    other = correlation * speech + np.sqrt(1 - correlation**2) * rng.normal(0, speech.std(), len(speech))
    signal, note = audio.mono(np.stack([other, speech], axis=1), RATE)
    assert np.allclose(signal, speech) and "channel 2 of 2 is used" in str(note)


def test_a_channel_without_sound_is_left_out() -> None:
    speech = speechlike(2.0)
    signal, note = audio.mono(np.stack([np.zeros_like(speech), speech], axis=1), RATE)
    assert np.allclose(signal, speech) and note == "channel 2 of 2 is used: the others are silent"
    signal, note = audio.mono(np.stack([speech, speech, 1e-4 * speech], axis=1), RATE)
    assert np.allclose(signal, speech) and note == "1 of 3 channels are left out: silent"


@pytest.mark.parametrize("gain", [1.0, 0.5])
def test_channels_that_are_alike_are_mixed_without_a_note(gain: float) -> None:
    speech = speechlike(2.0).astype(np.float64)
    signal, note = audio.mono(np.stack([speech, gain * speech], axis=1), RATE)
    assert np.allclose(signal, (1 + gain) / 2 * speech) and note is None
