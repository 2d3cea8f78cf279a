"""The real models on the bundled voices, whose words are known."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import yaml

from tests.conftest import ROOT
from vvbatch import audio, profiles
from vvbatch.listening import Ears, EarsUnavailable, Heard
from vvbatch.qc import Check

pytestmark = pytest.mark.slow

VOICES = ROOT / "voices"
RATE = 24_000
ENTRIES = {voice["name"]: voice for voice in yaml.safe_load((VOICES / "manifest.yaml").read_text())["voices"]}


def samples_of(voice: str) -> np.ndarray:
    return audio.read(VOICES / f"{voice}.wav")[0]


def take(voice: str, samples: np.ndarray | None = None, text: str | None = None, prompt: str | None = None) -> Heard:
    text = ENTRIES[voice]["provenance"]["text"] if text is None else text
    heard = samples_of(voice) if samples is None else samples
    return Heard(heard, RATE, text, VOICES / f"{prompt or voice}.wav", profiles.QcLimits())


@pytest.fixture(scope="module")
def ears() -> Ears:
    return Ears.open()


def hear(ears: Ears, *takes: Heard) -> list[dict[str, Check]]:
    return [{check.name: check for check in checks} for checks in ears.hear(takes)]


def test_clean_takes_pass_and_spoilt_ones_fail_by_their_own_check(ears: Ears) -> None:
    alice, rng = samples_of("alice"), np.random.default_rng(0)
    middle = len(alice) // 2
    noisy = alice + rng.normal(0, 0.03, len(alice)).astype(np.float32)
    hum = 0.1 * np.sin(2 * np.pi * 220 * np.arange(4 * RATE) / RATE) * np.hanning(4 * RATE)
    clean, cut, other, noise, tune, drifts = hear(
        ears,
        take("alice"),
        take("alice", alice[:middle]),
        take("alice", prompt="frank"),
        take("alice", noisy),
        take("alice", np.concatenate([hum.astype(np.float32), alice])),
        take("alice", np.concatenate([alice[:middle], samples_of("frank")])),
    )
    assert [name for name, check in clean.items() if not check.ok] == []
    assert clean["wer"].value <= 0.05
    assert not cut["wer"].ok and not cut["last_word"].ok and "you" in cut["wer"].detail["missing"]
    assert [name for name, check in other.items() if not check.ok] == ["voice"]
    assert not noise["background"].ok
    assert not tune["music"].ok
    assert not drifts["voice"].ok


def test_words_have_times(ears: Ears) -> None:
    (heard,) = hear(ears, take("carter"))
    times = heard["wer"].detail["words"]
    assert times[0][0] == "Good" and times[0][1] < 0.5
    assert all(0 <= start <= end <= 12.7 for _, start, end in times)


def test_a_take_is_heard_the_same_alone_and_in_company(ears: Ears) -> None:
    takes = [
        take("maya"),
        take("carter", samples_of("carter")[: 3 * RATE], "Good evening, and thank you for joining us."),
    ]
    together, alone = ears.hear(takes), [ears.hear([one])[0] for one in takes]
    for one, other in zip(together, alone, strict=True):
        assert [check.name for check in one] == [check.name for check in other]
        assert [check.ok for check in one] == [check.ok for check in other]


def test_a_long_take_is_heard_to_its_end(ears: Ears) -> None:
    names = ("carter", "alice", "frank", "maya")
    text = " ".join(ENTRIES[name]["provenance"]["text"] for name in names)
    (heard,) = hear(ears, take("carter", np.concatenate([samples_of(name) for name in names]), text))
    assert heard["wer"].value < 0.1
    assert heard["last_word"].ok
    assert heard["wer"].detail["words"][-1][2] > 40


def test_what_cannot_be_checked_is_said_and_counts_nothing(ears: Ears) -> None:
    short = samples_of("alice")[: RATE // 2]
    (heard,) = hear(ears, Heard(short, RATE))
    (foreign,) = hear(ears, take("alice", text="Здравствуйте, как дела?"))
    (blip,) = hear(ears, take("alice", short))
    for check in (heard["words"], heard["voice"], foreign["words"], blip["voice"]):
        assert check.ok and check.weight == 0 and check.detail["not_checked"]


@pytest.mark.parametrize("sound", ["silence", "click", "noise"])
def test_any_sound_gives_finite_values(ears: Ears, sound: str) -> None:
    samples = {
        "silence": np.full(RATE, 1e-7, np.float32),
        "click": np.eye(1, RATE // 10, dtype=np.float32)[0],
        "noise": np.random.default_rng(0).normal(0, 0.1, 2 * RATE).astype(np.float32),
    }[sound]
    (checks,) = ears.hear([take("alice", samples)])
    assert all(np.isfinite([check.value, check.limit]).all() for check in checks)


def test_a_model_file_that_is_not_the_known_one_is_refused(tmp_path: Path) -> None:
    from vvbatch.listening.models import known

    (tmp_path / "model.bin").write_bytes(b"another model")
    with pytest.raises(EarsUnavailable, match="is not the model that is known"):
        known(tmp_path / "model.bin", "0" * 64)
    with pytest.raises(EarsUnavailable, match=r"cannot be read.*vvbatch\[qc\]"):
        known(tmp_path / "gone.bin", "0" * 64)


def test_an_unknown_part_is_refused() -> None:
    with pytest.raises(EarsUnavailable, match="'smell': there is words, voice, naturalness, music"):
        Ears.open(["smell"])  # type: ignore[list-item]
