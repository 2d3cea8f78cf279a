"""The log of what happened: one JSON object a line for every take and every change of state, in the home's logs.

Several processes write to it, so a line is appended, and the file rotated, under a lock. (logging's RotatingFileHandler
is for one process: with two, one keeps writing into the file that the other has renamed.)
"""

from __future__ import annotations

import errno
import fcntl
import logging
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import msgspec

from vvbatch.file_locks import held_by, locked
from vvbatch.home import Home
from vvbatch.ledger.entries import Entry
from vvbatch.ledger.ledger import Ledger
from vvbatch.ledger.records import utc_now

FILE_BYTES = 10 << 20
LOCK_S = 5.0  # for other processes to append
KEPT = 5  # rotated files, `.1` the newest

log = logging.getLogger("vvbatch.ledger.journal")


class Journal:
    """Appends to `path`; `path.1` to `path.5` are what it was before."""

    def __init__(self, path: Path, file_bytes: int = FILE_BYTES, kept: int = KEPT) -> None:
        self.path, self.file_bytes, self.kept = path, file_bytes, kept

    def write(self, *all_facts: Mapping[str, object]) -> None:
        """Append a line for each. Raises OSError."""
        encoded = [msgspec.json.encode(facts) + b"\n" for facts in all_facts]
        lock = os.open(self.path.with_name(f".{self.path.name}.lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            if not locked(lock, fcntl.LOCK_EX, LOCK_S):
                raise OSError(errno.EAGAIN, f"it is locked for more than {LOCK_S:g} s: {held_by(lock, self.path)}")
            size = self.path.stat().st_size if self.path.exists() else 0
            fitting: list[bytes] = []
            for line in encoded:
                if size and size + len(line) > self.file_bytes:
                    self.append(fitting)
                    self.rotate()
                    size, fitting = 0, []
                fitting.append(line)
                size += len(line)
            self.append(fitting)
        finally:
            os.close(lock)

    def append(self, encoded: Sequence[bytes]) -> None:
        with self.path.open("ab", buffering=0) as file:
            file.write(b"".join(encoded))

    def rotate(self) -> None:
        for number in range(self.kept, 0, -1):
            older = self.path.with_name(f"{self.path.name}.{number}")
            newer = self.path.with_name(f"{self.path.name}.{number - 1}") if number > 1 else self.path
            if newer.exists():
                newer.replace(older)


def ledger_of(home: Home) -> Ledger:
    """The home's ledger, with what it commits also in the journal. Raises LedgerError."""
    return journalled(home.ledger_url, Journal(home.logs / "journal.jsonl"))


def journalled(url: str, journal: Journal, now: Callable[[], str] = utc_now) -> Ledger:
    """A ledger whose journal gets an entry for each change that was committed. Raises LedgerError."""

    def write(entries: Sequence[Entry]) -> None:
        try:
            journal.write(*({"at": now(), **entry} for entry in entries))
        except OSError as error:  # the ledger is the truth: a full disk must not undo what it has recorded
            log.warning("%s could not be written: %s", journal.path, error)

    return Ledger(url, now, write)
