"""Deleting batches: what goes, row by row and file by file, and which speech is old enough to go."""

from __future__ import annotations

import logging
import stat
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path

from msgspec import Struct
from sqlalchemy import select

from vvbatch.batch.output import Store, imported_names, is_staged, open_store, report_name
from vvbatch.ledger import Ledger
from vvbatch.ledger.deletion import (
    BatchInUse,
    Removal,
    count_rows,
    delete_rows,
    ended_before,
    files_of,
    pending_removals,
    refuse_in_use,
    removal_done,
)
from vvbatch.ledger.records import BatchKind, earlier
from vvbatch.ledger.schema import batches
from vvbatch.manuscript.origin import origin_of
from vvbatch.store import StoreError

log = logging.getLogger("vvbatch.batch.delete")


class Doomed(Struct):
    """A batch that may be deleted, or the reason why not."""

    batch: str
    kind: str
    lines: int
    takes: int
    files: int
    bytes: int
    refused: str | None = None
    deleted: bool = False
    left: Sequence[str] = ()  # what stays in its folder: files that the ledger does not know


def examine(ledger: Ledger, batch_id: str) -> Doomed:
    """What deleting a batch would remove."""
    with ledger.engine.connect() as connection:
        batch = connection.execute(select(batches).where(batches.c.id == batch_id)).one()
        folder = Path(batch.out) / batch_id
        sizes = [
            size for name in files_of(connection, batch_id, folder) if (size := size_of(folder / name)) is not None
        ]
        doomed = Doomed(batch_id, batch.kind, *count_rows(connection, batch_id), len(sizes), sum(sizes))
        try:
            refuse_in_use(connection, batch_id)
        except BatchInUse as error:
            doomed.refused = str(error)
    return doomed


def delete(ledger: Ledger, doomed: Doomed) -> None:
    """Delete a batch's rows, then its files. Raises BatchInUse, and OSError when a file cannot be removed now."""
    removal = delete_rows(ledger, doomed.batch)
    doomed.left = remove_files(ledger, removal)
    doomed.deleted = True


def remove_files(ledger: Ledger, removal: Removal) -> list[str]:
    """Remove the files of a batch that has no rows any more, and its empty folders. Returns what is left in them.

    Only files that the ledger named, its own temporary files, its report, a script that was made of a manuscript
    unless a person edited it, and never through a link that leads out of the folder.
    Another batch that was served from these files has its own name (a hard link or a copy) for them.
    """
    output, folder = open_store(removal.out), removal.batch_id
    for name in removal.files:
        try:
            output.remove(f"{folder}/{name}")
        except StoreError as error:
            log.warning("%s is not removed: %s", name, error)
    try:
        for name in output.list(folder):
            own = is_staged(name) or name == report_name(folder)
            if own or (name in imported_names(folder) and not _is_edited(output, name)):
                output.remove(name)
        output.remove_empty_folders(folder)
        left = list(output.list(folder))
    except StoreError as error:  # the batch's folder has become a link that leads elsewhere
        log.warning("%s is not removed: %s", folder, error)
        left = [folder]
    removal_done(ledger, removal.batch_id)
    return [str(Path(removal.out) / name) for name in left]


def _is_edited(output: Store, name: str) -> bool:
    """Whether a person edited the script that was made of a manuscript."""
    return name.endswith(".yaml") and origin_of(output.read(name)).edited


def finish_removals(ledger: Ledger) -> None:
    """Remove the files of batches that a killed command had deleted from the ledger."""
    for removal in pending_removals(ledger):
        try:
            remove_files(ledger, removal)
        except OSError as error:
            log.warning("the files of %s cannot be removed now: %s", removal.batch_id, error)


def old_batches(ledger: Ledger, kind: BatchKind, older_than: timedelta) -> list[Doomed]:
    found = ended_before(ledger, [kind], earlier(ledger.now(), older_than.total_seconds()))
    return [examine(ledger, batch_id) for batch_id in found]


def prune_speech(ledger: Ledger, keep_days: int | None) -> int:
    """Delete one-off speech that ended more than `keep_days` ago; None keeps it. Returns how many batches."""
    finish_removals(ledger)
    if keep_days is None:
        return 0
    count = 0
    for doomed in old_batches(ledger, BatchKind.SPEECH, timedelta(days=keep_days)):
        if doomed.refused is not None:
            continue
        try:
            delete(ledger, doomed)
            count += 1
        except (BatchInUse, OSError) as error:
            log.warning("%s is kept for now: %s", doomed.batch, error)
    return count


def size_of(path: Path) -> int | None:
    """Bytes of a regular file; None for anything else."""
    try:
        found = path.lstat()
    except OSError:
        return None
    return found.st_size if stat.S_ISREG(found.st_mode) else None
