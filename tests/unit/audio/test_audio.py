from __future__ import annotations

import io
import os
import struct
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from numpy.typing import NDArray

from vvbatch import audio

RATE = 24_000
SAMPLES = arrays.arrays(np.float32, st.integers(0, 200), elements=st.floats(-4, 4, width=32))


def tone(seconds: float, rate: int = RATE, frequency: float = 997.0, amplitude: float = 1.0) -> np.ndarray:
    return (amplitude * np.sin(2 * np.pi * frequency * np.arange(round(seconds * rate)) / rate)).astype(np.float32)


@given(SAMPLES, st.floats(-30, 0))
def test_no_rounded_sample_is_above_the_peak_limit(samples: np.ndarray, limit: float) -> None:
    levelled, gain_db = audio.bring_to_peak(samples, limit)
    assert np.abs(audio.to_pcm16(levelled).astype(int)).max(initial=0) <= 32768 * 10 ** (limit / 20)
    assert gain_db <= 0
    assert (gain_db == 0) == (levelled is samples)


def test_samples_under_the_limit_are_left_alone() -> None:
    quiet = tone(0.1, amplitude=0.85)
    assert audio.bring_to_peak(quiet) == (quiet, 0.0)


def test_gain_says_what_was_taken_away() -> None:
    levelled, gain_db = audio.bring_to_peak(tone(0.1, amplitude=2.0))
    assert gain_db == pytest.approx(-7.02, abs=0.02)
    assert audio.peak_dbfs(levelled) == pytest.approx(-1.0, abs=0.001)


@given(arrays.arrays(np.int16, st.integers(0, 200)))
def test_pcm_survives_float_and_back(pcm: NDArray[np.int16]) -> None:
    assert np.array_equal(audio.to_pcm16(pcm.astype(np.float32) / np.float32(32768)), pcm)


def test_pcm_saturates_and_never_wraps() -> None:
    assert audio.to_pcm16(np.array([3, 1, -1, -3], np.float32)).tolist() == [32767, 32767, -32768, -32768]


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_nan_and_inf_are_refused(bad: float) -> None:
    samples = np.array([0, bad, 0], np.float32)
    with pytest.raises(audio.AudioError, match="1 of 3 samples"):
        audio.to_pcm16(samples)
    with pytest.raises(audio.AudioError, match="1 of 3 samples"):
        audio.bring_to_peak(samples)


def test_wav_bytes_are_a_24_khz_mono_pcm16_riff_file() -> None:
    pcm = audio.to_pcm16(tone(0.1, amplitude=0.5))
    data = audio.wav_bytes(pcm, RATE)
    kind, channels, rate, _, _, bits = struct.unpack_from("<HHIIHH", data, 20)
    assert (data[:4], kind, channels, rate, bits) == (b"RIFF", 1, 1, RATE, 16)
    assert len(data) == 44 + 2 * len(pcm)
    assert np.array_equal(soundfile.read(io.BytesIO(data), dtype="int16")[0], pcm)


def test_levels_of_a_sine_and_of_silence() -> None:
    assert audio.peak_dbfs(tone(1, amplitude=0.5)) == pytest.approx(-6.02, abs=0.01)
    assert audio.rms_dbfs(tone(1)) == pytest.approx(-3.01, abs=0.01)
    for nothing in (np.zeros(10, np.float32), np.zeros(0, np.float32)):
        assert audio.peak_dbfs(nothing) == audio.rms_dbfs(nothing) == audio.SILENCE_DBFS


@pytest.mark.parametrize("rate", [16_000, 22_050, 24_000, 44_100, 48_000])
def test_a_full_scale_997_hz_sine_has_the_loudness_that_the_standard_gives_it(rate: int) -> None:
    assert audio.loudness_lufs(tone(5, rate), rate) == pytest.approx(-3.01, abs=0.06)


def test_loudness_agrees_with_an_independent_meter_over_pauses_and_level_changes() -> None:
    pyloudnorm = pytest.importorskip("pyloudnorm")
    noise = np.random.default_rng(1).normal(0, 0.1, RATE * 9).astype(np.float32)
    noise *= np.repeat([1, 0.05, 0, 0.5, 2, 0.3, 0, 1, 0.01], RATE).astype(np.float32)
    expected = pyloudnorm.Meter(RATE, filter_class="DeMan").integrated_loudness(noise)
    assert audio.loudness_lufs(noise, RATE) == pytest.approx(expected, abs=0.02)


