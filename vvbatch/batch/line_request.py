"""What is to be rendered for a line, as the ledger stores it in JSON."""

from __future__ import annotations

from pathlib import Path

import msgspec

from vvbatch.engine.contract import Manner, Request, Turn, Voice


class VoiceUsed(msgspec.Struct, frozen=True):
    name: str
    sha256: str  # of the prompt's file
    path: str
    rate: float
    pitch: float

    @classmethod
    def of(cls, voice: Voice) -> VoiceUsed:
        return cls(voice.name, voice.sha256, str(voice.path), voice.manner.rate, voice.manner.pitch)

    def as_voice(self) -> Voice:
        return Voice(self.name, Path(self.path), self.sha256, Manner(self.rate, self.pitch))


class Params(msgspec.Struct, frozen=True):
    cfg_scale: float
    steps: int
    temperature: float
    max_duration_s: float | None
    golden: bool  # whether the first three are the profile's own


class LineRequest(msgspec.Struct, frozen=True, omit_defaults=True):
    """One line without the id of a take. Rows written by older versions load."""

    turns: tuple[tuple[int, str], ...]  # index into `voices` and text
    speakers: tuple[str, ...]  # names in the script, in the order of `voices`
    voices: tuple[VoiceUsed, ...]
    seed: int  # of the first take
    params: Params
    keep_takes: bool = False
    stream: bool = False
    language: str | None = None  # of the text, as the script declares it

    def for_take(self, take_id: str, seed: int) -> Request:
        """The engine's request for one take."""
        return Request(
            id=take_id,
            turns=tuple(Turn(speaker, text) for speaker, text in self.turns),
            voices=tuple(voice.as_voice() for voice in self.voices),
            seed=seed,
            cfg_scale=self.params.cfg_scale,
            steps=self.params.steps,
            temperature=self.params.temperature,
            max_duration_s=self.params.max_duration_s,
            stream=self.stream,
        )


class Escalation(msgspec.Struct, frozen=True):
    """How another profile would render a line: what differs from the line's own plan."""

    profile: str = msgspec.field(name="model")  # the stored key
    key: str
    control_hash: str
    takes: int
    seed: int
    params: Params
