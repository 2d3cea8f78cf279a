"""Loudness, true peaks, the limiter and room tone, against independent judges."""

from __future__ import annotations

import numpy as np
import pyloudnorm
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import signal

from tests.support.books import speech_like, take_samples
from vvbatch.book.contents import RATE
from vvbatch.book.limiter import MARGIN_DB, Limiter, Window
from vvbatch.book.loudness import LoudnessMeter, combined, measured
from vvbatch.book.peaks import BEND_GAIN, FILTER, PHASES, peak_envelope, true_peak_dbtp
from vvbatch.book.room_tone import ToneMeter, quiet_power, tone_samples


def in_blocks(samples: np.ndarray, size: int) -> list[np.ndarray]:
    return [samples[start : start + size] for start in range(0, len(samples), size)]


@pytest.mark.parametrize("rate", [24_000, 44_100, 48_000])
def test_loudness_agrees_with_pyloudnorm_within_a_tenth(rate: int) -> None:
    parts = [speech_like(4, seed, level) for seed, level in enumerate((-30.0, -18.0, -24.0, -50.0))]
    samples = signal.resample_poly(np.concatenate(parts), rate, RATE).astype(np.float32)
    judged = pyloudnorm.Meter(rate, filter_class="DeMan").integrated_loudness(samples.astype(float))
    assert measured(samples, rate).lufs == pytest.approx(judged, abs=0.1)


@pytest.mark.parametrize("rate", [24_000, 44_100])
def test_loudness_at_any_rate_is_that_of_the_standard_at_48_khz(rate: int) -> None:
    samples = np.concatenate([speech_like(4, seed, level) for seed, level in enumerate((-30.0, -18.0, -24.0))])
    standard = signal.resample_poly(samples, 48_000, RATE)
    judged = pyloudnorm.Meter(48_000, filter_class="DeMan").integrated_loudness(standard.astype(float))
    at_rate = signal.resample_poly(samples, rate, RATE).astype(np.float32)
    assert measured(at_rate, rate).lufs == pytest.approx(judged, abs=0.02)


def test_a_sine_of_full_scale_has_the_loudness_of_the_standard() -> None:
    """BS.1770-4: 997 Hz at 0 dBFS in one channel is -3.01 LKFS."""
    sine = np.sin(2 * np.pi * 997 * np.arange(5 * 48_000) / 48_000).astype(np.float32)
    assert measured(sine, 48_000).lufs == pytest.approx(-3.01, abs=0.02)


@settings(deadline=None)
@given(st.lists(st.integers(1, 30_000), min_size=1, max_size=6))
def test_a_stream_measures_the_same_in_any_blocks(sizes: list[int]) -> None:
    samples = speech_like(2.0, 5)
    meter = LoudnessMeter(RATE)
    position = 0
    for size in [*sizes, len(samples)]:
        meter.add(samples[position : position + size])
        position += size
    whole = measured(samples, RATE)
    assert np.allclose(meter.energies.weighted, whole.weighted, rtol=1e-5)
    assert np.allclose(meter.energies.plain, whole.plain, rtol=1e-5)


