"""The takes of one line: Rendered (what the engine gave) → Judged (with its checks) → Take (encoded, with its outcome).

Candidates are the takes of one claim, of which the best is kept. Paces compares a take with those of its batch.
"""

from __future__ import annotations

import logging
from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from itertools import takewhile

import numpy as np
from numpy.typing import NDArray

from vvbatch import audio, store
from vvbatch.batch.output import BYTES_PER_SECOND, StagedFile, open_store, take_name
from vvbatch.engine.contract import SAMPLE_RATE
from vvbatch.ledger import Claim, Outcome
from vvbatch.ledger.records import CheckRow, TriedTake
from vvbatch.ledger.states import TakeState, Trouble
from vvbatch.profiles import QcLimits
from vvbatch.qc.check import Check, score
from vvbatch.qc.judge import judge as checks_of
from vvbatch.qc.pace import Pace

LONGEST_S_PER_CHARACTER = 0.25  # of speech
AUDIO_CHECKS = {"finite", "not_empty"}
SEED_FAILED = (Trouble.QC, Trouble.ENGINE)
"""After these a line gets another seed. After the others the same seed may give a good take."""

VOICES_KNOWN = 256  # of batches; the least recently used is dropped
TAKES_KNOWN = 500  # of each

EndedTakes = list[tuple[str, Outcome]]
"""Takes by their ids, with their outcomes."""

log = logging.getLogger("vvbatch.jobs")


class EngineFailed(Exception):
    """The engine gave no usable audio for a request (NaN latents at a step, …)."""

    def __init__(self, error: str, wall_s: float) -> None:
        super().__init__(error)
        self.wall_s = wall_s


@dataclass(frozen=True)
class Rendered:
    """What an engine gave for one request: float32 mono at 24 kHz, and how long it took."""

    chunks: list[NDArray[np.float32]]
    wall_s: float
    first_chunk_s: float | None
    runaway: bool = False
    metrics: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True)
class Judged:
    """The samples as the engine gave them, and their checks so far."""

    rendered: Rendered
    samples: NDArray[np.float32]  # (frames,)
    checks: tuple[Check, ...]

    def with_checks(self, checks: Sequence[Check]) -> Judged:
        return replace(self, checks=(*self.checks, *checks))

    @property
    def speech_s(self) -> float | None:
        """From the first sound to the last; None without samples to measure."""
        return next((check.value for check in self.checks if check.name == "duration_max"), None)

    @property
    def ok(self) -> bool:
        return all(check.ok for check in self.checks)

    @property
    def trouble(self) -> Trouble | None:
        """Missing audio is more likely the device's fault than the text's."""
        failed = {check.name for check in self.checks if not check.ok}
        return (Trouble.ENGINE if failed & AUDIO_CHECKS else Trouble.QC) if failed else None

    @property
    def encodable(self) -> bool:
        return len(self.samples) > 0 and all(check.ok for check in self.checks if check.name == "finite")

    @property
    def outcome(self) -> Outcome:
        failed = [check for check in self.checks if not check.ok]
        return Outcome(
            state=TakeState.FAILED_QC if failed else TakeState.DONE,
            error="; ".join(check.reason for check in failed) or None,
            duration_s=len(self.samples) / SAMPLE_RATE,
            wall_s=self.rendered.wall_s,
            first_chunk_s=self.rendered.first_chunk_s,
            metrics=self.rendered.metrics,
            score=round(score(list(self.checks)), 4),
            qc=[
                CheckRow(check.name, check.value, check.limit, check.ok, check.weight, check.detail)
                for check in self.checks
            ],
        )


