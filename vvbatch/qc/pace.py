"""Pace: the speaking rate of a take compared with the other takes of its batch."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from vvbatch.qc.check import Check, at_most
from vvbatch.qc.text import syllables

ENOUGH = 8  # takes; with fewer there is nothing to compare with
SHORTEST = 5  # syllables; a shorter text has no measurable pace
USUAL = 0.12  # lower bound of the standard deviation of log pace: the error of counting syllables


@dataclass
class Pace:
    """The pace of the accepted takes of one voice and model. `add` accepted takes, `check` new ones."""

    logs: list[float] = field(default_factory=list)

    def add(self, speech_s: float, text: str) -> None:
        """Add a take whose speech lasts `speech_s` seconds from the first to the last sound."""
        if (log := _log_pace(speech_s, text)) is not None:
            self.logs.append(log)

    def check(self, speech_s: float, text: str, limit: float) -> Check | None:
        """`pace`: robust standard deviations from the median log seconds per syllable (modified z-score, Iglewicz and
        Hoaglin 1993). None with fewer than ENOUGH takes or SHORTEST syllables.

        |x - median| / max(1.4826 * median(|x_i - median|), USUAL)
        """
        log = _log_pace(speech_s, text)
        if log is None or len(self.logs) < ENOUGH:
            return None
        middle = float(np.median(self.logs))
        spread = max(1.4826 * float(np.median(np.abs(np.array(self.logs) - middle))), USUAL)
        usual = {"s_per_syllable": round(float(np.exp(log)), 3), "median": round(float(np.exp(middle)), 3)}
        return at_most("pace", abs(log - middle) / spread, limit, usual)


def _log_pace(speech_s: float, text: str) -> float | None:
    count = syllables(text)
    return float(np.log(speech_s / count)) if count >= SHORTEST and speech_s > 0 else None
