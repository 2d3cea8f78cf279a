"""A listening process whose models report what arrived, and fail as the text says: see `test_process`."""

from __future__ import annotations

import ctypes
import os
import sys
import time
from collections.abc import Sequence

import numpy as np

from vvbatch.listening.__main__ import main
from vvbatch.listening.contract import REMEDY, Clip, ListeningUnavailable
from vvbatch.qc.check import Check, at_least


class ScriptedModels:
    versions = {"scripted": "1"}  # noqa: RUF012

    @classmethod
    def open(cls, listen: Sequence[str], threads: int) -> ScriptedModels:
        if "smell" in listen:
            raise ListeningUnavailable(f"the model smell is missing: {REMEDY}")
        return cls()

    def check(self, clips: Sequence[Clip]) -> list[list[Check]]:
        return [[self.check_one(clip)] for clip in clips]

    def check_one(self, clip: Clip) -> Check:
        text = clip.text or ""
        if "raises" in text:
            raise ValueError("cannot check this")
        if "crashes" in text:
            os.abort()
        if "hangs" in text:
            ctypes.CDLL(None).sleep(3600)
        while "loops" in text:
            pass
        if "slow" in text:
            time.sleep(0.1)
        print("output of a library, which goes to the log")
        found = {"text": text, "voice": str(clip.voice), "frames": len(clip.samples)}
        return at_least("wer", float(np.abs(clip.samples).sum()), clip.limits.wer, found)


if __name__ == "__main__":
    sys.exit(main(ScriptedModels.open))
