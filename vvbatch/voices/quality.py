"""Measures of whether a voice, or a recording, is fit to be cloned: each with its value and its limit."""

from __future__ import annotations

import wave
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import msgspec
import numpy as np
from numpy.typing import NDArray

from vvbatch.engine.contract import FRAME, SAMPLE_RATE
from vvbatch.qc.check import Check, at_least, at_most
from vvbatch.voices import measure
from vvbatch.voices.decode import Recording, decode
from vvbatch.voices.errors import InvalidVoice
from vvbatch.voices.library import LARGEST, wav_frames
from vvbatch.voices.prepare import LEVEL_DBFS, PEAK_DBFS, refuse_unusable

MEASURED_S = 60.0


@dataclass(frozen=True)
class Limits:
    """Tried on the bundled voices and on four real ones, clean and with noise, music and rooms added."""

    duration_min_s: float = 3.0
    duration_max_s: float = 30.0
    dc_offset: float = 0.01
    clipped_share: float = 0.001
    level_off_db: float = 1.0  # from -25 dBFS RMS
    speech_share: float = 0.6
    noise_floor_dbfs: float = -48.0
    snr_db: float = 25.0
    bandwidth_hz: float = 5_000.0  # a telephone has 3,400
    sustained_tone: float = 0.01  # share of time: music or a hum in the background
    reverberation_s: float = 0.7
    pitch_min_hz: float = 60.0
    pitch_max_hz: float = 400.0
    pitch_range_min: float = 1.5  # semitones; less is a drone
    pitch_range_max: float = 20.0  # more is two speakers, or music


LIMITS = Limits()
MEASURES = {
    "frames": ("=", "", "the file is cut short: copy it again"),
    "readable": ("=", "", "see the reason below"),
    "sample_rate": ("=", "Hz", "import it"),
    "channels": ("≤", "", "import it"),
    "partial_frame": ("≤", "samples", "import it"),
    "peak": ("≤", "dBFS", "import it"),
    "level_off": ("≤", "dB", "import it"),
    "duration_min": ("≥", "s", "too short to clone the speaker: record more"),
    "duration_max": ("≤", "s", "longer than useful: import an excerpt with --start and --length"),
    "dc_offset": ("≤", "", "an offset: import removes it"),
    "clipping": ("≤", "", "overdriven: record it at a lower level"),
    "speech_share": ("≥", "", "less than this share is speech: import an excerpt"),
    "noise_floor": ("≤", "dBFS", "background noise: record in a quieter place"),
    "snr": ("≥", "dB", "background noise: record in a quieter place, or closer"),
    "bandwidth": ("≥", "Hz", "dull, as from a telephone: use another recording"),
    "sustained_tone": ("≤", "", "music or a hum in the background"),
    "reverberation": ("≤", "s", "an echoing room: record closer, or in a room with soft things"),
    "pitch_min": ("≥", "Hz", "no voice, or an unusual one"),
    "pitch_max": ("≤", "Hz", "no voice, or an unusual one"),
    "pitch_range_min": ("≥", "semitones", "a drone"),
    "pitch_range_max": ("≤", "semitones", "two speakers, or music"),
}
"""By the name of a check: how a good value relates to the limit, their unit, and the likely cause of a failure."""


class Quality(msgspec.Struct, frozen=True):
    """The checks of one voice or recording."""

    voice: str | None  # its name in the library; None for a recording
    file: str
    checks: tuple[Check, ...]
    notes: tuple[str, ...] = ()  # what the user should know about the file
    error: str | None = None  # why the file cannot be read or used
    sha256: str | None = None

    @property
    def ok(self) -> bool:
        return self.error is None and all(check.ok for check in self.checks)

    def as_json(self) -> dict[str, object]:
        """`{"voice", "file", "ok", "checks", "notes"}`, and `error` and `sha256` if there is one."""
        plain: dict[str, object] = {
            "voice": self.voice,
            "file": self.file,
            "ok": self.ok,
            "checks": [check.as_json() for check in self.checks],
            "notes": list(self.notes),
        }
        more = {"error": self.error, "sha256": self.sha256}
        return plain | {name: value for name, value in more.items() if value is not None}


def report(name: str | None, path: Path, gain_db: float = 0.0) -> Quality:
    """The checks of a file, with an `error` if it cannot be read.

    With a `name` it is checked as a voice of the library, which is mono, 24 kHz and levelled; a variant is `gain_db`
    above that level. Without a name it is checked as a recording that could be imported. Raises MissingExtra.
    """
    checks = list(_frames(path))
    try:
        recording = decode(path)
        checks += _checks(recording, name is not None, gain_db)
    except InvalidVoice as reason:
        checks.append(at_least("readable", 0, 1))
        return Quality(name, str(path), tuple(checks), error=str(reason))
    return Quality(name, str(path), tuple(checks), recording.notes)


