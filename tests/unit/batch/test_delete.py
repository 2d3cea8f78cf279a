"""Deleting batches: what goes, what stays, and what a killed command leaves."""

from __future__ import annotations

import signal
import subprocess
import sys
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import func, select

from tests.support.ledgers import Clock, add_batch, begin, good, line_id, open_ledger, planned
from vvbatch import store
from vvbatch.batch.delete import delete, examine, finish_removals, old_batches, prune_speech
from vvbatch.batch.output import line_name
from vvbatch.batch.verify_files import verify
from vvbatch.ledger import CachedTake, Ledger, NewBatch
from vvbatch.ledger.batches import cancel_lines, record_batch, retry_lines, settle_batch
from vvbatch.ledger.deletion import BatchInUse, pending_removals
from vvbatch.ledger.queries import UnknownBatch, batch_view, cached_takes, find_batch
from vvbatch.ledger.records import BatchKind
from vvbatch.ledger.schema import baselines, events, lines, nights, qc_results, takes

KILLED = """
import os, signal, sys
from vvbatch.batch import delete
from vvbatch.ledger import Ledger
def die(*_):
    os.kill(os.getpid(), signal.SIGKILL)
delete.remove_files = die
ledger = Ledger(sys.argv[1])
delete.delete(ledger, delete.examine(ledger, "a"))
"""


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def ledger(tmp_path: Path, clock: Clock) -> Ledger:
    return open_ledger(tmp_path, clock)


def finished(ledger: Ledger, out: Path, batch: str, kind: BatchKind = BatchKind.SCRIPT, of: str | None = None) -> str:
    """A batch of one line that is done, with its file and manifest. Returns the take's id."""
    new = NewBatch(batch, "t", "s.yaml", f"fingerprint {batch}", None, "normal", str(out), kind)
    record_batch(ledger, new, [planned(1, "One.", of or batch)])
    claim, take = begin(ledger, batch, 1)
    path = out / line_name(batch, 1, 1, "l1")
    path.parent.mkdir(parents=True)
    path.write_bytes(f"audio of {batch}".encode())
    assert ledger.keep_take(claim, take, good(path, sha256=store.sha256_file(path)), lambda: None)
    settle_batch(ledger, batch)
    (out / batch / "manifest.json").write_text("{}")
    return take


def serve(ledger: Ledger, out: Path, batch: str, of: str) -> Path:
    """A batch of one line that is served from the take of another batch's equal line."""
    new = NewBatch(batch, "t", "s.yaml", f"fingerprint {batch}", None, "normal", str(out))
    line = planned(1, "One.", of)
    record_batch(ledger, new, [line])
    take = cached_takes(ledger, [line])[line.key]
    path = out / line_name(batch, 1, 1, "l1")
    with store.stage_copy(Path(take.path), path, take.sha256) as staged:
        ledger.serve_cached(batch, [(line_id(batch, 1), CachedTake(take.take_id, take.path, take.sha256), staged)])
    settle_batch(ledger, batch)
    return path


def rows(ledger: Ledger, *tables: object) -> list[int]:
    with ledger.engine.connect() as connection:
        return [connection.execute(select(func.count()).select_from(table)).scalar_one() for table in tables]  # type: ignore[arg-type]


def test_a_batch_goes_with_its_rows_and_files_and_an_event_says_so(ledger: Ledger, tmp_path: Path) -> None:
    finished(ledger, tmp_path / "out", "a")
    finished(ledger, tmp_path / "out", "b")
    doomed = examine(ledger, "a")
    assert (doomed.lines, doomed.takes, doomed.files, doomed.bytes) == (1, 1, 2, len("audio of a") + 2)
    delete(ledger, doomed)
    assert (doomed.deleted, doomed.left) == (True, [])
    assert not (tmp_path / "out" / "a").exists()
    with pytest.raises(UnknownBatch):
        find_batch(ledger, "a")
    assert rows(ledger, lines, takes, qc_results) == [1, 1, 3]
    with ledger.engine.connect() as connection:
        deleted = connection.execute(select(events.c.batch_id).where(events.c.kind == "batch deleted")).scalars()
        assert list(deleted) == ["a"]
    assert verify(ledger).problems == [] and pending_removals(ledger) == []


def test_a_take_that_serves_other_batches_stays_with_the_oldest_line_that_it_serves(
    ledger: Ledger, tmp_path: Path, clock: Clock
) -> None:
    take = finished(ledger, tmp_path / "out", "a")
    clock.advance(1)
    path = serve(ledger, tmp_path / "out", "b", of="a")
    clock.advance(1)
    serve(ledger, tmp_path / "out", "c", of="a")
    delete(ledger, examine(ledger, "a"))
    found = verify(ledger)
    assert (found.checked, found.ok) == (2, 2)
    assert path.read_bytes() == b"audio of a"
    for batch in ("b", "c"):
        line = batch_view(ledger, batch).lines[0]
        assert (line.state, line.take, len(line.qc)) == ("cached", take, 3)
    again = cached_takes(ledger, [planned(1, "One.", "a")])
    assert [(each.take_id, each.path) for each in again.values()] == [(take, str(path))]
    delete(ledger, examine(ledger, "b"))
    delete(ledger, examine(ledger, "c"))
    assert rows(ledger, lines, takes, qc_results) == [0, 0, 0]


