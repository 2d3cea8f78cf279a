"""Every finished line's file against the hash that the ledger has of it, and files in the folders that it lacks."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

from msgspec import UNSET, Struct, UnsetType
from sqlalchemy import select

from vvbatch import store
from vvbatch.ledger import Ledger
from vvbatch.ledger.queries import find_batch
from vvbatch.ledger.records import chunks
from vvbatch.ledger.schema import batches, lines, takes

HASHERS = min(4, os.cpu_count() or 1)  # hashing lets other threads run, and soon waits for the disk


class Expected(NamedTuple):
    batch: str
    line: str
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
    path: Path
    ended: bool


def verify(
    ledger: Ledger, batch: str | None = None, seen: Callable[[int, int], None] = lambda done, total: None
) -> Verified:
    """Hash the files of one batch, or of all; `seen(done, total)` is called for progress. Raises UnknownBatch."""
    batch_id = find_batch(ledger, batch) if batch else None
    expected = [*expected_files(ledger, batch_id), *kept_audio(ledger, batch_id)]
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
        problems += [FileProblem(folder.batch, None, None, str(path), "unknown") for path in strays(folder, known)]
    return Verified(len(expected), len(expected) - bad, problems)


def expected_files(ledger: Ledger, batch_id: str | None) -> list[Expected]:
    query = (
        select(lines.c.batch_id, lines.c.line, lines.c.path, lines.c.sha256)
        .where(lines.c.state.in_(("done", "cached")), lines.c.path.is_not(None))  # a pruned night's lines have none
        .order_by(lines.c.batch_id, lines.c.number)
    )
    if batch_id is not None:
        query = query.where(lines.c.batch_id == batch_id)
    with ledger.engine.connect() as connection:
        return [Expected(*row) for row in connection.execute(query)]


def kept_audio(ledger: Ledger, batch_id: str | None) -> list[Expected]:
    """The files of takes that were not chosen, of the batches that kept them."""
    query = (
        select(takes.c.batch_id, lines.c.line, takes.c.path, takes.c.sha256, takes.c.id)
        .join_from(takes, lines, lines.c.id == takes.c.line_id)
        .where(takes.c.path.is_not(None), takes.c.state.in_(("superseded", "failed_qc")))
        .order_by(takes.c.batch_id, lines.c.number, takes.c.attempt)
    )
    if batch_id is not None:
        query = query.where(takes.c.batch_id == batch_id)
    with ledger.engine.connect() as connection:
        return [Expected(*row) for row in connection.execute(query)]


def batch_folders(ledger: Ledger, batch_id: str | None) -> Sequence[Folder]:
    query = select(batches.c.id, batches.c.out, batches.c.ended_at).order_by(batches.c.id)
    if batch_id is not None:
        query = query.where(batches.c.id == batch_id)
    with ledger.engine.connect() as connection:
        rows = connection.execute(query).all()
    return [Folder(row.id, Path(row.out) / row.id, row.ended_at is not None) for row in rows]


def examine(file: Expected) -> str | None:
    """What is wrong with a file, or None."""
    try:
        if not stat.S_ISREG(os.lstat(file.path).st_mode):
            return "changed"  # a link, a pipe or a folder has taken its place
        return None if store.sha256_file(Path(file.path)) == file.sha256 else "changed"
    except FileNotFoundError:
        return "missing"
    except OSError as error:
        return f"unreadable: {error.strerror}"


def strays(folder: Folder, known: set[str]) -> Iterator[Path]:
    """Files under a batch's folder that the ledger does not know; a running worker's temporary ones are no strays."""
    for parent, _, names in os.walk(folder.path):
        for name in sorted(names):
            path = Path(parent, name)
            is_manifest = path == folder.path / "manifest.json"
            in_work = name.startswith(store.TEMP_PREFIX) and not folder.ended
            if str(path) not in known and not is_manifest and not in_work:
                yield path
