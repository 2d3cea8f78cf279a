"""The end of a batch: its final state in the ledger, then its manifest next to the audio."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from pathlib import Path

import msgspec
from msgspec import Struct
from sqlalchemy import select

from vvbatch import fault_points, store
from vvbatch.ledger import Ledger
from vvbatch.ledger.recovery import manifest_written
from vvbatch.ledger.schema import batches, lines, takes

log = logging.getLogger("vvbatch.batch.finish")


def end_if_complete(ledger: Ledger, batch_id: str) -> bool:
    """End the batch when no line of it is open. Returns whether this call ended it."""
    ended = ledger.settle(batch_id) is not None
    if ended:
        fault_points.point("batch.settled")
        try_to_write_manifest(ledger, batch_id)
    return ended


def try_to_write_manifest(ledger: Ledger, batch_id: str) -> None:
    """A manifest that cannot be written now is missing in the ledger: the next look writes it."""
    try:
        write_manifest(ledger, batch_id)
    except (OSError, store.StoreError) as error:
        log.warning("the manifest of %s cannot be written now: %s", batch_id, error)


def write_manifest(ledger: Ledger, batch_id: str) -> None:
    """`OUT/<batch>/manifest.json`: what each file is, for whoever has the folder without the ledger.

    Raises OSError, and StoreError when a link leads out of the output folder.
    """
    folder, document = manifest(ledger, batch_id)
    store.confine(folder.parent, f"{batch_id}/manifest.json")
    store.sweep(folder, 0.0, time.time())  # nothing is being written any more: killed workers left these
    written = store.write_manifest(folder / "manifest.json", msgspec.to_builtins(document))
    fault_points.point("manifest.written")
    manifest_written(ledger, batch_id, written.sha256)


class ManifestLine(Struct):
    id: str
    chapter: int
    chapter_title: str
    state: str
    path: str | None  # relative to the batch's folder
    sha256: str | None
    duration_s: float | None
    loudness_lufs: float | None
    pause_after_s: float
    model: str
    profile: str
    voices: Sequence[str]
    seed: int | None
    take: str | None
    text: str
    error: str | None


class Manifest(Struct):
    batch: str
    title: str
    script: str
    state: str
    created_at: str
    ended_at: str | None
    lines: Sequence[ManifestLine]


def manifest(ledger: Ledger, batch_id: str) -> tuple[Path, Manifest]:
    """The batch's folder and what its manifest says; paths are relative to the folder."""
    with ledger.engine.connect() as connection:
        batch = connection.execute(select(batches).where(batches.c.id == batch_id)).mappings().one()
        rows = connection.execute(
            select(lines, takes.c.duration_s, takes.c.seed, takes.c.loudness_lufs, takes.c.voices)
            .join_from(lines, takes, takes.c.id == lines.c.take_id, isouter=True)
            .where(lines.c.batch_id == batch_id)
            .order_by(lines.c.number)
        ).mappings()
        folder = Path(batch["out"]) / batch_id
        return folder, Manifest(
            batch=batch_id,
            title=batch["title"],
            script=batch["script"],
            state=batch["state"],
            created_at=batch["created_at"],
            ended_at=batch["ended_at"],
            lines=[
                ManifestLine(
                    id=row["line"],
                    chapter=row["chapter"],
                    chapter_title=row["chapter_title"],
                    state=row["state"],
                    path=str(Path(row["path"]).relative_to(folder)) if row["path"] else None,
                    sha256=row["sha256"],
                    duration_s=row["duration_s"],
                    loudness_lufs=row["loudness_lufs"],
                    pause_after_s=row["pause_after_s"],
                    model=row["model"],
                    profile=row["model"],
                    voices=[voice["name"] for voice in row["request"]["voices"]],
                    seed=row["seed"],
                    take=row["take_id"],
                    text=row["text"],
                    error=row["error"],
                )
                for row in rows
            ],
        )