@dataclass(frozen=True)
class Take:
    """A take that has ended. `wav` is the whole file, empty when there is none to keep."""

    id: str
    attempt: int
    seed: int
    profile: str
    outcome: Outcome
    trouble: Trouble | None = None
    wav: bytes = b""
    speech_s: float | None = None

    @classmethod
    def of(cls, claim: Claim, judged: Judged, *, keep_bad: bool) -> Take:
        """The claim's newest take. One that failed its checks is encoded only with `keep_bad`."""
        encoded = judged.ok or (keep_bad and judged.encodable)
        outcome, wav = encode(judged) if encoded else (judged.outcome, b"")
        known = (claim.take, claim.attempt, claim.seed, claim.profile)
        return cls(*known, outcome, judged.trouble, wav, judged.speech_s)

    @classmethod
    def failed(cls, claim: Claim, trouble: Trouble, error: str, wall_s: float | None = None) -> Take:
        """The claim's newest take, which gave nothing to judge."""
        outcome = Outcome(TakeState.FAILED, error=error, wall_s=wall_s)
        return cls(claim.take, claim.attempt, claim.seed, claim.profile, outcome, trouble)

    @property
    def good(self) -> bool:
        return self.outcome.state == TakeState.DONE

    @property
    def score(self) -> float:
        return self.outcome.score or 0.0

    def written(self, staged: StagedFile) -> Outcome:
        return replace(self.outcome, path=staged.location, sha256=staged.sha256, size_bytes=staged.size)

    def tried(self) -> TriedTake:
        """For the line's row, when this take is not kept."""
        state = TakeState.SUPERSEDED if self.good else self.outcome.state
        return TriedTake(self.id, self.profile, self.seed, state, self.outcome.score, self.outcome.error)


def audio_room(text: str) -> int:
    """The most bytes that the file of a text may need."""
    return int((5 + LONGEST_S_PER_CHARACTER * len(text)) * BYTES_PER_SECOND)


def judge(rendered: Rendered, text: str, limits: QcLimits) -> Judged:
    """Every check that needs no model."""
    samples = np.concatenate(rendered.chunks) if rendered.chunks else np.zeros(0, np.float32)
    return Judged(rendered, samples, tuple(checks_of(samples, SAMPLE_RATE, text, limits, runaway=rendered.runaway)))


def encode(judged: Judged) -> tuple[Outcome, bytes]:
    """The outcome with what is measured of the file, and the WAV file: the samples at their peak level as PCM16."""
    levelled, gain_db = audio.bring_to_peak(judged.samples)
    outcome = replace(
        judged.outcome,
        peak_dbfs=audio.peak_dbfs(levelled),
        loudness_lufs=audio.loudness_lufs(levelled, SAMPLE_RATE),
        metrics={**judged.rendered.metrics, "gain_db": gain_db},
    )
    return outcome, audio.wav_bytes(audio.to_pcm16(levelled), SAMPLE_RATE)


@dataclass
class Others:
    """The takes that are not kept, and the files of those whose audio is."""

    ended: EndedTakes
    files: list[str]  # names in the batch's output
    recorded: bool = False