class Flaw(msgspec.Struct, frozen=True):
    """Why VibeVoice may speak badly with a voice."""

    code: str
    message: str
    remedy: str


def flaws(name: str, path: Path) -> Iterator[Flaw]:
    """What `vvbatch check` warns of: a prompt that is too short, or has music under it. None if it cannot be read."""
    try:
        recording = decode(path)
    except InvalidVoice:  # rendering reports it
        return
    seconds = len(recording.samples) / recording.rate
    if seconds < LIMITS.duration_min_s:
        message = f"voice {name!r} has {seconds:.1f} s: too little to clone a speaker"
        yield Flaw("voice-short", message, f"record at least {LIMITS.duration_min_s:g} s, better 10 s")
    samples = at_24_khz(recording.samples[: round(MEASURED_S * recording.rate)], recording.rate)
    tone = measure.sustained_tone_share(measure.spectra(samples)) > LIMITS.sustained_tone
    if tone or measure.noise(samples, measure.speech(samples)).floor_dbfs > LIMITS.noise_floor_dbfs:
        message = f"voice {name!r} has music or noise in the background: VibeVoice renders it with the speech"
        yield Flaw("voice-music", message, f"use a clean recording; see  vvbatch voices check {name}")


def _frames(path: Path) -> Iterator[Check]:
    """What a WAV's header declares against what is there."""
    try:
        if path.is_file() and path.stat().st_size <= LARGEST:
            declared, actual, _, _ = wav_frames(path)
            yield Check("frames", actual, declared, 0 < actual == declared)
    except (OSError, wave.Error):
        return  # not a PCM WAV; the check `readable` covers other files


def _checks(recording: Recording, is_voice: bool, gain_db: float) -> Iterator[Check]:
    samples, rate = recording.samples, recording.rate
    refuse_unusable(samples)
    yield at_least("readable", 1, 1)
    if is_voice:
        yield Check("sample_rate", rate, SAMPLE_RATE, rate == SAMPLE_RATE)
        yield at_most("channels", recording.channels, 1)
        yield at_most("partial_frame", len(samples) % FRAME, 0)
        yield from _levels(samples, gain_db)
    yield from judge(samples, rate)


def _levels(samples: NDArray[np.float64], gain_db: float) -> Iterator[Check]:
    from vvbatch.audio import peak_dbfs, rms_dbfs

    single = samples.astype(np.float32)
    yield at_most("peak", peak_dbfs(single), PEAK_DBFS)
    yield at_most("level_off", abs(rms_dbfs(single) - LEVEL_DBFS - gain_db), LIMITS.level_off_db)


def judge(samples: NDArray[np.float64], rate: int, limits: Limits = LIMITS) -> list[Check]:
    """The checks of any mono recording (n,) at `rate` Hz; its sound is measured in the first MEASURED_S seconds.

    Raises MissingExtra.
    """
    from vvbatch.qc.signal import clipped_share

    resampled = at_24_khz(samples[: round(MEASURED_S * rate)], rate)
    return [
        at_least("duration_min", len(samples) / rate, limits.duration_min_s),
        at_most("duration_max", len(samples) / rate, limits.duration_max_s),
        at_most("dc_offset", abs(float(samples.mean())), limits.dc_offset),
        at_most("clipping", clipped_share(samples.astype(np.float32)), limits.clipped_share),
        *_checks_of_audio(resampled, limits),
    ]


def at_24_khz(samples: NDArray[np.float64], rate: int) -> NDArray[np.float64]:
    if rate == SAMPLE_RATE:
        return samples
    import soxr

    resampled: NDArray[np.float64] = soxr.resample(samples, rate, SAMPLE_RATE, "VHQ")
    return resampled


def _checks_of_audio(samples: NDArray[np.float64], limits: Limits) -> Iterator[Check]:
    spoken = measure.speech(samples)
    yield at_least("speech_share", float(spoken.mean()), limits.speech_share)
    noise = measure.noise(samples, spoken)
    yield at_most("noise_floor", noise.floor_dbfs, limits.noise_floor_dbfs)
    yield at_least("snr", noise.snr_db, limits.snr_db)
    power = measure.spectra(samples)
    yield at_least("bandwidth", measure.bandwidth_hz(power), limits.bandwidth_hz)
    yield at_most("sustained_tone", measure.sustained_tone_share(power), limits.sustained_tone)
    yield at_most("reverberation", measure.decay_s(samples), limits.reverberation_s)
    pitch = measure.pitch(samples)
    yield at_least("pitch_min", pitch.median_hz, limits.pitch_min_hz)
    yield at_most("pitch_max", pitch.median_hz, limits.pitch_max_hz)
    yield at_least("pitch_range_min", pitch.range_semitones, limits.pitch_range_min)
    yield at_most("pitch_range_max", pitch.range_semitones, limits.pitch_range_max)
