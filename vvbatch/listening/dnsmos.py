"""Predicted listening quality: DNSMOS P.835 (C. K. A. Reddy et al., 2022), from the wheel of speechmos.

It predicts three mean opinion scores (MOS) from 1 to 5: of the speech signal, of the background, and overall.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from vvbatch.listening.contract import RATE, Clip, not_checked
from vvbatch.listening.model_files import model_file, session, versions_of
from vvbatch.listening.vad import CHUNK, Vad
from vvbatch.qc.check import Check, at_least, at_most

SHA256 = "269fbebdb513aa23cddfbb593542ecc540284a91849ac50516870e1ac78f6edd"
WINDOW = 144_160  # samples: 9.01 s, the length that the model takes; a shorter clip is repeated to fill it
SCORES = ("signal", "background", "overall")
# Map the model's raw output to MOS. Published by the authors with the model (DNS-Challenge, dnsmos_local.py).
CURVES = (
    np.poly1d([-0.08397278, 1.22083953, 0.0052439]),
    np.poly1d([-0.13166888, 1.60915514, -0.39604546]),
    np.poly1d([-0.06766283, 1.11546468, 0.04602535]),
)


class Dnsmos:
    def __init__(self, model: onnxruntime.InferenceSession) -> None:
        self._model = model
        self._last: tuple[list[Clip], list[dict[str, float]]] = ([], [])
        self.versions = {**versions_of("onnxruntime", "speechmos"), "dnsmos": SHA256[:12]}

    @classmethod
    def open(cls, threads: int) -> Dnsmos:
        """Raises ListeningUnavailable."""
        return cls(session(model_file("speechmos", "dnsmos_models/sig_bak_ovr.onnx", SHA256), threads))

    def scores(self, clips: Sequence[Clip]) -> list[dict[str, float]]:
        """For each clip, the MOS of its worst window by the names in SCORES.

        The scores of the last batch are cached, because `Naturalness` and `Music` use the same ones.
        """
        last_clips, last_scores = self._last
        if len(clips) == len(last_clips) and all(a is b for a, b in zip(clips, last_clips, strict=True)):
            return last_scores
        raw = [self._model.run(None, {"input_1": windows_of(clip.at_16_khz)})[0] for clip in clips]
        worst = [[float(curve(each[:, column]).min()) for column, curve in enumerate(CURVES)] for each in raw]
        self._last = (list(clips), [dict(zip(SCORES, values, strict=True)) for values in worst])
        return self._last[1]


class Naturalness:
    """`naturalness`: MOS of the speech signal."""

    def __init__(self, dnsmos: Dnsmos) -> None:
        self._dnsmos = dnsmos
        self.versions = dnsmos.versions

    def check(self, clips: Sequence[Clip]) -> list[list[Check]]:
        scores = self._dnsmos.scores(clips)
        return [
            [at_least("naturalness", mos["signal"], clip.limits.naturalness_mos, {"overall": round(mos["overall"], 3)})]
            for clip, mos in zip(clips, scores, strict=True)
        ]


class Music:
    """`background`: MOS of the background under the speech. `music`: the share of the sound that is not
    speech, without the first second of it."""

    def __init__(self, dnsmos: Dnsmos, vad: Vad) -> None:
        self._dnsmos = dnsmos
        self._vad = vad
        self.versions = dnsmos.versions | vad.versions

    def check(self, clips: Sequence[Clip]) -> list[list[Check]]:
        scores = self._dnsmos.scores(clips)
        return [
            [at_least("background", mos["background"], clip.limits.background_mos), self._music(clip)]
            for clip, mos in zip(clips, scores, strict=True)
        ]

    def _music(self, clip: Clip) -> Check:
        chunks = self._vad.detect(clip.at_16_khz)
        if not chunks.sounding.any():
            return not_checked("music", "the take is silent")
        # A detector of speech misses parts of a second of good speech, most of all in short takes.
        other_s = float((chunks.sounding & ~chunks.speech).sum()) * CHUNK / RATE
        share = max(other_s - clip.limits.music_grace_s, 0.0) / (float(chunks.sounding.sum()) * CHUNK / RATE)
        return at_most("music", share, clip.limits.music_share, {"speech_share": round(float(chunks.speech.mean()), 3)})


def windows_of(samples: NDArray[np.float32]) -> NDArray[np.float32]:
    """Samples (frames,) in evenly spaced windows (windows, WINDOW) that cover all of them."""
    if len(samples) < WINDOW:
        return np.resize(samples, (1, WINDOW))
    count = -(-len(samples) // WINDOW)
    starts = np.linspace(0, len(samples) - WINDOW, count).astype(int)
    return np.stack([samples[start : start + WINDOW] for start in starts])
