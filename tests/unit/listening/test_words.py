"""Which Whisper checks which text, with a model that only records what it is asked."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

pytest.importorskip("faster_whisper")

from faster_whisper import WhisperModel

from vvbatch.listening import words
from vvbatch.listening.contract import Clip
from vvbatch.listening.words import Words

GERMAN = "Der alte Leuchtturm stand auf der Insel."
ENGLISH = "The old lighthouse stood on the island."


class FakeTokenizer:
    """Special tokens are numbers in the order in which they are asked for; words are not encoded."""

    def __init__(self) -> None:
        self.special: dict[str, int] = {}

    def token_to_id(self, token: str) -> int:
        return 50_000 + self.special.setdefault(token, len(self.special))


class FakeWhisper:
    """A WhisperModel that transcribes everything as `said`; `prompts` are those that it was called with."""

    def __init__(self, said: str, *, multilingual: bool) -> None:
        self.said, self.prompts = said, []  # type: tuple[str, list[list[str]]]
        self.hf_tokenizer = FakeTokenizer()
        self.model = SimpleNamespace(is_multilingual=multilingual, encode=lambda _: None, generate=self.generate)

    def feature_extractor(self, samples: np.ndarray) -> np.ndarray:
        return np.zeros((80, len(samples) // 160 + 1), np.float32)

    def get_prompt(self, *given: Any, **options: Any) -> list[int]:
        return WhisperModel.get_prompt(self, *given, **options)

    def generate(self, _: object, prompts: list[list[int]], **__: object) -> list[Any]:
        names = {
            number: name
            for name, number in ((key, self.hf_tokenizer.token_to_id(key)) for key in list(self.hf_tokenizer.special))
        }
        self.prompts += [[names[token] for token in prompt] for prompt in prompts]
        return [SimpleNamespace(sequences_ids=[[1]]) for _ in prompts]

    def find_alignment(self, _: object, tokens: list[list[int]], *__: object) -> list[list[dict[str, Any]]]:
        spoken = [
            {"word": f" {word}", "start": 0.2 * at, "end": 0.2 * at + 0.2, "probability": 0.9}
            for at, word in enumerate(self.said.split())
        ]
        return [spoken for _ in tokens]


def clip(text: str, language: str | None = None) -> Clip:
    from vvbatch.profiles import QcLimits

    return Clip(np.zeros(48_000, np.float32), 24_000, text, None, QcLimits(), language)


def values(checks: list[Any]) -> dict[str, float]:
    return {check.name: check.value for check in checks}


def test_a_multilingual_whisper_is_given_the_language_of_the_text() -> None:
    whisper = FakeWhisper(GERMAN, multilingual=True)
    (checks,) = Words(whisper, "small").check([clip(GERMAN)])
    assert whisper.prompts == [["<|startoftranscript|>", "<|de|>", "<|transcribe|>", "<|notimestamps|>"]]
    assert values(checks)["wer"] == 0 and values(checks)["last_word"] == 1


def test_a_wrong_text_fails_in_a_language_that_whisper_knows() -> None:
    whisper = FakeWhisper("Ein ganz anderer Satz ist hier zu hören.", multilingual=True)
    (checks,) = Words(whisper, "small").check([clip(GERMAN)])
    assert not next(check for check in checks if check.name == "wer").ok


def test_the_declared_language_is_given_to_a_multilingual_whisper() -> None:
    whisper = FakeWhisper("Paris", multilingual=True)
    Words(whisper, "small").check([clip("Paris", "fr-CA"), clip("Paris", "es")])
    assert [prompt[1] for prompt in whisper.prompts] == ["<|fr|>", "<|es|>"]


def test_texts_that_english_whisper_does_not_know_go_to_the_multilingual_one() -> None:
    english, other = FakeWhisper(ENGLISH, multilingual=False), FakeWhisper(GERMAN, multilingual=True)
    both = Words(english, "small.en", Words(other, "medium"))
    first, second = both.check([clip(GERMAN), clip(ENGLISH)])
    assert [prompt[1] for prompt in other.prompts] == ["<|de|>"]
    assert english.prompts == [["<|startoftranscript|>", "<|notimestamps|>"]]
    assert values(first)["wer"] == values(second)["wer"] == 0
    assert both.versions["whisper_multilingual"] == "medium"


@pytest.mark.parametrize(
    ("name", "multilingual", "reason"),
    [
        ("tiny.en", False, "tiny.en knows English only, and the text is in the language 'de'"),
        ("base", True, "base is too small for other languages than English, and the text is in the language 'de'"),
    ],
)
def test_a_whisper_that_cannot_judge_the_language_leaves_the_check_out(
    name: str, multilingual: bool, reason: str
) -> None:
    whisper = FakeWhisper(ENGLISH, multilingual=multilingual)
    (german,), (english, *_) = Words(whisper, name, weak=multilingual).check([clip(GERMAN), clip(ENGLISH)])
    assert (german.ok, german.detail) == (True, {"not_checked": reason})
    assert (english.name, english.value) == ("wer", 0)
    assert len(whisper.prompts) == 1


def test_a_language_that_no_whisper_knows_well_is_not_checked() -> None:
    whisper = FakeWhisper("x", multilingual=True)
    ((check,),) = Words(whisper, "small").check([clip("Habari ya asubuhi.")])
    assert "does not know the language of the text: the language 'sw'" in str(check.detail)
    assert whisper.prompts == []


@pytest.mark.parametrize(
    ("cached", "first", "second"),
    [
        (["small.en", "medium"], "small.en", "medium"),
        (["small"], "small", None),
        (["base", "large-v3-turbo"], "base", "large-v3-turbo"),
        (["base"], "base", None),
        ([], "tiny.en", None),
    ],
)
def test_the_models_of_the_cache_are_chosen_by_what_they_know(
    monkeypatch: pytest.MonkeyPatch, cached: list[str], first: str, second: str | None
) -> None:
    def load(folder: str, **_: object) -> FakeWhisper:
        return FakeWhisper(ENGLISH, multilingual=not folder.endswith(".en"))

    monkeypatch.delenv("VVBATCH_WHISPER", raising=False)
    monkeypatch.setattr(words, "_cached", lambda names: next(((n, Path(n)) for n in names if n in cached), None))
    monkeypatch.setattr(words, "_tiny", lambda: Path("tiny.en"))
    monkeypatch.setattr(words, "WhisperModel", load)
    opened = Words.open(threads=1)
    assert (opened.versions["whisper"], opened.versions.get("whisper_multilingual")) == (first, second)


def test_a_folder_with_a_model_is_used(tmp_path: Path) -> None:
    assert words._cached([str(tmp_path)]) == (str(tmp_path), tmp_path)


def test_sound_behind_the_last_word_is_measured_and_silence_is_not() -> None:
    generator = np.random.default_rng(0)
    samples = np.concatenate([0.1 * generator.standard_normal(48_000), 0.001 * generator.standard_normal(32_000)])
    samples = samples.astype(np.float32)
    last = words.Word(" end", 0.5, 1.0, 1.0)
    assert words.unheard_s(samples, [last]) == pytest.approx(2, abs=0.05)
    assert words.unheard_s(samples, [words.Word(" end", 2.5, 3.0, 1.0)]) == 0
    assert words.unheard_s(samples, []) == pytest.approx(3, abs=0.05)
    assert words.unheard_s(samples[:100], []) == 0
