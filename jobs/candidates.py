"""The takes of a line that one claim has rendered: which are good, which is best, and what becomes of the others."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from vvbatch import store
from vvbatch.ledger import Claim, Outcome
from vvbatch.take import Judged, Take, encode

Closing = list[tuple[str, Outcome]]
"""Takes by their ids, and how they ended."""

log = logging.getLogger("vvbatch.jobs")


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