@dataclass
class Candidates:
    """The ended takes of one claim, in order."""

    wanted: int  # good ones
    spare: int  # additional tries when some fail
    keep_audio: bool  # of those that are not chosen
    takes: list[Take] = field(default_factory=list)
    closed: set[str] = field(default_factory=set)  # ids of takes whose outcomes the ledger has

    @property
    def good(self) -> list[Take]:
        return [take for take in self.takes if take.good]

    @property
    def best(self) -> Take:
        return max(self.good, key=lambda take: take.score)

    @property
    def complete(self) -> bool:
        return len(self.good) >= self.wanted or len(self.takes) >= self.wanted + self.spare

    @property
    def seeds_used(self) -> int:
        """Seeds that no later claim should try again: those that failed before any take that may come out good."""
        return sum(1 for _ in takewhile(lambda take: take.trouble in SEED_FAILED, self.takes))

    def to_close(self) -> EndedTakes:
        """The failed takes that need nothing more, each returned once."""
        bad = [
            take
            for take in self.takes
            if not take.good and not (self.keep_audio and take.wav) and take.id not in self.closed
        ]
        self.closed.update(take.id for take in bad)
        return [(take.id, take.outcome) for take in bad]

    def abandoned(self, state: TakeState, why: str, claim: Claim | None = None) -> EndedTakes:
        """All takes that are still open, and the claim's newest, when this worker stops rendering the line."""
        ended = [
            (take.id, replace(take.outcome, state=state, error=why) if take.good else take.outcome)
            for take in self.takes
            if take.id not in self.closed
        ]
        return [*ended, *([(claim.take, Outcome(state, error=why))] if claim else [])]

    def why_best(self) -> str:
        """Why the best take is kept."""
        best, good, count = self.best, self.good, len(self.takes)
        others = ", ".join(
            f"{take.score:.2f}" for take in sorted(good, key=lambda take: -take.score) if take is not best
        )
        failed = f"; {count - len(good)} failed" if count > len(good) else ""
        if others:
            return f"best of {len(good)}: {best.score:.2f}; others {others}{failed}"
        return f"the only one of {count} that passed: {best.score:.2f}" if failed else f"passed: {best.score:.2f}"

    def why_none(self) -> str:
        """Why no take is kept."""
        last = self.takes[-1].outcome.error or self.takes[-1].outcome.state
        return last if len(self.takes) == 1 else f"{last}; {len(self.takes)} takes"

    def tried(self, kept: Take | None = None) -> list[TriedTake]:
        """Every take except the one that is kept."""
        return [take.tried() for take in self.takes if take is not kept]

    @contextmanager
    def others(self, claim: Claim, kept: Take | None = None) -> Iterator[Others]:
        """All open takes except the one that is kept, with their audio written where it is to be kept.

        The block records them and sets `recorded`; otherwise the files are removed.
        """
        why = f"not kept: {kept.id} scored {kept.score:.2f}" if kept else None
        others = Others([], [])
        for take in self.takes:
            if take is kept or take.id in self.closed:
                continue
            outcome = take.outcome
            if take.good:
                outcome = replace(outcome, state=TakeState.SUPERSEDED, chosen=why)
            if self.keep_audio and take.wav:
                outcome = keep_audio(claim, take, outcome, others.files)
            others.ended.append((take.id, outcome))
        try:
            yield others
        finally:
            if not others.recorded:
                output = open_store(claim.out)
                for file in others.files:
                    output.remove(file)


def keep_audio(claim: Claim, take: Take, outcome: Outcome, files: list[str]) -> Outcome:
    """Write the file of a take that was not chosen. When it cannot be written, the line is still kept without it."""
    try:
        name = take_name(claim.batch_id, claim.number, claim.line, take.attempt)
        with open_store(claim.out).stage(name, take.wav) as staged:
            staged.publish()
    except (OSError, store.StoreError) as error:
        log.warning("the audio of take %s is not kept: %s", take.id, error)
        return outcome
    files.append(name)
    return replace(outcome, path=staged.location, sha256=staged.sha256, size_bytes=staged.size)


class Paces:
    """How fast the lines of each batch are spoken, in memory, so that no line costs a query."""

    def __init__(self) -> None:
        self.known: OrderedDict[tuple[str, ...], Pace] = OrderedDict()

    def check(self, claim: Claim, speech_s: float | None, limit: float) -> list[Check]:
        """The check against the good takes of the same batch, profile and voices; none when they are too few."""
        found = None if speech_s is None else self.of(claim).check(speech_s, claim.text, limit)
        return [found] if found else []

    def add(self, claim: Claim, speech_s: float | None) -> None:
        """Add a take that was kept."""
        if speech_s is not None:
            pace = self.of(claim)
            pace.add(speech_s, claim.text)
            del pace.logs[:-TAKES_KNOWN]

    def of(self, claim: Claim) -> Pace:
        voices = (f"{voice.sha256} {voice.rate}" for voice in claim.request.voices)
        key = (claim.batch_id, claim.profile, *voices)
        pace = self.known.setdefault(key, Pace())
        self.known.move_to_end(key)
        if len(self.known) > VOICES_KNOWN:
            self.known.popitem(last=False)
        return pace
