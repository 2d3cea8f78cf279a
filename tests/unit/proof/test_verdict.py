"""The judgement of a proof: measures of real audio are good, and each kind of bad audio is off, with its cause."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import pytest

from vvbatch import profiles
from vvbatch.proof.measure import Measures
from vvbatch.proof.record import Proof
from vvbatch.proof.verdict import RANGES, Judged, judge, likely_causes

REAL = Measures(
    level_dbfs=-25.0,
    peak_dbfs=-7.5,
    floor_dbfs=-80.0,
    leading_s=0.2,
    trailing_s=0.04,
    s_per_char=0.058,
    extra_samples=0,
    bandwidth=1.0,
    words=18,
    word_errors=0,
    similarity=0.82,
)
"""The medians of the real recordings."""

RAW = [
    msgspec.structs.replace(REAL, level_dbfs=a, peak_dbfs=b, floor_dbfs=c, leading_s=d, trailing_s=e, s_per_char=f)
    for a, b, c, d, e, f in (
        (-23.4, -7.3, -59.1, 0.0, 0.10, 0.0568),
        (-24.8, -8.2, -78.3, 0.74, 0.15, 0.0722),
        (-28.6, -8.3, -96.7, 0.54, 0.0, 0.0664),
        (-29.4, -10.7, -95.9, 0.67, 0.0, 0.0656),
    )
]
"""Measured on the four unaltered recordings of VibeVoice 1.5B whose sound is good."""


def off(takes: Sequence[Measures | None]) -> set[str]:
    return {each.name for each in judge(takes) if not each.ok}


def causes(takes: Sequence[Measures | None], profile: str = "1.5b", errors: Sequence[str] = ()) -> list[str]:
    return [each.cause for each in likely_causes(judge(takes), profiles.load(profile), "alice", errors)]


def test_the_measures_of_real_recordings_are_good_and_have_no_cause() -> None:
    assert off(RAW) == set() and off([REAL] * 12) == set()
    assert causes([REAL] * 12, "1.5b-cuda") == []


@pytest.mark.parametrize(
    ("name", "field", "low", "high"),
    [
        ("level", "level_dbfs", -32.1, -20.9),
        ("peak", "peak_dbfs", -14.1, -1.0),
        ("floor", "floor_dbfs", -120.5, -39.0),
        ("leading_silence", "leading_s", -0.1, 1.1),
        ("trailing_silence", "trailing_s", -0.1, 0.6),
        ("pace", "s_per_char", 0.021, 0.09),
        ("extra_samples", "extra_samples", 1, 3199),
        ("bandwidth", "bandwidth", 0.75, 1.25),
        ("similarity", "similarity", 0.58, 1.01),
    ],
)
def test_a_measure_outside_of_its_range_is_off_alone(name: str, field: str, low: float, high: float) -> None:
    for value in (low, high):
        takes = [msgspec.structs.replace(REAL, **{field: value})] * 12
        assert off(takes) == {name}
        assert causes(takes)
    few = [msgspec.structs.replace(REAL, **{field: low})] * 3 + [REAL] * 9
    assert off(few) == set()
    more = [msgspec.structs.replace(REAL, **{field: low})] * 4 + [REAL] * 8
    assert off(more) == {name}
    assert next(each for each in judge(more) if each.name == name).outside == 4


def test_word_errors_are_counted_over_all_words() -> None:
    one_bad = [msgspec.structs.replace(REAL, word_errors=16)] + [REAL] * 11
    assert off(one_bad) == set()  # 16 of 216
    assert off([msgspec.structs.replace(REAL, word_errors=18)] + [REAL] * 11) == {"word_errors"}
    assert off([msgspec.structs.replace(REAL, word_errors=2)] * 12) == {"word_errors"}


def test_a_take_without_audio_is_off_and_its_error_is_a_cause() -> None:
    takes = [REAL] * 11 + [None]
    assert off(takes) == {"takes"}
    assert causes(takes, errors=["latents became NaN"])[0] == "the engine gave no audio: latents became NaN"
    assert off([None] * 12) == {"takes", "word_errors", *RANGES}


def test_a_measure_that_no_take_has_is_off() -> None:
    assert off([msgspec.structs.replace(REAL, similarity=None)] * 12) == {"similarity"}


def test_noise_of_random_weights_points_at_the_weights() -> None:
    noise = msgspec.structs.replace(
        REAL, level_dbfs=-17.6, floor_dbfs=-21.2, s_per_char=0.0094, similarity=0.27, word_errors=16
    )
    first = causes([noise] * 12)[0]
    assert "weights" in first
    assert likely_causes(judge([noise] * 12), profiles.load("1.5b"), "alice", [])[0].remedy == (
        "vvbatch models verify 1.5b"
    )


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"word_errors": 12}, "tokenizer"),
        ({"similarity": 0.4}, "voice prompt 'alice' is not followed"),
        ({"level_dbfs": -40.0}, "loud, quiet or noisy"),
        ({"s_per_char": 0.1}, "fast or slowly"),
        ({"extra_samples": 640}, "after the decoder"),
        ({"trailing_s": 2.0}, "does not end"),
    ],
)
def test_each_kind_of_bad_audio_has_its_own_first_cause(changes: dict[str, float], word: str) -> None:
    assert word in causes([msgspec.structs.replace(REAL, **changes)] * 12)[0]


def test_a_device_or_dtype_that_is_not_the_reference_is_a_cause() -> None:
    quiet = [msgspec.structs.replace(REAL, level_dbfs=-40.0)] * 12
    assert any("float32 on the CPU" in cause for cause in causes(quiet, "1.5b-cuda"))
    assert not any("float32 on the CPU" in cause for cause in causes(quiet, "1.5b"))


def test_a_profile_without_vibevoice_is_said_to_have_another_engine() -> None:
    takes = [msgspec.structs.replace(REAL, extra_samples=990)] * 12
    assert len(found := causes(takes, "draft")) == 1 and "engine 'draft'" in found[0]


def test_the_json_keys_of_a_proof_stay_as_they_are() -> None:
    keys = "profile verdict voice batch machine control_hash engine model revision device dtype measures causes lines"
    assert list(Proof.__struct_fields__) == keys.split()
    measure = "name unit median lowest highest low high outside ok"
    assert list(Judged.__struct_fields__) == measure.split()
