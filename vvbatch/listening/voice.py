"""Speaker similarity of a take and its voice prompt: cosine of CAM++ speaker embeddings (`weights/README.md`)."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from pathlib import Path

import kaldi_native_fbank
import numpy as np
import onnxruntime
from numpy.typing import NDArray

from vvbatch import audio
from vvbatch.listening.contract import RATE, Clip, not_checked
from vvbatch.listening.model_files import session, verified, versions_of
from vvbatch.profiles import bundled
from vvbatch.qc.check import Check, at_least

SHA256 = "3dddb45ef5ab00770c2c55e7aaadc6fbd05b003348807d352d83dafc5f8cecc1"
SHORTEST_S = 1.2  # of sound; less is too short for a reliable embedding
WINDOW_S = 4.0  # a take longer than two windows is compared window by window, because a voice may drift
SILENT = 0.03  # relative to the loud parts (-30 dB): quieter frames are removed, as a pause has no voice

Vector = NDArray[np.float32]


class Voice:
    def __init__(self, model: onnxruntime.InferenceSession) -> None:
        self._model = model
        self._prompt = functools.lru_cache(maxsize=256)(self._embedding_of_file)
        self.versions = {**versions_of("onnxruntime", "kaldi-native-fbank"), "campplus": SHA256[:12]}

    @classmethod
    def open(cls, threads: int) -> Voice:
        """Raises ListeningUnavailable and ImportError."""
        return cls(session(verified(bundled("weights") / "campplus.onnx", SHA256), threads))

    def check(self, clips: Sequence[Clip]) -> list[list[Check]]:
        return [[self._check(clip)] for clip in clips]

    def _check(self, clip: Clip) -> Check:
        if clip.voice is None:
            return not_checked("voice", "no voice to compare with")
        sound = without_silence(clip.at_16_khz)
        if len(sound) < SHORTEST_S * RATE:
            return not_checked("voice", f"less than {SHORTEST_S} s of sound")
        similarity = self.similarity(sound, clip.voice)
        windows = {"windows": [round(each, 3) for each in similarity]}
        return at_least("voice", min(similarity), clip.limits.voice_similarity, windows)

    def similarity(self, sound: Vector, voice: Path) -> list[float]:
        """Cosine similarity of the prompt with samples (frames,) at 16 kHz, for each window of about WINDOW_S."""
        status = voice.stat()
        prompt = self._prompt(voice, status.st_size, status.st_mtime_ns)
        count = max(int(len(sound) / RATE / WINDOW_S), 1)
        return [float(self.embedding(part) @ prompt) for part in np.array_split(sound, count)]

    def embedding(self, samples: Vector) -> Vector:
        """The speaker embedding, float32 (192,) of norm 1, of mono samples (frames,) at 16 kHz."""
        (embedding,) = self._model.run(None, {"features": filter_banks(samples)[None]})
        found: Vector = embedding[0] / np.linalg.norm(embedding[0])
        return found

    def _embedding_of_file(self, path: Path, _size: int, _mtime_ns: int) -> Vector:
        samples, rate = audio.read(path)
        mono = audio.mono(samples, rate)[0].astype(np.float32) if samples.ndim > 1 else samples
        return self.embedding(without_silence(Clip(mono, rate).at_16_khz))


def filter_banks(samples: Vector) -> Vector:
    """Kaldi's log mel filter banks, float32 (steps, 80): 25 ms windows every 10 ms, mean over time removed.

    `samples` is mono (frames,) at 16 kHz.
    """
    options = kaldi_native_fbank.FbankOptions()
    options.frame_opts.samp_freq = RATE
    options.frame_opts.dither = 0
    options.mel_opts.num_bins = 80
    computer = kaldi_native_fbank.OnlineFbank(options)
    computer.accept_waveform(RATE, samples)
    computer.input_finished()
    frames = np.stack([computer.get_frame(index) for index in range(computer.num_frames_ready)])
    banks: Vector = (frames - frames.mean(axis=0)).astype(np.float32)
    return banks


def without_silence(samples: Vector) -> Vector:
    """Samples (frames,) at 16 kHz without their silent 20 ms frames."""
    size = RATE // 50
    frames = samples[: len(samples) // size * size].reshape(-1, size)
    levels = np.sqrt(np.square(frames).mean(axis=1))
    loud = np.percentile(levels, 95) if len(levels) else 0.0
    kept: Vector = frames[levels > SILENT * loud].reshape(-1)
    return kept
