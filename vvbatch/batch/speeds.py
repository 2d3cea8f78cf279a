"""The measured speeds of this machine's profiles, kept in the home folder until the ledger has takes of its own."""

from __future__ import annotations

from pathlib import Path

import msgspec
import numpy as np
from numpy.typing import NDArray

from vvbatch import audio, store
from vvbatch.engine.contract import SAMPLE_RATE, Engine, Voice
from vvbatch.engine.measure import Speed, measure
from vvbatch.home import Home
from vvbatch.ledger.forecast import Throughput
from vvbatch.profiles import Profile
from vvbatch.qc.judge import judge


def file_of(home: Home, profile: str) -> Path:
    return home.folder("speeds") / f"{profile}.json"


def known_speed(home: Home, profile: str) -> Speed | None:
    """What was measured of a profile; None if nothing was, or the file cannot be read."""
    try:
        return msgspec.json.decode(file_of(home, profile).read_bytes(), type=Speed)
    except (OSError, msgspec.DecodeError):
        return None


def keep_speed(home: Home, profile: str, speed: Speed) -> None:
    """Raises OSError."""
    store.write_atomically(file_of(home, profile), msgspec.json.format(msgspec.json.encode(speed)) + b"\n")


def measured(engine: Engine, profile: Profile, voice: Voice) -> Speed:
    """The engine's speed, with what a worker does to each take. Raises RequestRefused, EngineUnavailable."""

    def finish(samples: NDArray[np.float32], text: str) -> None:
        judge(samples, SAMPLE_RATE, text, profile.qc)
        levelled, _ = audio.bring_to_peak(samples)
        audio.loudness_lufs(levelled, SAMPLE_RATE)
        audio.wav_bytes(audio.to_pcm16(levelled), SAMPLE_RATE)

    return measure(engine, profile, voice, finish)


def real_time(speed: Speed) -> float:
    """Seconds of audio a second, with a line in each slot."""
    return speed.slots * speed.audio_s_per_character / (speed.shared_s + speed.own_s * speed.slots)


def throughput(speed: Speed) -> Throughput:
    """That of one worker whose takes are all good."""
    return Throughput(speed.shared_s, speed.own_s, lines=float(speed.slots), workers=1.0, tries=1.0)