def test_energies_of_chapters_give_the_loudness_of_the_book() -> None:
    chapters = [take_samples(6, seed, rms_dbfs=level) for seed, level in enumerate((-30.0, -20.0, -25.0))]
    chapters = [samples[: len(samples) // 2400 * 2400] for samples in chapters]
    joined = combined(measured(samples, RATE) for samples in chapters)
    assert joined.lufs == pytest.approx(measured(np.concatenate(chapters), RATE).lufs, abs=0.01)
    assert joined.scaled(6.0).lufs == pytest.approx(joined.lufs + 6.0, abs=0.05)


def test_silence_and_short_audio_have_no_loudness() -> None:
    assert measured(np.zeros(RATE, np.float32), RATE).lufs is None
    assert measured(speech_like(0.3), RATE).lufs is None


def test_the_floor_is_the_quietest_half_second() -> None:
    noise = np.random.default_rng(0).standard_normal(RATE).astype(np.float32) * np.float32(10 ** (-64 / 20))
    samples = np.concatenate([speech_like(3.0), noise, speech_like(3.0)])
    assert measured(samples, RATE).floor_db == pytest.approx(-64, abs=0.5)


def test_true_peaks_between_samples_are_found() -> None:
    """A sine at a quarter of the rate whose samples all lie at 45 degrees: its peaks are 3.01 dB above them."""
    sine = np.sin(np.pi / 2 * np.arange(4000) + np.pi / 4).astype(np.float32) * np.float32(0.5)
    faded = sine * np.hanning(4000).astype(np.float32)
    assert 20 * np.log10(np.abs(faded).max()) == pytest.approx(-9.03, abs=0.01)
    assert true_peak_dbtp([faded]) == pytest.approx(-6.02, abs=0.05)


@settings(deadline=None)
@given(st.integers(100, 9000), st.integers(0, 5))
def test_the_true_peak_is_the_same_in_any_blocks_and_that_of_plain_oversampling(size: int, seed: int) -> None:
    samples = speech_like(0.5, seed)
    wanted = 20 * np.log10(np.abs(signal.upfirdn(FILTER, samples.astype(float), 4)).max())
    assert true_peak_dbtp(in_blocks(samples, size)) == pytest.approx(wanted, abs=1e-6)


@given(
    st.integers(0, 10_000), st.integers(1, 3000), st.sampled_from(["speech", "noise", "square"]), st.floats(0.05, 1.1)
)
def test_the_envelope_needs_no_oversampling_where_no_value_can_be_high(
    seed: int, length: int, kind: str, share: float
) -> None:
    samples = speech_like(length / RATE, seed) if kind == "speech" else np.random.default_rng(seed).normal(size=length)
    samples = np.sign(samples) * 0.5 if kind == "square" else samples
    every = peak_envelope(samples)
    ceiling = float(every.max()) * share
    quick = peak_envelope(samples, ceiling)
    assert np.array_equal(every > ceiling, quick > ceiling)
    assert every[every > ceiling] == pytest.approx(quick[every > ceiling])


def test_between_samples_no_value_is_farther_from_a_straight_line_than_the_bend_allows() -> None:
    for quarter, phase in enumerate(PHASES, 1):
        added = phase[::-1].copy()
        added[11:13] -= [1 - quarter / 4, quarter / 4]  # what lies on the line between the two samples
        assert np.abs(np.cumsum(np.cumsum(added))[:-1]).sum() < BEND_GAIN


@pytest.mark.slow
@settings(deadline=None)
@given(st.integers(0, 10_000), st.floats(-9, -1), st.integers(500, 60_000))
def test_the_limiter_holds_its_ceiling_and_is_independent_of_blocks(seed: int, ceiling: float, size: int) -> None:
    samples = speech_like(1.5, seed, rms_dbfs=-14.0)
    limiter, other = Limiter(ceiling), Limiter(ceiling)
    limited = np.concatenate(list(limiter.limited([samples])))
    again = np.concatenate(list(other.limited(in_blocks(samples, size))))
    assert len(limited) == len(samples)
    assert true_peak_dbtp([limited]) <= ceiling
    assert np.array_equal(limited, again) and limiter.windows == other.windows


def test_the_limiter_touches_only_the_windows_that_it_logs() -> None:
    samples = speech_like(10.0, 1, rms_dbfs=-26.0) * np.float32(0.5)
    samples[100_000:100_020] = 0.9
    limiter = Limiter(-3.0)
    limited = np.concatenate(list(limiter.limited(in_blocks(samples, 24_000))))
    (window,) = limiter.windows
    assert window.start <= 100_000 <= 100_020 <= window.stop
    assert window.stop - window.start < 0.05 * RATE
    changed = np.flatnonzero(limited != samples)
    assert window.start <= changed[0] and changed[-1] < window.stop
    assert 2.0 < window.reduction_db < 6.0 and MARGIN_DB < 0.2
    assert Window(1, 2, 3.0) == Window(1, 2, 3.0)


def test_audio_under_the_ceiling_passes_bit_by_bit() -> None:
    samples = speech_like(3.0, 2, rms_dbfs=-30.0)
    limiter = Limiter(-1.0)
    assert np.array_equal(np.concatenate(list(limiter.limited(in_blocks(samples, 1000)))), samples)
    assert limiter.windows == []


def tone_of(floor_dbfs: float) -> ToneMeter:
    meter = ToneMeter()
    for seed in range(4):
        samples = take_samples(1.0, seed, floor_dbfs=floor_dbfs, before_s=0.5, after_s=0.5)
        meter.add(*quiet_power(samples, -24.0))
    return meter


def test_room_tone_has_the_level_of_the_quiet_frames_and_silence_has_none() -> None:
    tone = tone_of(-68.0).tone
    assert tone.level_dbfs == pytest.approx(-68.0, abs=0.5)
    samples = tone_samples(tone, tone.level_dbfs, 48_000, "seed")
    assert 20 * np.log10(np.sqrt(np.mean(samples**2))) == pytest.approx(-68.0, abs=0.5)
    assert tone_of(-80.0).tone is None
    assert ToneMeter().tone is None


def test_room_tone_is_at_most_minus_65_dbfs_in_the_book() -> None:
    tone = tone_of(-68.0).tone
    assert tone.at(0.0) == pytest.approx(-68.0, abs=0.5) and tone.at(10.0) == -65.0


def test_room_tone_has_the_spectrum_of_the_quiet_frames() -> None:
    meter = ToneMeter()
    random = np.random.default_rng(4)
    for seed in range(6):
        samples = take_samples(0.5, seed, before_s=1.0)
        noise = signal.lfilter([1.0], [1.0, -0.9], random.standard_normal(len(samples)))
        samples = samples + (noise * 10 ** (-66 / 20) / noise.std()).astype(np.float32)
        meter.add(*quiet_power(samples, -24.0))
    made = tone_samples(meter.tone, -66.0, 10 * RATE, "seed").astype(float)
    _, power = signal.welch(made, RATE, nperseg=512)
    _, wanted = signal.welch(signal.lfilter([1.0], [1.0, -0.9], random.standard_normal(10 * RATE)), RATE, nperseg=512)
    difference = 10 * np.log10(power[4:200] / wanted[4:200])
    assert np.abs(difference - difference.mean()).max() < 4


def test_room_tone_never_repeats_and_the_same_seed_gives_the_same_noise() -> None:
    tone = tone_of(-68.0).tone
    samples = tone_samples(tone, -68.0, 5 * RATE, "a").astype(float)
    spectrum = np.fft.rfft(samples, 1 << 18)
    correlation = np.fft.irfft(np.abs(spectrum) ** 2)[: 2 * RATE] / np.sum(samples**2)
    assert correlation[1200:].max() < 0.15
    assert np.array_equal(samples, tone_samples(tone, -68.0, 5 * RATE, "a").astype(float))
    assert not np.array_equal(samples, tone_samples(tone, -68.0, 5 * RATE, "b").astype(float))
