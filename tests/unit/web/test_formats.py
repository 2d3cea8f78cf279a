"""Encoders: what they give with the first chunk, and whole files at the end."""

from __future__ import annotations

import io

import numpy as np
import pytest

from bench.voicelike import syllables
from vvbatch.engine.contract import FRAME, SAMPLE_RATE
from vvbatch.web.formats import FORMATS, Encoder

SAMPLES = (syllables(1.7, [3]) * 20_000).astype("<i2")
CHUNKS = [SAMPLES[start : start + FRAME].tobytes() for start in range(0, len(SAMPLES), FRAME)]


def encoder_of(name: str) -> Encoder:
    if FORMATS[name].library == "PyAV":
        pytest.importorskip("av")
    return FORMATS[name].encoder()


@pytest.mark.parametrize("name", ["mp3", "opus", "aac", "wav", "pcm"])
def test_bytes_of_sound_leave_with_the_first_chunk(name: str) -> None:
    assert len(encoder_of(name).add(CHUNKS[0])) > 100


@pytest.mark.parametrize("name", FORMATS)
def test_a_file_has_all_samples_and_the_same_sound(name: str) -> None:
    av = pytest.importorskip("av")
    encoder = encoder_of(name)
    data = b"".join([*(encoder.add(chunk) for chunk in CHUNKS), encoder.end()])
    if name == "pcm":
        assert data == SAMPLES.tobytes()
        return
    with av.open(io.BytesIO(data)) as container:
        rate = container.streams.audio[0].rate
        resampler = av.AudioResampler("s16", "mono", SAMPLE_RATE)
        frames = [each for frame in container.decode(audio=0) for each in resampler.resample(frame)]
        frames += resampler.resample(None) if rate != SAMPLE_RATE else []
    decoded = np.concatenate([frame.to_ndarray().reshape(-1) for frame in frames]).astype(np.float64)
    if name in ("wav", "flac"):
        assert np.array_equal(decoded, SAMPLES)
        return
    assert len(SAMPLES) <= len(decoded) + 10 and len(decoded) < len(SAMPLES) + 3000
    spoken = SAMPLES[4000:20_000].astype(np.float64)
    likeness = max(
        float(np.dot(spoken, part) / (np.linalg.norm(spoken) * np.linalg.norm(part) + 1e-9))
        for delay in range(0, 3000, 1)
        if len(part := decoded[4000 + delay : 20_000 + delay]) == len(spoken)
    )
    assert likeness > 0.9


@pytest.mark.parametrize("name", FORMATS)
def test_no_sound_at_all_is_a_file_too(name: str) -> None:
    encoder = encoder_of(name)
    assert isinstance(encoder.add(b"") + encoder.end(), bytes)
