"""A check: a name, the measured value, its limit, and the weight of the check in the score of a take."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, NotRequired, TypedDict

from vvbatch.qc.sentences import meaning

YES_OR_NO = frozenset(
    {"channels", "finite", "not_empty", "sample_rate", "budget", "readable", "first_word", "last_word"}
)
"""Checks that only pass or fail; they do not add to a score."""

WEIGHTS: Mapping[str, float] = {"wer": 4.0, "voice": 4.0, "naturalness": 3.0, "background": 2.0, "music": 2.0}
"""The defects that listeners complain about most have the highest weights; other checks have weight 1."""

Detail = Mapping[str, Any]
"""Findings of a check as plain JSON: which words, at which seconds."""


class CheckJson(TypedDict):
    """A check in the JSON of commands and of the ledger."""

    name: str
    value: float
    limit: float
    ok: bool
    weight: float
    detail: NotRequired[Detail]


@dataclass(frozen=True)
class Check:
    """One measurement. `value` must be at most or at least `limit`, depending on the check; both are finite."""

    name: str
    value: float
    limit: float
    ok: bool
    weight: float = 1.0
    detail: Detail | None = None

    @property
    def room(self) -> float:
        """The distance of a passing value to its limit as a share of that limit, 0 to 1; 0 when the check failed."""
        return min(abs(self.limit - self.value) / abs(self.limit), 1.0) if self.ok and self.limit else 0.0

    @property
    def reason(self) -> str:
        """Why the check failed, in words."""
        if self.detail and "error" in self.detail:
            return f"{self.name} could not be checked: {self.detail['error']}"
        return meaning(self.name, self.value, self.limit)

    def as_json(self) -> CheckJson:
        plain = CheckJson(name=self.name, value=self.value, limit=self.limit, ok=self.ok, weight=self.weight)
        if self.detail:
            plain["detail"] = dict(self.detail)
        return plain


def at_most(name: str, value: float, limit: float, detail: Detail | None = None) -> Check:
    value, limit = round(float(value), 6), round(float(limit), 6)
    return Check(name, value, limit, value <= limit, WEIGHTS.get(name, 1.0), detail)


def at_least(name: str, value: float, limit: float, detail: Detail | None = None) -> Check:
    value, limit = round(float(value), 6), round(float(limit), 6)
    return Check(name, value, limit, value >= limit, WEIGHTS.get(name, 1.0), detail)


def score(checks: Iterable[Check]) -> float:
    """The score of a take, 0 to 1: the weighted mean of its checks' room; 0 when a check failed.

    sum(w_i * min(|limit_i - value_i| / |limit_i|, 1)) / sum(w_i) over the checks that do not only pass or fail.
    """
    judged = list(checks)
    if not all(check.ok for check in judged):
        return 0.0
    measured = [check for check in judged if check.name not in YES_OR_NO and check.limit]
    total = sum(check.weight for check in measured)
    return sum(check.weight * check.room for check in measured) / total if total else 0.0
