"""From an engine's samples to a take: joined, judged, brought to its level, encoded. Which takes of a line are good,
which is best, and what becomes of the others. How fast the lines of a batch are spoken.
"""

from __future__ import annotations

import logging
from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vvbatch import audio, qc, store
from vvbatch.engine.contract import SAMPLE_RATE
from vvbatch.ledger import Claim, Outcome
from vvbatch.profiles import QcLimits
from vvbatch.qc import Check
from vvbatch.qc.pace import Pace

log = logging.getLogger("vvbatch.jobs")


class EngineFailed(Exception):
    """The engine gave a line up (NaN latents at a step, …)."""

    def __init__(self, error: str, wall_s: float) -> None:
        super().__init__(error)
        self.outcome = Outcome("failed", error=error, wall_s=wall_s)


@dataclass(frozen=True)
class Audio:
    """What an engine gave for one request: float32 mono at 24 kHz, and how long it took."""

    chunks: list[NDArray[np.float32]]
    wall_s: float
    first_chunk_s: float | None
    runaway: bool = False
    metrics: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Judged:
    """The samples as the engine gave them, with the checks that they have had."""

    samples: NDArray[np.float32]
    rendered: Audio
    checks: tuple[Check, ...]

    def also(self, checks: Sequence[Check]) -> Judged:
        return replace(self, checks=(*self.checks, *checks))

    @property
    def speech_s(self) -> float | None:
        """From the first sound to the last; None when there are no samples to measure it on."""
        return next((check.value for check in self.checks if check.name == "duration_max"), None)

    @property
    def ok(self) -> bool:
        return all(check.ok for check in self.checks)

    @property
    def outcome(self) -> Outcome:
        failed = [check for check in self.checks if not check.ok]
        return Outcome(
            state="failed_qc" if failed else "done",
            error="; ".join(f"{check.name} {check.value} (limit {check.limit})" for check in failed) or None,
            duration_s=len(self.samples) / SAMPLE_RATE,
            wall_s=self.rendered.wall_s,
            first_chunk_s=self.rendered.first_chunk_s,
            metrics=self.rendered.metrics,
            score=round(qc.score(list(self.checks)), 4),
            qc=[(check.name, check.value, check.limit, check.ok, check.weight, check.detail) for check in self.checks],
        )


@dataclass(frozen=True)
class Take:
    """A take that has ended; `wav` is the whole file, empty when there is none to keep."""

    id: str
    attempt: int
    seed: int
    model: str
    outcome: Outcome
    wav: bytes = b""
    speech_s: float | None = None

    @cached_property
    def score(self) -> float:
        return self.outcome.score or 0.0

    def written(self, path: Path, sha256: str, size: int) -> Outcome:
        return replace(self.outcome, path=str(path), sha256=sha256, size_bytes=size)

    def tried(self, state: str | None = None) -> dict[str, Any]:
        """What a line's row tells of a take that was not kept."""
        own = {"take": self.id, "model": self.model, "seed": self.seed}
        told = {"state": state or self.outcome.state, "score": self.outcome.score, "error": self.outcome.error}
        return {**own, **told}


BYTES_PER_SECOND = 2 * SAMPLE_RATE
LONGEST_S_PER_CHARACTER = 0.25  # of speech
DEVICE_CHECKS = {"finite", "not_empty"}


def audio_room(text: str) -> int:
    """Bytes that the file of a text may need at most."""
    return int((5 + LONGEST_S_PER_CHARACTER * len(text)) * BYTES_PER_SECOND)


def no_audio(judged: Judged) -> bool:
    """Whether what failed its checks is no sound at all: the device's fault more likely than the text's."""
    return any(check.name in DEVICE_CHECKS and not check.ok for check in judged.checks)


def judge(rendered: Audio, text: str, limits: QcLimits) -> Judged:
    """Everything that can be measured without models."""
    samples = np.concatenate(rendered.chunks) if rendered.chunks else np.zeros(0, np.float32)
    checks = qc.judge(samples, SAMPLE_RATE, text, limits, runaway=rendered.runaway)
    return Judged(samples, rendered, tuple(checks))


def encode(judged: Judged) -> tuple[Outcome, bytes]:
    """The judged samples brought to their level, with what was measured of the file, and the file."""
    levelled, gain_db = audio.bring_to_peak(judged.samples)
    outcome = replace(
        judged.outcome,
        peak_dbfs=audio.peak_dbfs(levelled),
        loudness_lufs=audio.loudness_lufs(levelled, SAMPLE_RATE),
        metrics={**judged.rendered.metrics, "gain_db": gain_db},
    )
    return outcome, audio.wav_bytes(audio.to_pcm16(levelled), SAMPLE_RATE)


Closing = list[tuple[str, Outcome]]
"""Takes by their ids, and how they ended."""


