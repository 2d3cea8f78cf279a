"""A listener's process whose ears tell what arrived, and fail as the text says: see `test_listener`."""

from __future__ import annotations

import ctypes
import os
import sys
import time
from collections.abc import Sequence

import numpy as np

from vvbatch import listening
from vvbatch.listening import REMEDY, EarsUnavailable, Heard
from vvbatch.listening.__main__ import main
from vvbatch.qc.check import Check, at_least


class OddEars:
    versions = {"odd": "1"}  # noqa: RUF012

    @classmethod
    def open(cls, listen: Sequence[str], threads: int) -> OddEars:
        if "smell" in listen:
            raise EarsUnavailable(f"no nose: {REMEDY}")
        return cls()

    def hear(self, takes: Sequence[Heard]) -> list[list[Check]]:
        return [[self.check(take)] for take in takes]

    def check(self, take: Heard) -> Check:
        text = take.text or ""
        if "raises" in text:
            raise ValueError("cannot hear this")
        if "crashes" in text:
            os.abort()
        if "hangs" in text:
            ctypes.CDLL(None).sleep(3600)
        while "loops" in text:
            pass
        if "slow" in text:
            time.sleep(0.1)
        print("what a library prints goes to the log")
        found = {"text": text, "voice": str(take.voice), "frames": len(take.samples)}
        return at_least("wer", float(np.abs(take.samples).sum()), take.limits.wer, found)


if __name__ == "__main__":
    listening.Ears = OddEars  # type: ignore[misc,assignment]
    sys.exit(main())
