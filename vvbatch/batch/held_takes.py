"""Finished takes that the ledger has not recorded yet: noted before the file is renamed, deleted after the row.

After a crash or an outage they are recorded from here instead of being rendered again.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Container, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import msgspec
from sqlalchemy.exc import DBAPIError

from vvbatch import fault_points, store
from vvbatch.batch.finish import end_if_complete
from vvbatch.batch.output import StagedFile, line_name, open_store
from vvbatch.batch.second_files import put_back
from vvbatch.ledger import Claim, Ledger, Outcome
from vvbatch.ledger.database import to_json
from vvbatch.ledger.records import TriedTake
from vvbatch.ledger.recovery import file_location, supersede_others

log = logging.getLogger("vvbatch.batch.held_takes")


@dataclass(frozen=True)
class Note:
    """What the ledger records of a finished take. It is a fence, as a claim is."""

    take_id: str
    line_id: str
    worker: str
    attempt: int
    outcome: Outcome
    tried: Sequence[TriedTake] = ()  # before it

    @classmethod
    def of(cls, claim: Claim, take_id: str, outcome: Outcome, tried: Sequence[TriedTake] = ()) -> Note:
        return cls(take_id, claim.line_id, claim.worker, claim.attempt, outcome, tried)


class LedgerAway(Exception):
    """The ledger accepts no writes now: note and file are held."""


@dataclass
class Pending:
    """The notes of a home, as small files in `folder`.

    Those of this process are also in memory, because the disk may be full.
    """

    folder: Path
    waiting: dict[str, Note] = field(default_factory=dict)  # of this process; the ledger did not accept them
    ledger_away: bool = False  # the last write failed: results go here until one succeeds

    @contextlib.contextmanager
    def noted(self, note: Note, staged: StagedFile) -> Iterator[None]:
        """The block publishes and records the take. Raises LedgerAway, and keeps note and file, when it fails.

        The note is not synced. A power cut may lose it, and the take is rendered again; a sync of every note would cost
        as much time as the row of the line.
        """
        try:
            if self.ledger_away:
                raise LedgerAway
            with contextlib.suppress(OSError):  # the note is needed only after a crash
                self.write(note, sync=False)
            fault_points.point("pending.noted")
            yield
        except (DBAPIError, LedgerAway) as error:
            self.ledger_away = True
            staged.keep()
            self.hold(note)
            raise LedgerAway from error
        except BaseException:
            self.forget(note)
            raise
        self.forget(note)

    def hold(self, note: Note) -> None:
        self.waiting[note.take_id] = note
        try:
            self.write(note, sync=True)
        except OSError as error:
            log.warning("take %s is held in memory only: %s", note.take_id, error)

    def write(self, note: Note, *, sync: bool) -> None:
        data = to_json(vars(note) | {"outcome": vars(note.outcome)}).encode()
        if sync:
            store.write_atomically(self.file_of(note), data)
            return
        temp = store.temp_of(self.file_of(note), note.take_id)
        temp.write_bytes(data)
        temp.replace(self.file_of(note))

    def forget(self, note: Note) -> None:
        self.waiting.pop(note.take_id, None)
        self.file_of(note).unlink(missing_ok=True)

    def file_of(self, note: Note) -> Path:
        return self.folder / f"{note.take_id}.json"

    def notes(self) -> Iterator[Note]:
        """The notes of all workers. One that cannot be read was truncated by a power cut: it is removed."""
        for file in sorted(self.folder.glob("*.json")):
            try:
                yield msgspec.json.decode(file.read_bytes(), type=Note)
            except FileNotFoundError:
                continue  # its worker has just recorded it
            except msgspec.DecodeError as error:
                log.warning("%s cannot be read and is removed: %s", file, error)
                file.unlink(missing_ok=True)

    def takes(self) -> set[str]:
        """The ids of the takes whose staged files are still needed."""
        return {note.take_id for note in (*self.notes(), *self.waiting.values())}

    def replay(self, ledger: Ledger, notes: Iterable[Note], *, orphaned: bool) -> list[Note]:
        """Record the takes of notes and move their files to the final paths. Returns the notes whose takes were kept.

        `orphaned`: their worker has died. Raises the database's error when the ledger does not accept them.
        """
        kept = []
        for note in list(notes):
            if settle(ledger, note, orphaned=orphaned):
                kept.append(note)
            self.forget(note)
        return kept

    def replay_own(self, ledger: Ledger) -> list[Note]:
        """Replay the notes of this process. Raises the database's error when the ledger still does not accept them."""
        kept = self.replay(ledger, self.waiting.values(), orphaned=False)
        self.ledger_away = False
        return kept

    def replay_dead(self, ledger: Ledger, is_dead: Container[str]) -> list[Note]:
        """Replay the notes of workers that have died. Raises the database's error."""
        return self.replay(ledger, [note for note in self.notes() if note.worker in is_dead], orphaned=True)


def settle(ledger: Ledger, note: Note, *, orphaned: bool) -> bool:
    """Record one finished take if its line is still open for it and its file is complete. Returns whether it was kept.

    Raises the database's error.
    """
    location = file_location(ledger, note.line_id)
    if location is None:
        return False
    output = open_store(location.out)
    name = line_name(location.batch_id, location.chapter, location.number, location.line)
    sha256 = note.outcome.sha256 or ""

    def publish() -> None:
        output.publish_staged(name, note.take_id, sha256)
        fault_points.point("pending.published")

    def discard() -> None:
        with contextlib.suppress(FileNotFoundError):
            if output.sha256(name) == sha256 and not put_back(ledger, note.line_id):
                output.remove(name)

    try:
        kept = ledger.keep_take(
            note, note.take_id, note.outcome, publish, tried=note.tried, orphaned=orphaned, discard=discard
        )
        output.remove_staged(name, note.take_id)
    except (store.StoreError, OSError) as error:
        log.warning("the file of take %s cannot be used: %s", note.take_id, error)
        return False
    if kept:
        supersede_others(ledger, note.line_id, note.worker)
        log.warning("%s: take %s is recorded now", note.line_id, note.take_id)
        end_if_complete(ledger, location.batch_id)
    return kept
