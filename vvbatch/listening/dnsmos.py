"""Quality as a model of listeners hears it: DNSMOS P.835 (C. K. A. Reddy et al., 2022), from the wheel of speechmos.

It gives three mean opinion scores from 1 to 5: of the speech signal, of the background, and overall.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from vvbatch.listening import Heard, not_checked
from vvbatch.listening.models import model_file, session, versions_of
from vvbatch.listening.vad import Vad
from vvbatch.qc.check import Check, at_least, at_most

SHA256 = "269fbebdb513aa23cddfbb593542ecc540284a91849ac50516870e1ac78f6edd"
WINDOW = 144_160  # samples: 9.01 s, which the model wants; a shorter take is repeated
PARTS = ("signal", "background", "overall")
# From the model's raw output to opinion scores: the polynomials that its authors published with it.
CURVES = (
    np.poly1d([-0.08397278, 1.22083953, 0.0052439]),
    np.poly1d([-0.13166888, 1.60915514, -0.39604546]),
    np.poly1d([-0.06766283, 1.11546468, 0.04602535]),
)


class Dnsmos:
    def __init__(self, model: onnxruntime.InferenceSession) -> None:
        self._model = model
        self._last: tuple[list[Heard], list[dict[str, float]]] = ([], [])
        self.versions = {**versions_of("onnxruntime", "speechmos"), "dnsmos": SHA256[:12]}

    @classmethod
    def open(cls, threads: int) -> Dnsmos:
        """Raises EarsUnavailable."""
        return cls(session(model_file("speechmos", "dnsmos_models/sig_bak_ovr.onnx", SHA256), threads))

    def opinions(self, takes: Sequence[Heard]) -> list[dict[str, float]]:
        """For each take the worst window's score of each of PARTS. The last batch's are kept: two parts ask."""
        if not (len(takes) == len(self._last[0]) and all(a is b for a, b in zip(takes, self._last[0], strict=True))):
            windows = [windows_of(take.at_16_khz) for take in takes]
            raw = [self._model.run(None, {"input_1": each})[0] for each in windows]
            worst = [[float(curve(each[:, at]).min()) for at, curve in enumerate(CURVES)] for each in raw]
            self._last = (list(takes), [dict(zip(PARTS, values, strict=True)) for values in worst])
        return self._last[1]


class Naturalness:
    """`naturalness`: how good the speech signal is."""

    def __init__(self, dnsmos: Dnsmos) -> None:
        self._dnsmos = dnsmos
        self.versions = dnsmos.versions

    def hear(self, takes: Sequence[Heard]) -> list[list[Check]]:
        opinions = self._dnsmos.opinions(takes)
        return [
            [at_least("naturalness", mos["signal"], take.limits.naturalness_mos, {"overall": round(mos["overall"], 3)})]
            for take, mos in zip(takes, opinions, strict=True)
        ]


class Music:
    """`background`: what lies under the speech. `music`: what sounds beside it, where nobody speaks."""

    def __init__(self, dnsmos: Dnsmos, vad: Vad) -> None:
        self._dnsmos = dnsmos
        self._vad = vad
        self.versions = dnsmos.versions | vad.versions

    def hear(self, takes: Sequence[Heard]) -> list[list[Check]]:
        opinions = self._dnsmos.opinions(takes)
        return [
            [at_least("background", mos["background"], take.limits.background_mos), self._music(take)]
            for take, mos in zip(takes, opinions, strict=True)
        ]

    def _music(self, take: Heard) -> Check:
        heard = self._vad.hear(take.at_16_khz)
        if not heard.sounding.any():
            return not_checked("music", "nothing sounds")
        share = float((heard.sounding & ~heard.speech).sum() / heard.sounding.sum())
        return at_most("music", share, take.limits.music_share, {"speech_share": round(float(heard.speech.mean()), 3)})


def windows_of(samples: NDArray[np.float32]) -> NDArray[np.float32]:
    """(windows, WINDOW): side by side, the last one ending with the take."""
    if len(samples) < WINDOW:
        return np.resize(samples, (1, WINDOW))
    count = -(-len(samples) // WINDOW)
    starts = np.linspace(0, len(samples) - WINDOW, count).astype(int)
    return np.stack([samples[start : start + WINDOW] for start in starts])
