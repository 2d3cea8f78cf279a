"""Two takes' difference: each fault shows in its own measure, and in no other beyond what it really changes."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import soxr
from hypothesis import given, settings
from hypothesis import strategies as st

from vvbatch import profiles
from vvbatch.engine.contract import SAMPLE_RATE, Chunk, Manner, Request, Turn, Voice
from vvbatch.regress.compare import compare
from vvbatch.regress.compare.alignment import accumulated, align
from vvbatch.regress.compare.spectrum import log_mel

pytestmark = pytest.mark.slow

TEXT = "I said I would come back before the first snow fell on the harbour."


@pytest.fixture(scope="module")
def say() -> Callable[..., np.ndarray]:
    """The draft voice: say(text, seed=…, pitch=…, rate=…)."""
    pytest.importorskip("piper")
    from pathlib import Path

    from vvbatch.engine.draft import DraftEngine

    engine = DraftEngine(profiles.load("draft"))

    def speak(text: str = TEXT, seed: int = 1, pitch: float = 0.0, rate: float = 1.0) -> np.ndarray:
        voice = Voice("v", Path("v.wav"), "0" * 64, Manner(rate, pitch))
        engine.admit(Request("r", (Turn(0, text),), (voice,), seed, 1.3, 10))
        chunks: list[np.ndarray] = []
        while True:
            for event in engine.step():
                if not isinstance(event, Chunk):
                    return np.concatenate(chunks)
                chunks.append(event.samples)

    return speak


def test_a_take_does_not_differ_from_itself(say: Callable[..., np.ndarray]) -> None:
    take = say()
    found = compare(take, take)
    assert found.bits
    assert (found.duration_s, found.missing_s, found.added_s, found.rate, found.mel_db) == (0, 0, 0, 1, 0)
    assert (found.loudness_db, found.pitch_semitones, found.floor_db) == (0, 0, 0)


@pytest.mark.slow
def test_another_rounding_is_hardly_any_distance_and_another_seed_is_a_good_one(say: Callable[..., np.ndarray]) -> None:
    take = say()
    noise = np.random.default_rng(0).standard_normal(len(take)).astype(np.float32)
    rounded = compare(take, take + 1e-6 * noise)
    assert not rounded.bits and rounded.mel_db < 0.02
    other = compare(take, say(seed=2))
    assert 0.5 < other.mel_db < 2.5
    assert abs(other.pitch_semitones) < 0.6 and abs(other.loudness_db) < 0.4 and other.missing_s == other.added_s == 0


@pytest.mark.parametrize("pitch", [6.0, -3.0])
def test_another_voice_is_farther_than_another_seed_and_its_pitch_is_reported(
    say: Callable[..., np.ndarray], pitch: float
) -> None:
    found = compare(say(), say(pitch=pitch))
    assert found.mel_db > 3 and found.pitch_semitones == pytest.approx(pitch, abs=0.6)


def test_a_slower_take_is_recognised_by_its_rate(say: Callable[..., np.ndarray]) -> None:
    take = say()
    slower = soxr.resample(take, SAMPLE_RATE, SAMPLE_RATE * 1.03).astype(np.float32)
    found = compare(take, slower)
    assert found.rate == pytest.approx(1 / 1.03, abs=0.01) and found.duration_ratio == pytest.approx(1.03, abs=0.001)
    assert found.missing_s == found.added_s == 0


def test_a_louder_take_is_recognised_by_its_loudness_alone(say: Callable[..., np.ndarray]) -> None:
    take = say()
    found = compare(take, take * np.float32(10 ** (1 / 20)))
    assert found.loudness_db == pytest.approx(1.0, abs=0.01) and found.mel_db < 0.01 and found.rate == 1


def test_a_cut_word_is_missing_time_at_the_end_and_leaves_the_rate_as_it_is(say: Callable[..., np.ndarray]) -> None:
    take = say()
    cut = take[: -round(0.45 * SAMPLE_RATE)].copy()
    cut[-480:] *= np.linspace(1, 0, 480, dtype=np.float32)
    found = compare(take, cut)
    assert 0.2 < found.missing_s < 0.5 and found.added_s == 0 and found.rate == pytest.approx(1, abs=0.02)
    back = compare(cut, take)
    assert back.added_s == pytest.approx(found.missing_s, abs=0.03) and back.missing_s == 0


def test_a_hum_raises_the_floor(say: Callable[..., np.ndarray]) -> None:
    take = say()
    hum = 0.02 * np.sin(2 * np.pi * 440 * np.arange(len(take)) / SAMPLE_RATE).astype(np.float32)
    assert compare(take, take + hum).floor_db > 15


@pytest.mark.parametrize("length", [0, 1, 100, SAMPLE_RATE])
def test_silence_and_next_to_nothing_are_measured_as_far_as_they_can_be(length: int) -> None:
    nothing, tone = np.zeros(length, np.float32), np.full(SAMPLE_RATE, 0.1, np.float32)
    for first, second in ((nothing, tone), (tone, nothing), (nothing, nothing)):
        found = compare(first, second)
        assert found.mel_db is None and found.missing_s is None
        assert found.duration_s == (len(second) - len(first)) / SAMPLE_RATE


def plain_dtw(distance: np.ndarray) -> np.ndarray:
    cost = np.full((distance.shape[0] + 1, distance.shape[1] + 1), np.inf)
    cost[0, 0] = 0
    for i in range(distance.shape[0]):
        for j in range(distance.shape[1]):
            here = distance[i, j]
            cost[i + 1, j + 1] = min(cost[i, j + 1] + here, cost[i + 1, j] + here, cost[i, j] + 2 * here)
    return cost[1:, 1:]


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 12), st.integers(1, 12), st.integers(0, 2**31))
def test_the_diagonal_sweep_finds_what_the_plain_recursion_finds(rows: int, columns: int, seed: int) -> None:
    distance = np.random.default_rng(seed).random((rows, columns)).astype(np.float32)
    assert np.allclose(accumulated(distance), plain_dtw(distance), rtol=1e-5)


@pytest.mark.slow
def test_a_long_take_is_aligned_in_bounded_memory() -> None:
    noise = np.random.default_rng(0).standard_normal(100 * SAMPLE_RATE).astype(np.float32)
    frames = log_mel(noise)
    assert len(frames) > 9000
    found = align(frames, frames[: len(frames) - 300])
    assert found.distance_db < 0.01 and found.before_left_s == pytest.approx(3, abs=0.1)