@dataclass
class Candidates:
    wanted: int  # good ones
    spare: int  # that may be tried beyond those, when some fail
    keep_audio: bool  # of those that are not chosen
    takes: list[Take] = field(default_factory=list)
    closed: set[str] = field(default_factory=set)

    def add(self, claim: Claim, outcome: Outcome, wav: bytes, speech_s: float | None) -> None:
        """The claim's newest take has ended so."""
        self.takes.append(Take(claim.take, claim.attempt, claim.seed, claim.model, outcome, wav, speech_s))

    def encoded(self, judged: Judged) -> tuple[Outcome, bytes]:
        """How a judged take ended, and its file where one may be wanted."""
        sounds = len(judged.samples) > 0 and all(check.ok for check in judged.checks if check.name == "finite")
        return encode(judged) if judged.ok or (self.keep_audio and sounds) else (judged.outcome, b"")

    @property
    def good(self) -> list[Take]:
        return [take for take in self.takes if take.outcome.state == "done"]

    @property
    def best(self) -> Take:
        return max(self.good, key=lambda take: take.score)

    @property
    def complete(self) -> bool:
        return len(self.good) >= self.wanted or len(self.takes) >= self.wanted + self.spare

    # What the ledger is told

    def to_close(self) -> Closing:
        """The bad takes that nothing more will be done with; each once."""
        bad = [
            take
            for take in self.takes
            if take.outcome.state != "done" and not (self.keep_audio and take.wav) and take.id not in self.closed
        ]
        self.closed.update(take.id for take in bad)
        return [(take.id, take.outcome) for take in bad]

    def given_up(self, state: str, why: str, claim: Claim | None = None) -> Closing:
        """All that is still open, and the claim's newest take, when the line is not this worker's any more."""
        rest = [take for take in self.takes if take.id not in self.closed]
        ended = [
            (take.id, replace(take.outcome, state=state, error=why) if take in self.good else take.outcome)
            for take in rest
        ]
        return [*ended, *([(claim.take, Outcome(state, error=why))] if claim else [])]

    def chosen(self) -> str:
        """Why the best take was kept, in words."""
        best, good, count = self.best, self.good, len(self.takes)
        others = ", ".join(
            f"{take.score:.2f}" for take in sorted(good, key=lambda take: -take.score) if take is not best
        )
        failed = f"; {count - len(good)} failed" if count > len(good) else ""
        if others:
            return f"best of {len(good)}: {best.score:.2f}; others {others}{failed}"
        return f"the only one of {count} that passed: {best.score:.2f}" if failed else f"passed: {best.score:.2f}"

    def told(self) -> str:
        """Why no take was kept, in words."""
        last = self.takes[-1].outcome.error or self.takes[-1].outcome.state
        return last if len(self.takes) == 1 else f"{len(self.takes)} takes failed, the last with {last}"

    def tried(self, but: Take | None = None) -> list[dict[str, Any]]:
        """For the line's row: every take but the one that is kept."""
        return [
            take.tried("superseded" if take.outcome.state == "done" else None) for take in self.takes if take is not but
        ]

    @contextmanager
    def others(self, claim: Claim, but: Take | None = None) -> Iterator[Closing]:
        """How all that are not kept ended, with the files of those whose audio is to be kept.

        The block records them; the files go when it fails, or says so by emptying the list.
        """
        kept = f"not kept: {but.id} scored {but.score:.2f}" if but else None
        closing: Closing = []
        files: list[Path] = []
        for take in self.takes:
            if take is but or take.id in self.closed:
                continue
            outcome = take.outcome
            if outcome.state == "done":
                outcome = replace(outcome, state="superseded", chosen=kept)
            if self.keep_audio and take.wav:
                outcome = keep_audio(claim, take, outcome, files)
            closing.append((take.id, outcome))
        try:
            yield closing
        except BaseException:
            closing.clear()
            raise
        finally:
            if not closing:
                for file in files:
                    file.unlink(missing_ok=True)


def keep_audio(claim: Claim, take: Take, outcome: Outcome, files: list[Path]) -> Outcome:
    """Write a take's file beside the batch's; one that cannot be written costs nobody a line."""
    try:
        path = store.take_path(Path(claim.out), claim.batch_id, claim.number, claim.line, take.attempt)
        written = store.write_atomically(path, take.wav)
    except (OSError, store.StoreError) as error:
        log.warning("the audio of take %s is not kept: %s", take.id, error)
        return outcome
    files.append(path)
    return replace(outcome, path=str(path), sha256=written.sha256, size_bytes=written.size)


VOICES_KNOWN = 256  # of batches: the one that was not asked about for longest is forgotten
TAKES_KNOWN = 500  # of each


class Paces:
    def __init__(self) -> None:
        self.known: OrderedDict[tuple[str, ...], Pace] = OrderedDict()

    def check(self, claim: Claim, speech_s: float | None, limit: float) -> list[Check]:
        """The check of a take against the good ones of its batch, model and voices; none when there are too few."""
        found = None if speech_s is None else self.of(claim).check(speech_s, claim.text, limit)
        return [found] if found else []

    def add(self, claim: Claim, speech_s: float | None) -> None:
        """A take that was kept."""
        if speech_s is not None:
            pace = self.of(claim)
            pace.add(speech_s, claim.text)
            del pace.logs[:-TAKES_KNOWN]

    def of(self, claim: Claim) -> Pace:
        voices = (f"{voice['sha256']} {voice['rate']}" for voice in claim.request["voices"])
        key = (claim.batch_id, claim.model, *voices)
        pace = self.known.setdefault(key, Pace())
        self.known.move_to_end(key)
        if len(self.known) > VOICES_KNOWN:
            self.known.popitem(last=False)
        return pace
