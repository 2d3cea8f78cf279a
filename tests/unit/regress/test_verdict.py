"""Verdicts from measures alone."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vvbatch.regress.suite import Limits, Shifts, Speed
from vvbatch.regress.verdict import VERDICTS, judge, shared_by, shifts_of, slower, verdict_of, worst

NOTHING = {
    "missing_s": 0.0, "added_s": 0.0, "rate": 0.0, "pause_s": 0.0, "loudness_db": 0.0, "noise_db": 0.0,
    "pitch_semitones": 0.0, "pitch_range_semitones": 0.0, "spectrum_db": 0.01,
}  # fmt: skip
SEEDS = (7, 7)


def judged(
    exact: bool = False, bits: bool = False, seeds: tuple[int, int] = SEEDS, **measures: float
) -> tuple[str, list[str]]:
    reasons = judge({**NOTHING, **measures}, Limits(), bits=bits, exact=exact, seeds=seeds)
    return verdict_of(reasons, bits=bits), [reason.name for reason in reasons]


def test_equal_bits_are_the_same_whatever_else_is_measured() -> None:
    assert judged(bits=True, exact=False) == ("same", [])


def test_other_bits_within_all_limits_are_equivalent_on_another_machine_and_changed_on_the_same() -> None:
    assert judged() == ("equivalent", [])
    assert judged(exact=True) == ("changed", ["bits"])


@pytest.mark.parametrize(
    ("measures", "verdict", "names"),
    [
        ({"spectrum_db": 1.2}, "changed", ["rendition"]),
        ({"spectrum_db": 1.2, "loudness_db": 1.0}, "changed", ["loudness"]),
        ({"loudness_db": -2.5}, "worse", ["loudness"]),
        ({"rate": 0.05, "spectrum_db": 1.0}, "changed", ["rate"]),
        ({"rate": -0.2}, "worse", ["rate"]),
        ({"missing_s": 0.3, "spectrum_db": 0.5, "rate": 0.2, "noise_db": 12}, "worse", ["cut"]),
        ({"added_s": 0.5}, "worse", ["added"]),
        ({"pause_s": 0.4}, "changed", ["pause"]),
        ({"pause_s": -3.0}, "equivalent", []),
        ({"noise_db": 25}, "worse", ["noise"]),
        ({"spectrum_db": 5.0, "pitch_semitones": 5.0}, "worse", ["voice"]),
        ({"spectrum_db": 5.0}, "worse", ["spectrum"]),
        ({"words": 0.25}, "worse", ["words"]),
        ({"words": -0.25}, "equivalent", []),
        ({"voice": 0.5, "spectrum_db": 5.0, "pitch_semitones": 5.0}, "worse", ["voice", "pitch", "spectrum"]),
        ({"naturalness": 0.4}, "changed", ["naturalness"]),
        ({"music": 0.3}, "worse", ["music"]),
    ],
)
def test_each_fault_has_its_own_reason(measures: dict[str, Any], verdict: str, names: list[str]) -> None:
    assert judged(**measures) == (verdict, names)


def test_another_seed_in_the_ledger_is_reported() -> None:
    assert judged(seeds=(7, 8), spectrum_db=1.0, exact=True) == ("changed", ["seed"])


def test_what_was_not_measured_is_not_judged() -> None:
    reasons = judge(dict.fromkeys(NOTHING), Limits(), bits=False, exact=False, seeds=SEEDS)
    assert reasons == []


@given(st.lists(st.sampled_from(VERDICTS)))
def test_the_worst_verdict_counts(verdicts: list[str]) -> None:
    assert worst(verdicts) == (max(verdicts, key=VERDICTS.index) if verdicts else "same")


def night(rate: float, spread: float, count: int = 50) -> list[dict[str, float | None]]:
    drawn = np.random.default_rng(1).normal(rate, spread, count)
    return [{**NOTHING, "rate": float(value)} for value in drawn]


def test_a_small_shift_of_all_lines_stands_out_of_their_spread_and_a_noisy_night_does_not() -> None:
    (reason,) = shifts_of(night(-0.03, 0.006), Shifts())
    assert (reason.name, reason.verdict) == ("rate", "worse") and reason.value == pytest.approx(-0.03, abs=0.003)
    assert "slower" in reason.text
    assert shifts_of(night(0.0, 0.02), Shifts()) == []
    assert shifts_of(night(-0.03, 0.006)[:2], Shifts()) == []
    assert shifts_of(night(-0.03, 0.006), Shifts(rate=None)) == []
    assert shifts_of(night(-0.02, 0.3), Shifts()) == []


def test_the_lines_that_share_a_shift_say_so() -> None:
    shifts = shifts_of(night(-0.03, 0.006), Shifts())
    assert [part.name for part in shared_by({"rate": -0.028}, shifts)] == ["rate"]
    assert shared_by({"rate": 0.03}, shifts) == shared_by({"rate": None}, shifts) == shared_by({}, shifts) == []


def test_speed_is_judged_by_the_median_and_spread_of_nights_and_only_after_enough_of_them() -> None:
    usual = [{"rtf": value, "peak_bytes": 3e8} for value in (0.50, 0.52, 0.49, 0.51, 0.50, 0.48)]
    assert [each.name for each in slower({"rtf": 0.9, "peak_bytes": 3e8}, usual, Speed())] == ["speed"]
    assert [each.name for each in slower({"rtf": 0.5, "peak_bytes": 5e8}, usual, Speed())] == ["memory"]
    assert slower({"rtf": 0.58, "peak_bytes": 3e8}, usual, Speed()) == []
    assert slower({"rtf": 0.9}, usual[:4], Speed()) == []
    noisy = [{"rtf": value} for value in (0.5, 1.4, 0.7, 1.1, 0.6, 1.3)]
    assert slower({"rtf": 1.6}, noisy, Speed()) == []
    assert slower({}, usual, Speed()) == []
