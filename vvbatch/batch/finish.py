"""The end of a batch: its final state in the ledger, then its manifest next to the audio."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence

import msgspec
from msgspec import Struct
from sqlalchemy import select

from vvbatch import fault_points, store
from vvbatch.batch.output import manifest_name, name_of, open_store
from vvbatch.ledger import Ledger
from vvbatch.ledger.batches import settle_batch
from vvbatch.ledger.recovery import manifest_written
from vvbatch.ledger.schema import batches, lines, takes

log = logging.getLogger("vvbatch.batch.finish")


def end_if_complete(ledger: Ledger, batch_id: str) -> bool:
    """End the batch when no line of it is open. Returns whether this call ended it."""
    ended = settle_batch(ledger, batch_id) is not None
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
    out, document = manifest(ledger, batch_id)
    output = open_store(out)
    output.sweep(batch_id, 0.0, time.time())  # left by killed workers: nothing is being written any more
    with output.stage(manifest_name(batch_id), store.json_bytes(msgspec.to_builtins(document))) as staged:
        staged.publish()
    fault_points.point("manifest.written")
    manifest_written(ledger, batch_id, staged.sha256)


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
    role: str
    part_of: str | None
    part: int | None
    break_after: str
    pause_given_s: float | None


class Manifest(Struct):
    batch: str
    title: str
    script: str
    state: str
    created_at: str
    ended_at: str | None
    lines: Sequence[ManifestLine]


def manifest(ledger: Ledger, batch_id: str) -> tuple[str, Manifest]:
    """The output that the batch is written to, and its manifest; paths are relative to the batch's folder."""
    with ledger.engine.connect() as connection:
        batch = connection.execute(select(batches).where(batches.c.id == batch_id)).mappings().one()
        rows = connection.execute(
            select(lines, takes.c.duration_s, takes.c.seed, takes.c.loudness_lufs, takes.c.voices)
            .join_from(lines, takes, takes.c.id == lines.c.take_id, isouter=True)
            .where(lines.c.batch_id == batch_id)
            .order_by(lines.c.number)
        ).mappings()
        out = batch["out"]
        return out, Manifest(
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
                    path=name_of(out, row["path"]).removeprefix(f"{batch_id}/") if row["path"] else None,
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
                    role=row["role"],
                    part_of=row["part_of"],
                    part=row["part"],
                    break_after=row["break_after"],
                    pause_given_s=row["pause_given_s"],
                )
                for row in rows
            ],
        )
