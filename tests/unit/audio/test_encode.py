from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from vvbatch import audio
from vvbatch.audio.encode import FORMATS, encoded
from vvbatch.cli.synth import AUDIO_SUFFIXES

RATE = 24_000


@pytest.mark.parametrize(
    ("suffix", "start"), [(".mp3", b"\xff\xf3"), (".flac", b"fLaC"), (".ogg", b"OggS"), ("", b"RIFF")]
)
def test_a_take_is_encoded_as_the_name_of_its_file_says(tmp_path: Path, suffix: str, start: bytes) -> None:
    tone = (0.3 * np.sin(2 * np.pi * 440 * np.arange(2 * RATE + 77) / RATE)).astype(np.float32)
    wav = tmp_path / "take.wav"
    wav.write_bytes(audio.wav_bytes(audio.to_pcm16(tone), RATE))
    data = encoded(wav, suffix)
    assert data.startswith(start)
    (tmp_path / "out").write_bytes(data)
    samples, rate = audio.read(tmp_path / "out")
    assert (len(samples), rate) == (len(tone), RATE)
    assert np.abs(samples - tone)[RATE : -RATE // 4].max() < 0.05


def test_the_command_knows_every_format() -> None:
    assert set(AUDIO_SUFFIXES) == set(FORMATS)