def test_too_short_and_silent_audio_has_no_loudness() -> None:
    assert audio.loudness_lufs(tone(0.39), RATE) is None
    assert audio.loudness_lufs(np.zeros(RATE, np.float32), RATE) is None
    assert audio.loudness_lufs(np.zeros(0, np.float32), RATE) is None


@pytest.mark.parametrize("ending", ["wav", "flac", "ogg", "aiff", "mp3"])
def test_common_formats_are_read(tmp_path: Path, ending: str) -> None:
    file = tmp_path / f"a.{ending}"
    soundfile.write(file, tone(0.5, amplitude=0.5), RATE)
    samples, rate = audio.read(file)
    assert (rate, samples.dtype, samples.ndim) == (RATE, np.dtype(np.float32), 1)
    assert len(samples) == RATE // 2


def test_channels_are_kept_apart(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.wav", np.zeros((100, 2)), 44_100)
    samples, rate = audio.read(tmp_path / "a.wav")
    assert (samples.shape, rate) == ((100, 2), 44_100)


@pytest.mark.parametrize("ending", ["wav", "flac", "aiff"])
def test_a_file_cut_short_is_refused(tmp_path: Path, ending: str) -> None:
    file = tmp_path / f"a.{ending}"
    soundfile.write(file, np.random.default_rng(0).normal(0, 0.1, RATE), RATE)
    file.write_bytes(file.read_bytes()[:-10_000])
    with pytest.raises(audio.AudioError, match=file.name):
        audio.read(file)


def test_a_wav_piped_without_a_known_length_is_read(tmp_path: Path) -> None:
    data = bytearray(audio.wav_bytes(np.arange(100, dtype=np.int16), RATE))
    struct.pack_into("<I", data, 40, 0xFFFFFFFF)
    (tmp_path / "a.wav").write_bytes(data)
    assert len(audio.read(tmp_path / "a.wav")[0]) == 100


def test_what_is_no_audio_file_is_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / "text.wav").write_text("RIFX is not audio")
    (tmp_path / "head.wav").write_bytes(b"RIFF\0\0\0\0WAVE")
    (tmp_path / "empty.raw").write_bytes(b"")
    os.mkfifo(tmp_path / "pipe.wav")
    for name in ("text.wav", "head.wav", "empty.raw", "pipe.wav", "gone.wav", "nul\0.wav", "."):
        with pytest.raises(audio.AudioError, match=str(tmp_path)):
            audio.read(tmp_path / name)


def test_large_and_long_files_are_refused(tmp_path: Path) -> None:
    file = tmp_path / "a.flac"
    soundfile.write(file, np.zeros(RATE * 3), RATE)
    with pytest.raises(audio.AudioError, match="bytes is too large \\(limit 100\\)"):
        audio.read(file, max_bytes=100)
    with pytest.raises(audio.AudioError, match="too long"):
        audio.read(file, max_duration_s=2)


@given(st.sampled_from(["WAV", "FLAC", "OGG", "AIFF"]), st.data())
def test_damaged_files_are_read_or_refused_and_nothing_else(
    tmp_path_factory: pytest.TempPathFactory, kind: str, data: st.DataObject
) -> None:
    buffer = io.BytesIO()
    soundfile.write(buffer, tone(0.02, amplitude=0.5), RATE, format=kind)
    damaged = bytearray(buffer.getvalue())
    for place, byte in data.draw(st.lists(st.tuples(st.integers(0, 120), st.integers(0, 255)), max_size=6)):
        damaged[place % len(damaged)] = byte
    file = tmp_path_factory.getbasetemp() / "damaged"
    file.write_bytes(damaged[: data.draw(st.integers(0, len(damaged)))])
    try:
        samples, rate = audio.read(file)
    except audio.AudioError as error:
        assert "damaged" in str(error)
    else:
        assert samples.dtype == np.float32
        assert rate > 0