def test_a_batch_with_open_lines_is_refused_until_it_is_cancelled(ledger: Ledger, tmp_path: Path) -> None:
    add_batch(ledger, "a", ["One."], out=tmp_path / "out")
    doomed = examine(ledger, "a")
    assert "has open lines" in (doomed.refused or "")
    with pytest.raises(BatchInUse, match="vvbatch cancel a"):
        delete(ledger, doomed)
    assert rows(ledger, lines) == [1]
    cancel_lines(ledger, "a")
    settle_batch(ledger, "a")
    delete(ledger, examine(ledger, "a"))
    assert rows(ledger, lines) == [0]


def test_nights_and_batches_with_a_blessed_take_are_refused(ledger: Ledger, tmp_path: Path) -> None:
    take = finished(ledger, tmp_path / "out", "a")
    finished(ledger, tmp_path / "out", "n", BatchKind.NIGHT)
    with ledger.transaction() as connection:
        night = {"id": "1", "suite": "s", "profile": "p", "state": "ended", "started_at": "now", "batch_id": "n"}
        connection.execute(nights.insert().values(night))
        blessed = {"line": "l1", "text": "t", "night_id": "1", "take_id": take, "path": "/b", "sha256": "a"}
        said = {"facts": {}, "blessed_at": "now", "blessed_by": "ada", "why": "good"}
        connection.execute(baselines.insert().values(id="b", suite="s", profile="p", **blessed, **said))
    for batch, reason in (("a", "blessed take"), ("n", "night of a regression suite")):
        with pytest.raises(BatchInUse, match=reason):
            delete(ledger, examine(ledger, batch))
    assert verify(ledger).ok == 2


@pytest.mark.slow
def test_a_command_that_is_killed_before_the_files_are_gone_is_finished_by_the_next(
    ledger: Ledger, tmp_path: Path
) -> None:
    finished(ledger, tmp_path / "out", "a")
    path = serve(ledger, tmp_path / "out", "b", of="a")
    killed = subprocess.run([sys.executable, "-c", KILLED, ledger.url], timeout=60)
    assert killed.returncode == -signal.SIGKILL
    assert (tmp_path / "out" / "a" / "manifest.json").exists()
    assert [removal.batch_id for removal in pending_removals(ledger)] == ["a"]
    assert verify(ledger).problems == []
    finish_removals(ledger)
    assert not (tmp_path / "out" / "a").exists() and path.exists()
    assert pending_removals(ledger) == [] and verify(ledger).problems == []


def test_files_that_the_ledger_does_not_know_stay_and_links_are_not_followed(ledger: Ledger, tmp_path: Path) -> None:
    finished(ledger, tmp_path / "out", "a")
    mine = tmp_path / "out" / "a" / "notes.txt"
    mine.write_text("mine")
    elsewhere = tmp_path / "elsewhere"
    chapter = next((tmp_path / "out" / "a").glob("chapter*"))
    chapter.rename(elsewhere)
    chapter.symlink_to(elsewhere)
    doomed = examine(ledger, "a")
    delete(ledger, doomed)
    assert doomed.left == [str(mine)]
    assert len(list(elsewhere.iterdir())) == 1


def test_old_speech_is_pruned_and_scripts_stay(ledger: Ledger, tmp_path: Path, clock: Clock) -> None:
    finished(ledger, tmp_path / "out", "old", BatchKind.SPEECH)
    finished(ledger, tmp_path / "out", "book")
    clock.advance(timedelta(days=29).total_seconds())
    finished(ledger, tmp_path / "out", "new", BatchKind.SPEECH)
    assert prune_speech(ledger, 30) == 0
    clock.advance(timedelta(days=2).total_seconds())
    assert prune_speech(ledger, None) == 0
    assert [each.batch for each in old_batches(ledger, BatchKind.SPEECH, timedelta(days=30))] == ["old"]
    assert prune_speech(ledger, 30) == 1
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["book", "new"]


def test_speech_that_is_queued_again_is_not_pruned(ledger: Ledger, tmp_path: Path, clock: Clock) -> None:
    new = NewBatch("a", "t", "TEXT", "f", None, "high", str(tmp_path), BatchKind.SPEECH)
    record_batch(ledger, new, [replace(planned(1, "One.", "a"))])
    cancel_lines(ledger, "a")
    settle_batch(ledger, "a")
    retry_lines(ledger, "a")
    clock.advance(timedelta(days=99).total_seconds())
    assert prune_speech(ledger, 30) == 0
