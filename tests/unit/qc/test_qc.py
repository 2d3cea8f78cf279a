from __future__ import annotations

import json

import numpy as np
import pytest
import soxr
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from vvbatch.profiles import QcLimits
from vvbatch.qc.check import Check, at_least, at_most, score
from vvbatch.qc.judge import judge
from vvbatch.qc.pace import Pace
from vvbatch.qc.text import repeated_length, spoken_length, syllables, word_count

RATE = 24_000
LIMITS = QcLimits()
TEXT = "The lamp went out at midnight, and no sailor came."


def speech(seconds: float = 3.0, level: float = 0.2) -> np.ndarray:
    """Noise in the rhythm of syllables between two short silences, which passes every check."""
    time = np.arange(round(seconds * RATE)) / RATE
    noise = np.random.default_rng(0).normal(0, level, len(time)) * (0.55 + 0.45 * np.sin(2 * np.pi * 4 * time))
    silence = np.zeros(RATE // 10)
    whole = np.concatenate([silence, noise, silence])
    samples: np.ndarray = np.clip(whole, -0.99 * 5 * level, 0.99 * 5 * level).astype(np.float32)
    return samples


def silence(seconds: float) -> np.ndarray:
    return np.zeros(round(seconds * RATE), np.float32)


def failed(samples: np.ndarray, text: str | None = TEXT, rate: int = RATE, runaway: bool = False) -> list[str]:
    return [check.name for check in judge(samples, rate, text, LIMITS, runaway=runaway) if not check.ok]


def test_good_speech_passes_every_check_in_a_fixed_order() -> None:
    checks = judge(speech(), RATE, TEXT, LIMITS)
    assert [check.name for check in checks if not check.ok] == []
    assert [check.name for check in checks] == [
        "finite", "not_empty", "sample_rate", "dc_offset", "clipping", "true_peak", "level", "loudness_min",
        "loudness_max", "noise_floor", "clicks", "dropouts", "bandwidth", "repeated", "leading_silence",
        "trailing_silence", "inner_silence", "speech_share", "start_level", "end_level", "duration_min", "duration_max",
        "s_per_syllable_min", "s_per_syllable_max", "s_per_word_max", "budget",
    ]  # fmt: skip


def noise(count: int, level: float) -> np.ndarray:
    return np.random.default_rng(1).normal(0, level, count).astype(np.float32)


def with_peaks_between_samples() -> np.ndarray:
    """A wave at a quarter of the sample rate whose peaks lie between the samples, 1.41 times as high."""
    wave = np.sin(2 * np.pi * np.arange(3 * RATE) / 4 + np.pi / 4)
    return (1.2 * wave * np.sin(np.pi * np.arange(len(wave)) / len(wave))).astype(np.float32)


def with_clicks(samples: np.ndarray, count: int, at: int) -> np.ndarray:
    """Steps in a quiet take."""
    defective = (samples * 0.05).astype(np.float32)
    for number in range(count):
        defective[at + number * 9_600 :] += 0.5 * (-1) ** number
    return defective


def with_hole(samples: np.ndarray, seconds: float) -> np.ndarray:
    defective, start = samples.copy(), int(1.06 * RATE)
    defective[start : start + int(seconds * RATE)] = 0
    return defective


def resampled(samples: np.ndarray, rate: int) -> np.ndarray:
    """With a bandwidth of half of `rate`."""
    narrow: np.ndarray = soxr.resample(soxr.resample(samples, RATE, rate), rate, RATE).astype(np.float32)
    return narrow


def test_each_defect_fails_its_own_check() -> None:
    good = speech()
    not_a_number, infinite = good.copy(), good.copy()
    not_a_number[5], infinite[-1] = np.nan, np.inf
    defects = {
        "finite": [not_a_number, infinite],
        "not_empty": [silence(0)],
        "dc_offset": [good + np.float32(0.02)],
        "clipping": [np.clip(good, -0.2, 0.2), np.clip(good, -1, 0.2), np.clip(good * 20, -1, 1)],
        "level": [good * np.float32(0.01), silence(3), silence(3) + np.float32(0.3)],
        "true_peak": [with_peaks_between_samples()],
        "loudness_min": [good * np.float32(0.02)],
        "loudness_max": [np.clip(good * 20, -1, 1)],
        "noise_floor": [good + noise(len(good), 0.02)],
        "clicks": [with_clicks(good, 3, at=10_000), with_clicks(good, 3, at=6_400)],
        "dropouts": [with_hole(good, 0.008), with_hole(good, 0.1)],
        "bandwidth": [resampled(good, 6_000)],
        "repeated": [np.concatenate([good[: 2 * RATE], good[2 * RATE // 5 :]])],
        "start_level": [good[int(0.6625 * RATE) :]],
        "s_per_syllable_max": [speech(30)],
        "s_per_word_max": [speech(30)],
        "duration_min": [speech(0.3)],
        "duration_max": [speech(30)],
        "leading_silence": [np.concatenate([silence(2), good])],
        "trailing_silence": [np.concatenate([good, silence(3)])],
        "inner_silence": [np.concatenate([good, silence(3.5), good])],
        "speech_share": [np.concatenate([silence(1.4), speech(0.4), silence(2.9), speech(0.4), silence(2.3)])],
        "end_level": [good[: len(good) // 2]],
    }
    for name, defective in defects.items():
        for samples in defective:
            assert name in failed(samples.astype(np.float32)), name
    assert failed(good, rate=22_050) == ["sample_rate"]
    long = " ".join([TEXT] * 5)
    assert {"s_per_syllable_min", "duration_min"} <= set(failed(good, long))
    assert failed(good, runaway=True) == ["budget"]


def test_nothing_is_measured_on_samples_that_are_not_finite() -> None:
    samples = np.array([0, np.nan, np.inf], np.float32)
    checks = judge(samples, RATE, TEXT, LIMITS)
    assert [check.name for check in checks] == ["finite", "not_empty", "sample_rate", "budget"]
    assert checks[0] == Check("finite", 2, 0, False)


def test_without_a_text_the_duration_is_not_checked() -> None:
    names = {check.name for check in judge(speech(), RATE, None, LIMITS)}
    assert not names & {"duration_min", "duration_max"}


@settings(deadline=None)  # the first example imports the modules
@given(
    arrays.arrays(np.float32, st.integers(0, 3000), elements=st.floats(width=32)),
    st.sampled_from([1000, 8000, 24_000, 192_000]),
    st.text(max_size=40) | st.none(),
)
def test_any_samples_and_text_give_finite_json_values(samples: np.ndarray, rate: int, text: str | None) -> None:
    checks = judge(samples, rate, text, LIMITS)
    for check in checks:
        assert json.loads(json.dumps(check.as_json(), allow_nan=False)) == check.as_json()
        assert type(check.ok) is bool
    assert 0 <= score(checks) <= 1


def test_the_score_is_the_weighted_mean_of_the_room_to_the_limits() -> None:
    checks = [at_most("dc_offset", 0.008, 0.01), at_least("speech_share", 0.8, 0.2), at_most("finite", 0, 0)]
    assert score(checks) == pytest.approx((0.2 + 1.0) / 2)
    assert score([*checks, at_most("wer", 0.05, 0.25)]) == pytest.approx((0.2 + 1.0 + 4 * 0.8) / 6)
    assert score([*checks, at_most("budget", 1, 0)]) == 0
    assert score([]) == 0


# ---- text


def test_numbers_symbols_and_abbreviations_count_as_they_are_spoken() -> None:
    assert spoken_length("12 %") > 2 * len("12 %")
    assert spoken_length("in 1984") == pytest.approx(spoken_length("in nineteen eighty-four"), rel=0.25)
    assert spoken_length("The BBC") == pytest.approx(spoken_length("the bee bee see"), rel=0.3)
    assert spoken_length("Dr. Smith") > spoken_length("Do Smith")
    assert spoken_length("3.50") > spoken_length("350")
    assert spoken_length("100,000,000") == pytest.approx(spoken_length("one hundred million"), rel=0.2)
    assert spoken_length("a b c d") > spoken_length("a bcd")
    assert spoken_length("😀") > spoken_length("smile")


def test_capitals_do_not_count_as_spelled_letters() -> None:
    assert spoken_length("COME BACK TO THE HOUSE") < 1.5 * spoken_length("Come back to the house")


def test_pauses_count_except_the_last() -> None:
    assert spoken_length("One, two. Three.") == spoken_length("One two Three") + 2 * 6


@pytest.mark.parametrize("nothing", ["", " ", "...", "—", "“?!”", "\n"])
def test_a_text_without_words_has_no_length(nothing: str) -> None:
    assert spoken_length(nothing) == 0


def test_a_syllabic_character_is_longer_than_a_letter() -> None:
    assert spoken_length("今日はいい天気です") > 3.5 * len("今日はいい天気です")
    assert spoken_length("привет") == spoken_length("hallos")
    assert spoken_length("Café") == spoken_length("Cafe")


@given(st.text(max_size=200), st.text(alphabet="abc 1.,", max_size=50))
def test_a_text_with_a_word_has_a_length_above_zero(text: str, more: str) -> None:
    assert spoken_length(text) >= 0
    assert spoken_length(f"{text} word {more}") > 0


def test_a_phrase_that_occurs_twice_in_the_text_has_its_length() -> None:
    assert repeated_length("every bit, every bit of it") == spoken_length("every bit")
    assert repeated_length("no kid says it") == 1  # a letter
    applications = "optimized for real-time applications, perfect for live applications"
    assert repeated_length(applications) > len("applications")  # not "for", which is a whole word as well
    assert repeated_length("differentiated responsibilities and capabilities") == len("bilities ")
    assert abs(repeated_length("GPT-5, and again GPT-5") - spoken_length("GPT-5")) < 3
    assert repeated_length("") == 0


@given(st.text(max_size=100), st.integers(2, 3))
def test_a_doubled_text_repeats_all_of_itself(text: str, times: int) -> None:
    whole = repeated_length(" . ".join([text] * times))
    assert whole >= repeated_length(text)
    assert (whole > 0) == (word_count(text) > 0)


def test_syllables_are_counted_to_within_one() -> None:
    for text, count in {"The lamp went out": 4, "a narrow table": 5, "every one": 4, "1984": 6, "Hmm": 1}.items():
        assert abs(syllables(text) - count) <= 1, text
    assert syllables("") == word_count("...") == 0


# ---- pace


@given(st.floats(0.5, 2.0), st.integers(0, 10_000))
def test_a_take_of_half_or_double_pace_fails_whatever_the_pace_of_its_batch(rate: float, seed: int) -> None:
    pace, rng = Pace(), np.random.default_rng(seed)
    for _ in range(20):
        pace.add(3.0 * rate * rng.normal(1.0, 0.04), TEXT)
    usual, slow, quick = (pace.check(3.0 * rate * factor, TEXT, 5.0) for factor in (1.0, 2.0, 0.5))
    assert usual and usual.ok
    assert slow and not slow.ok and quick and not quick.ok


def test_lines_that_differ_by_a_word_pass() -> None:
    pace = Pace()
    for number in range(10):
        pace.add(1.54, f"Line {number} goes slowly.")  # constant pace: only the syllable count varies
    check = pace.check(1.61, "Line 17 goes slowly.", 5.0)
    assert check is not None and check.ok


def test_pace_needs_other_takes_and_a_long_enough_text() -> None:
    pace = Pace()
    for _ in range(7):
        assert pace.check(30.0, TEXT, 5.0) is None
        pace.add(3.0, TEXT)
    pace.add(3.0, "Yes.")  # too short to count
    assert pace.check(30.0, TEXT, 5.0) is None
    pace.add(3.0, TEXT)
    assert pace.check(30.0, TEXT, 5.0) is not None
    assert pace.check(30.0, "Yes.", 5.0) is None
