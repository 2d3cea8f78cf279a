"""The ledger's tables as SQLAlchemy Core sees them. `migrations` makes them; a test holds that the two agree.

Portable to PostgreSQL: text ids, UTC timestamps as ISO 8601 text that sorts by time, JSON with a variant.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    Dialect,
    Double,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    Table,
    Text,
    text,
)
from sqlalchemy.types import TypeDecorator, TypeEngine

metadata = MetaData()


class Json(TypeDecorator[Any]):
    """JSON, on PostgreSQL as JSONB; that dialect is loaded only where it is used, as it takes long to import."""

    impl = JSON
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        if dialect.name != "postgresql":
            return dialect.type_descriptor(JSON(none_as_null=True))
        from sqlalchemy.dialects.postgresql import JSONB

        return dialect.type_descriptor(JSONB(none_as_null=True))


# Partial indexes name their condition for SQLite only: `postgresql_where` would load that dialect with every command.
# The migrations make them for both, and tests compare.

BATCH_OPEN = ("open", "paused")
LINE_OPEN = ("queued", "rendering")

schema_version = Table("schema_version", metadata, Column("version", Integer, nullable=False))

batches = Table(
    "batches",
    metadata,
    Column("id", Text, primary_key=True),
    Column("title", Text, nullable=False),
    Column("script", Text, nullable=False),
    Column("fingerprint", Text, nullable=False),  # script content, model and output folder: what makes it the same work
    Column("model", Text),  # of --model or the script; lines may have their own
    Column("priority", Text, nullable=False),
    Column("out", Text, nullable=False),
    Column("state", Text, nullable=False),  # open, paused, done, failed, cancelled
    Column("created_at", Text, nullable=False),
    Column("ended_at", Text),
    Column("manifest_sha256", Text),  # of an ended batch; NULL: its manifest is still to be written
    Column("kind", Text, nullable=False, server_default="script"),  # script, speech (`vvbatch synth`), night, proof
    Column("book", Json),  # what the script says of the finished book: vvbatch.batch.book_order.BookOrder
    Index(
        "ux_batches_open_fingerprint",  # two submits of the same work at once make one batch
        "fingerprint",
        unique=True,
        sqlite_where=text("state IN ('open', 'paused')"),
    ),
    Index("ix_batches_kind", "kind", "created_at"),
    Index("ix_batches_fingerprint", "fingerprint", "state"),
    Index("ix_batches_created", "created_at"),
    Index("ix_batches_state", "state"),
)

lines = Table(
    "lines",
    metadata,
    Column("id", Text, primary_key=True),
    Column("batch_id", Text, ForeignKey("batches.id"), nullable=False),
    Column("line", Text, nullable=False),  # the id in the script
    Column("number", Integer, nullable=False),  # place in the batch, from 1
    Column("chapter", Integer, nullable=False),  # from 1
    Column("chapter_title", Text, nullable=False),
    Column("model", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("attempt", Integer, nullable=False),  # the newest take's number; fences late finishers
    Column("crashes", Integer, nullable=False),  # of its own: workers that died while they had only this line
    Column("key", Text, nullable=False),
    Column("control_hash", Text, nullable=False),
    Column("text", Text, nullable=False),  # as it is spoken
    Column("request", Json, nullable=False),
    Column("takes", Integer, nullable=False),
    Column("pause_after_s", Double, nullable=False),
    Column("take_id", Text),  # the take that is kept; of another batch when cached
    Column("path", Text),
    Column("sha256", Text),
    Column("error", Text),
    Column("worker", Text),
    Column("created_at", Text, nullable=False),
    Column("updated_at", Text, nullable=False),
    Column("suspicion", Integer, nullable=False, server_default="0"),  # deaths of workers that had other lines as well
    Column("trouble", Text),  # what went wrong last: crash, timeout, engine, resource, qc or input
    Column("troubles", Json),  # how often since the last submit or retry: {"engine": 1}
    Column("rolls", Integer, nullable=False, server_default="0"),  # seeds that are used up: they gave no good take
    Column("escalate", Json),  # when no take passes: vvbatch.batch.line_request.Escalation; NULL once it was used
    Column("tried", Json),  # the takes that were not kept, in order: vvbatch.ledger.records.TriedTake
    Column("written", Text),  # as the author wrote it; NULL: as it is spoken
    Column("part_of", Text),  # of a part: the id in the script of the line that was divided
    Column("part", Integer),  # its number among the line's parts, from 1
    Column("role", Text, nullable=False, server_default="line"),  # line, title (of its chapter)
    Column("break_after", Text, nullable=False, server_default="line"),  # what ends with it: line, paragraph, section
    Column("pause_given_s", Double),  # `pause_after_s` without the length of a section break; NULL: none given
    Column("script_line", Integer),  # where its text begins in the script, from 1; NULL in old rows and without a file
    Column("script_column", Integer),
    Index("ux_lines_batch_line", "batch_id", "line", unique=True),
    Index("ix_lines_batch_state", "batch_id", "state"),
    Index("ix_lines_batch_number", "batch_id", "number"),
    Index("ix_lines_state_model", "state", "model"),
)

books = Table(
    "books",  # the newest assembly of a batch with a preset
    metadata,
    Column("batch_id", Text, ForeignKey("batches.id"), primary_key=True),
    Column("preset", Text, primary_key=True),
    Column("levels", Json, nullable=False),  # vvbatch.book.gains.Levels: held by later assemblies of the same script
    Column("made_at", Text, nullable=False),
    Index("ix_books_made", "made_at"),
)

book_files = Table(
    "book_files",
    metadata,
    Column("batch_id", Text, ForeignKey("batches.id"), primary_key=True),
    Column("path", Text, primary_key=True),
    Column("format", Text, nullable=False),
    Column("preset", Text, nullable=False),
    Column("sha256", Text, nullable=False),
    Column("size_bytes", BigInteger, nullable=False),
    Column("duration_s", Double, nullable=False),
    Column("made_at", Text, nullable=False),
)

takes = Table(
    "takes",
    metadata,
    Column("id", Text, primary_key=True),
    Column("batch_id", Text, ForeignKey("batches.id"), nullable=False),
    Column("line_id", Text, ForeignKey("lines.id"), nullable=False),
    Column("attempt", Integer, nullable=False),
    Column("state", Text, nullable=False),
    Column("key", Text, nullable=False),
    Column("profile", Text, nullable=False),
    Column("engine", Text, nullable=False),
    Column("model", Text, nullable=False),
    Column("revision", Text, nullable=False),
    Column("device", Text, nullable=False),
    Column("dtype", Text, nullable=False),
    Column("voices", Json, nullable=False),
    Column("seed", BigInteger, nullable=False),
    Column("params", Json, nullable=False),
    Column("control_hash", Text, nullable=False),
    Column("text", Text, nullable=False),
    Column("path", Text),
    Column("sha256", Text),
    Column("size_bytes", Integer),
    Column("duration_s", Double),
    Column("wall_s", Double),
    Column("rtf", Double),
    Column("first_chunk_s", Double),
    Column("peak_dbfs", Double),
    Column("loudness_lufs", Double),
    Column("metrics", Json),
    Column("error", Text),
    Column("worker", Text, nullable=False),
    Column("created_at", Text, nullable=False),
    Column("ended_at", Text),
    Column("score", Double),  # 0 to 1, of its checks: vvbatch.qc.check.score
    Column("chosen", Text),  # why it was kept, or which take was kept instead
    Column("written", Text),  # as in `lines`
    Column("rejected_at", Text),  # when, by whom and why somebody who listened to it rejected it
    Column("rejected_by", Text),
    Column("rejected_why", Text),
    Index("ux_takes_line_attempt", "line_id", "attempt", unique=True),
    Index(
        "ux_takes_one_done_a_line",
        "line_id",
        unique=True,
        sqlite_where=text("state = 'done'"),
    ),
    Index("ix_takes_done_key", "key", sqlite_where=text("state = 'done'")),
    Index("ix_takes_rejected_key", "key", "seed", sqlite_where=text("state = 'rejected'")),
    Index("ix_takes_batch", "batch_id", "created_at"),
    Index("ix_takes_created", "created_at"),
    Index("ix_takes_profile_ended", "profile", "ended_at"),
    Index("ix_takes_ended", "ended_at"),
    Index(
        "ix_takes_rendering",
        "worker",
        sqlite_where=text("state = 'rendering'"),
    ),
)

qc_results = Table(
    "qc_results",
    metadata,
    Column("take_id", Text, ForeignKey("takes.id"), primary_key=True),
    Column("position", Integer, primary_key=True),
    Column("name", Text, nullable=False),
    Column("value", Json),
    Column("limit", Json),
    Column("ok", Boolean, nullable=False),
    Column("weight", Double),
    Column("detail", Json),
)

workers = Table(
    "workers",
    metadata,
    Column("id", Text, primary_key=True),
    Column("profile", Text, nullable=False),
    Column("host", Text, nullable=False),
    Column("pid", Integer, nullable=False),
    Column("state", Text, nullable=False),  # running, stopped
    Column("facts", Json, nullable=False),
    Column("started_at", Text, nullable=False),
    Column("ended_at", Text),
    Index("ix_workers_started", "started_at"),
)

events = Table(
    "events",
    metadata,
    Column("id", Text, primary_key=True),
    Column("at", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("batch_id", Text),
    Column("line_id", Text),
    Column("worker", Text),
    Column("detail", Json),
    Index("ix_events_at", "at"),
    Index("ix_events_batch", "batch_id", "at"),
)

queues = Table(
    "queues",  # only queues that are paused have a row
    metadata,
    Column("name", Text, primary_key=True),
    Column("paused_at", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("probe", Text),  # a folder: the queue resumes automatically when it takes files again
    Column("need_bytes", BigInteger),
)

removals = Table(
    "removals",  # batches that were deleted and whose files may still be there
    metadata,
    Column("batch_id", Text, primary_key=True),
    Column("out", Text, nullable=False),
    Column("files", Json, nullable=False),  # paths in the batch's folder
    Column("at", Text, nullable=False),
)

nights = Table(
    "nights",  # of a regression suite: one row a run
    metadata,
    Column("id", Text, primary_key=True),
    Column("suite", Text, nullable=False),
    Column("profile", Text, nullable=False),
    Column("batch_id", Text, ForeignKey("batches.id")),
    Column("state", Text, nullable=False),  # running, ended, interrupted
    Column("verdict", Text),  # same, equivalent, changed, unblessed, worse
    Column("reasons", Json),  # of the night as a whole
    Column("speed", Json),  # medians over its takes
    Column("facts", Json),  # engine, versions, machine
    Column("started_at", Text, nullable=False),
    Column("ended_at", Text),
    Column("pruned_at", Text),  # when its audio was removed
    Index("ix_nights_suite", "suite", "profile", "started_at"),
)

baselines = Table(
    "baselines",  # blessed takes; only `retired_at` changes, when another replaces it
    metadata,
    Column("id", Text, primary_key=True),
    Column("suite", Text, nullable=False),
    Column("profile", Text, nullable=False),
    Column("line", Text, nullable=False),  # the id in the suite
    Column("text", Text, nullable=False),
    Column("night_id", Text, ForeignKey("nights.id"), nullable=False),
    Column("take_id", Text, ForeignKey("takes.id"), nullable=False),
    Column("path", Text, nullable=False),  # in the home folder
    Column("sha256", Text, nullable=False),
    Column("facts", Json, nullable=False),  # what rendered it: engine, versions, machine, seed, control hash
    Column("blessed_at", Text, nullable=False),
    Column("blessed_by", Text, nullable=False),
    Column("why", Text, nullable=False),
    Column("retired_at", Text),
    Index(
        "ux_baselines_one_a_line",
        "suite",
        "profile",
        "line",
        unique=True,
        sqlite_where=text("retired_at IS NULL"),
    ),
)

verdicts = Table(
    "verdicts",  # of a night's lines
    metadata,
    Column("night_id", Text, ForeignKey("nights.id"), primary_key=True),
    Column("position", Integer, primary_key=True),
    Column("line", Text, nullable=False),
    Column("take_id", Text, ForeignKey("takes.id")),
    Column("baseline_id", Text, ForeignKey("baselines.id")),
    Column("verdict", Text, nullable=False),
    Column("reasons", Json, nullable=False),
    Column("measures", Json, nullable=False),
)

schedules = Table(
    "schedules",  # suites that run automatically
    metadata,
    Column("suite", Text, primary_key=True),
    Column("profile", Text),
    Column("cron", Text, nullable=False),
    Column("since", Text, nullable=False),
)
