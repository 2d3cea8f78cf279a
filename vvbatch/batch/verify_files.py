"""Every finished line's file against the hash that the ledger has of it, and files in the folders that it lacks."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

from msgspec import UNSET, Struct, UnsetType
from sqlalchemy import or_, select

from vvbatch.batch.output import imported_names, is_staged, manifest_name, name_of, open_store, report_name
from vvbatch.ledger import Ledger
from vvbatch.ledger.books import HAS_FILE
from vvbatch.ledger.queries import find_batch
from vvbatch.ledger.records import chunks
from vvbatch.ledger.schema import batches, book_files, lines, takes
from vvbatch.store import StoreError

HASHERS = min(4, os.cpu_count() or 1)  # hashing lets other threads run, and soon waits for the disk


class Expected(NamedTuple):
    batch: str
    out: str
    line: str | None
    path: str
    sha256: str
    take: str | None = None  # whose kept audio it is, when it is not the line's file


class FileProblem(Struct):
    """`problem` is `missing`, `changed`, `unreadable: …`, or `unknown`: a file in the folder that the ledger lacks."""

    batch: str
    line: str | None
    take: str | None  # of kept audio that was not chosen
    path: str
    problem: str


class Verified(Struct):
    checked: int
    ok: int
    problems: list[FileProblem]
    repaired: Sequence[RepairedLine] | UnsetType = UNSET


class RepairedLine(Struct):
    batch: str
    line: str | None
    done: str


class Folder(NamedTuple):
    batch: str
    out: str
    ended: bool


def verify(
    ledger: Ledger, batch: str | None = None, seen: Callable[[int, int], None] = lambda done, total: None
) -> Verified:
    """Hash the files of one batch, or of all; `seen(done, total)` is called for progress. Raises UnknownBatch."""
    batch_id = find_batch(ledger, batch) if batch else None
    expected = [*expected_files(ledger, batch_id), *kept_audio(ledger, batch_id), *books(ledger, batch_id)]
    folders = batch_folders(ledger, batch_id)
    problems: list[FileProblem] = []
    done = 0
    with ThreadPoolExecutor(HASHERS) as hashers:
        for chunk in chunks(expected, 64):
            for file, problem in zip(chunk, hashers.map(examine, chunk), strict=True):
                if problem:
                    problems.append(FileProblem(file.batch, file.line, file.take, file.path, problem))
            done += len(chunk)
            seen(done, len(expected))
    bad = len(problems)
    known = {file.path for file in expected}
    for folder in folders:
        problems += [FileProblem(folder.batch, None, None, path, "unknown") for path in strays(folder, known)]
    return Verified(len(expected), len(expected) - bad, problems)


def expected_files(ledger: Ledger, batch_id: str | None) -> list[Expected]:
    query = (
        select(lines.c.batch_id, batches.c.out, lines.c.line, lines.c.path, lines.c.sha256)
        .join_from(lines, batches, batches.c.id == lines.c.batch_id)
        .where(HAS_FILE)
        .order_by(lines.c.batch_id, lines.c.number)
    )
    if batch_id is not None:
        query = query.where(lines.c.batch_id == batch_id)
    with ledger.engine.connect() as connection:
        return [Expected(*row) for row in connection.execute(query)]


def kept_audio(ledger: Ledger, batch_id: str | None) -> list[Expected]:
    """The files of takes that lie elsewhere than their line's: of those that were not chosen, or rejected."""
    query = (
        select(takes.c.batch_id, batches.c.out, lines.c.line, takes.c.path, takes.c.sha256, takes.c.id)
        .join_from(takes, lines, lines.c.id == takes.c.line_id)
        .join(batches, batches.c.id == takes.c.batch_id)
        .where(takes.c.path.is_not(None), or_(lines.c.path.is_(None), takes.c.path != lines.c.path))
        .order_by(takes.c.batch_id, lines.c.number, takes.c.attempt)
    )
    if batch_id is not None:
        query = query.where(takes.c.batch_id == batch_id)
    with ledger.engine.connect() as connection:
        return [Expected(*row) for row in connection.execute(query)]


def books(ledger: Ledger, batch_id: str | None) -> list[Expected]:
    """The files of finished books."""
    query = select(book_files.c.batch_id, batches.c.out, book_files.c.path, book_files.c.sha256)
    query = query.join_from(book_files, batches, batches.c.id == book_files.c.batch_id)
    query = query.order_by(book_files.c.batch_id, book_files.c.path)
    if batch_id is not None:
        query = query.where(book_files.c.batch_id == batch_id)
    with ledger.engine.connect() as connection:
        return [Expected(row.batch_id, row.out, None, row.path, row.sha256) for row in connection.execute(query)]


def batch_folders(ledger: Ledger, batch_id: str | None) -> Sequence[Folder]:
    query = select(batches.c.id, batches.c.out, batches.c.ended_at).order_by(batches.c.id)
    if batch_id is not None:
        query = query.where(batches.c.id == batch_id)
    with ledger.engine.connect() as connection:
        rows = connection.execute(query).all()
    return [Folder(row.id, row.out, row.ended_at is not None) for row in rows]


def examine(file: Expected) -> str | None:
    """What is wrong with a file, or None."""
    try:
        found = open_store(file.out).sha256(name_of(file.out, file.path))
        return None if found == file.sha256 else "changed"
    except StoreError:  # a link that leads elsewhere has taken its place
        return "changed"
    except FileNotFoundError:
        return "missing"
    except OSError as error:
        return f"unreadable: {error.strerror}"


def strays(folder: Folder, known: set[str]) -> Iterator[str]:
    """Files under a batch's folder that the ledger does not know; staged files of a running worker do not count."""
    with contextlib.suppress(StoreError):  # the folder is a link that leads elsewhere: its files count as changed
        own = {manifest_name(folder.batch), report_name(folder.batch), *imported_names(folder.batch)}
        for name in open_store(folder.out).list(folder.batch):
            in_work = is_staged(name) and not folder.ended
            location = str(Path(folder.out, name))
            if location not in known and name not in own and not in_work:
                yield location
