"""The real models on the bundled voices, whose texts are known."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from numpy.typing import NDArray

from tests.conftest import ROOT
from vvbatch import audio, profiles
from vvbatch.listening.contract import Clip, ListeningUnavailable
from vvbatch.listening.models import ListeningModels
from vvbatch.qc.check import Check

pytestmark = pytest.mark.slow  # the models take seconds to load
VOICES = ROOT / "voices"
RATE = 24_000
ENTRIES = {voice["name"]: voice for voice in yaml.safe_load((VOICES / "manifest.yaml").read_text())["voices"]}

Samples = NDArray[np.float32]


def samples_of(voice: str) -> Samples:
    return audio.read(VOICES / f"{voice}.wav")[0]


def clip(voice: str, samples: Samples | None = None, text: str | None = None, prompt: str | None = None) -> Clip:
    text = ENTRIES[voice]["provenance"]["text"] if text is None else text
    samples = samples_of(voice) if samples is None else samples
    return Clip(samples, RATE, text, VOICES / f"{prompt or voice}.wav", profiles.QcLimits())


@pytest.fixture(scope="module")
def models() -> ListeningModels:
    return ListeningModels.open()


def check(models: ListeningModels, *clips: Clip) -> list[dict[str, Check]]:
    return [{check.name: check for check in checks} for checks in models.check(clips)]


def detail(check: Check) -> Any:
    assert check.detail
    return check.detail


def test_clean_clips_pass_and_each_defect_fails_its_own_check(models: ListeningModels) -> None:
    alice, rng = samples_of("alice"), np.random.default_rng(0)
    middle = len(alice) // 2
    noisy = alice + rng.normal(0, 0.03, len(alice)).astype(np.float32)
    hum = 0.1 * np.sin(2 * np.pi * 220 * np.arange(4 * RATE) / RATE) * np.hanning(4 * RATE)
    clean, cut, other, noise, tune, drifts = check(
        models,
        clip("alice"),
        clip("alice", alice[:middle]),
        clip("alice", prompt="frank"),
        clip("alice", noisy),
        clip("alice", np.concatenate([hum.astype(np.float32), alice])),
        clip("alice", np.concatenate([alice[:middle], samples_of("frank")])),
    )
    assert [name for name, check in clean.items() if not check.ok] == []
    assert clean["wer"].value <= 0.05
    assert not cut["wer"].ok and not cut["last_word"].ok and "you" in detail(cut["wer"])["missing"]
    assert [name for name, check in other.items() if not check.ok] == ["voice"]
    assert not noise["background"].ok
    assert not tune["music"].ok
    assert not drifts["voice"].ok


def test_transcribed_words_have_times(models: ListeningModels) -> None:
    (checks,) = check(models, clip("carter"))
    times = detail(checks["wer"])["words"]
    assert times[0][0] == "Good" and times[0][1] < 0.5
    assert all(0 <= start <= end <= 12.7 for _, start, end in times)


def test_a_clip_gets_the_same_verdict_alone_and_in_a_batch(models: ListeningModels) -> None:
    clips = [
        clip("maya"),
        clip("carter", samples_of("carter")[: 3 * RATE], "Good evening, and thank you for joining us."),
    ]
    together, alone = models.check(clips), [models.check([one])[0] for one in clips]
    for one, other in zip(together, alone, strict=True):
        assert [check.name for check in one] == [check.name for check in other]
        assert [check.ok for check in one] == [check.ok for check in other]


def test_a_long_clip_is_transcribed_to_its_end(models: ListeningModels) -> None:
    names = ("carter", "alice", "frank", "maya")
    text = " ".join(ENTRIES[name]["provenance"]["text"] for name in names)
    (checks,) = check(models, clip("carter", np.concatenate([samples_of(name) for name in names]), text))
    assert checks["wer"].value < 0.1
    assert checks["last_word"].ok
    assert detail(checks["wer"])["words"][-1][2] > 40


def test_a_check_that_cannot_be_made_gives_its_reason_and_has_no_weight(models: ListeningModels) -> None:
    short = samples_of("alice")[: RATE // 2]
    (bare,) = check(models, Clip(short, RATE))
    (foreign,) = check(models, clip("alice", text="Здравствуйте, как дела?"))
    (brief,) = check(models, clip("alice", short))
    for one in (bare["words"], bare["voice"], foreign["words"], brief["voice"]):
        assert one.ok and one.weight == 0 and detail(one)["not_checked"]


@pytest.mark.parametrize(
    "text",
    [
        "Der alte Leuchtturm stand auf der Insel, und das Licht war aus.",
        "Il était une fois un petit village au bord de la mer.",
        "Habari ya asubuhi",
        "Llanfair pwllgwyngyll gogerychwyrndrobwll",
        "你好,世界。",
    ],
)
def test_a_text_that_is_not_english_is_not_judged_by_english_whisper(models: ListeningModels, text: str) -> None:
    (checks,) = check(models, clip("alice", text=text))
    assert not {"wer", "first_word", "last_word", "left_out"} & set(checks)
    assert "knows English only" in detail(checks["words"])["not_checked"]


def test_the_language_that_a_script_declares_wins(models: ListeningModels) -> None:
    samples = samples_of("alice")[:RATE]
    (german, english) = check(
        models,
        Clip(samples, RATE, "Good evening to all of you.", None, profiles.QcLimits(), "de-CH"),
        Clip(samples, RATE, "Guten Abend.", None, profiles.QcLimits(), "en-GB"),
    )
    assert "'de'" in detail(german["words"])["not_checked"]
    assert "wer" in english


def test_texts_of_several_languages_get_their_own_checks_in_order(models: ListeningModels) -> None:
    samples = samples_of("alice")[: 2 * RATE]
    texts = ["Guten Abend, wie geht es dir?", "Good evening.", None, "Bonsoir, c'est moi."]
    found = models.models["words"].check([Clip(samples, RATE, text) for text in texts])
    assert ["wer" in {one.name for one in checks} for checks in found] == [False, True, False, False]


def test_a_very_large_number_in_the_text_is_judged(models: ListeningModels) -> None:
    (checks,) = check(models, clip("alice", text="It cost 1,000,000,000,000 dollars."))
    assert not checks["wer"].ok and "trillion" in str(detail(checks["wer"])["wrong"])


@pytest.mark.parametrize("sound", ["silence", "click", "noise"])
def test_any_sound_gives_finite_values(models: ListeningModels, sound: str) -> None:
    samples = {
        "silence": np.full(RATE, 1e-7, np.float32),
        "click": np.eye(1, RATE // 10, dtype=np.float32)[0],
        "noise": np.random.default_rng(0).normal(0, 0.1, 2 * RATE).astype(np.float32),
    }[sound]
    (checks,) = models.check([clip("alice", samples)])
    assert all(np.isfinite([check.value, check.limit]).all() for check in checks)


def test_a_model_file_with_another_sha256_is_refused(tmp_path: Path) -> None:
    from vvbatch.listening.model_files import verified

    (tmp_path / "model.bin").write_bytes(b"another model")
    with pytest.raises(ListeningUnavailable, match="is not the expected model"):
        verified(tmp_path / "model.bin", "0" * 64)
    with pytest.raises(ListeningUnavailable, match=r"cannot be read.*vvbatch\[qc\]"):
        verified(tmp_path / "gone.bin", "0" * 64)


def test_an_unknown_model_is_refused() -> None:
    with pytest.raises(ListeningUnavailable, match="'smell'; allowed: words, voice, naturalness, music"):
        ListeningModels.open(["smell"])  # type: ignore[list-item]
