"""The ledger's schema, version by version. A migration is a function that brings the one before it one further.

Never edit a migration that was released: add one. Each is written out in SQL, so that later changes of `schema` cannot
change what an old version was.
"""

from __future__ import annotations

from collections.abc import Callable

from sqlalchemy import Connection

MIGRATIONS: list[Callable[[Connection], None]] = []


def migration(function: Callable[[Connection], None]) -> Callable[[Connection], None]:
    MIGRATIONS.append(function)
    return function


def run(connection: Connection, statements: str) -> None:
    """Execute `;`-separated statements; JSON columns are JSONB on PostgreSQL."""
    json_type = "JSONB" if connection.dialect.name == "postgresql" else "JSON"
    for statement in statements.split(";"):
        if statement.strip():
            connection.exec_driver_sql(statement.replace("JSON_TYPE", json_type))


@migration
def first_tables(connection: Connection) -> None:
    run(
        connection,
        """
        CREATE TABLE batches (
            id TEXT NOT NULL PRIMARY KEY, title TEXT NOT NULL, script TEXT NOT NULL, fingerprint TEXT NOT NULL,
            model TEXT, priority TEXT NOT NULL, "out" TEXT NOT NULL, state TEXT NOT NULL,
            created_at TEXT NOT NULL, ended_at TEXT);
        CREATE INDEX ix_batches_fingerprint ON batches (fingerprint, state);
        CREATE INDEX ix_batches_created ON batches (created_at);
        CREATE INDEX ix_batches_state ON batches (state);
        CREATE TABLE lines (
            id TEXT NOT NULL PRIMARY KEY, batch_id TEXT NOT NULL REFERENCES batches (id), line TEXT NOT NULL,
            number INTEGER NOT NULL, chapter INTEGER NOT NULL, chapter_title TEXT NOT NULL, model TEXT NOT NULL,
            state TEXT NOT NULL, attempt INTEGER NOT NULL, crashes INTEGER NOT NULL, key TEXT NOT NULL,
            control_hash TEXT NOT NULL, text TEXT NOT NULL, request JSON_TYPE NOT NULL, takes INTEGER NOT NULL,
            pause_after_s DOUBLE PRECISION NOT NULL, take_id TEXT, path TEXT, sha256 TEXT, error TEXT, worker TEXT,
            created_at TEXT NOT NULL, updated_at TEXT NOT NULL);
        CREATE UNIQUE INDEX ux_lines_batch_line ON lines (batch_id, line);
        CREATE INDEX ix_lines_batch_state ON lines (batch_id, state);
        CREATE INDEX ix_lines_batch_number ON lines (batch_id, number);
        CREATE INDEX ix_lines_state_model ON lines (state, model);
        CREATE TABLE takes (
            id TEXT NOT NULL PRIMARY KEY, batch_id TEXT NOT NULL REFERENCES batches (id),
            line_id TEXT NOT NULL REFERENCES lines (id), attempt INTEGER NOT NULL, state TEXT NOT NULL,
            key TEXT NOT NULL, profile TEXT NOT NULL, engine TEXT NOT NULL, model TEXT NOT NULL,
            revision TEXT NOT NULL, device TEXT NOT NULL, dtype TEXT NOT NULL, voices JSON_TYPE NOT NULL,
            seed BIGINT NOT NULL, params JSON_TYPE NOT NULL, control_hash TEXT NOT NULL, text TEXT NOT NULL,
            path TEXT, sha256 TEXT, size_bytes INTEGER, duration_s DOUBLE PRECISION, wall_s DOUBLE PRECISION,
            rtf DOUBLE PRECISION, first_chunk_s DOUBLE PRECISION, peak_dbfs DOUBLE PRECISION,
            loudness_lufs DOUBLE PRECISION, metrics JSON_TYPE, error TEXT, worker TEXT NOT NULL,
            created_at TEXT NOT NULL, ended_at TEXT);
        CREATE UNIQUE INDEX ux_takes_line_attempt ON takes (line_id, attempt);
        CREATE UNIQUE INDEX ux_takes_one_done_a_line ON takes (line_id) WHERE state = 'done';
        CREATE INDEX ix_takes_done_key ON takes (key) WHERE state = 'done';
        CREATE INDEX ix_takes_batch ON takes (batch_id, created_at);
        CREATE INDEX ix_takes_created ON takes (created_at);
        CREATE INDEX ix_takes_profile_ended ON takes (profile, ended_at);
        CREATE TABLE qc_results (
            take_id TEXT NOT NULL REFERENCES takes (id), position INTEGER NOT NULL, name TEXT NOT NULL,
            value JSON_TYPE, "limit" JSON_TYPE, ok BOOLEAN NOT NULL, PRIMARY KEY (take_id, position));
        CREATE TABLE workers (
            id TEXT NOT NULL PRIMARY KEY, profile TEXT NOT NULL, host TEXT NOT NULL, pid INTEGER NOT NULL,
            state TEXT NOT NULL, facts JSON_TYPE NOT NULL, started_at TEXT NOT NULL, ended_at TEXT);
        CREATE INDEX ix_workers_started ON workers (started_at);
        CREATE TABLE events (
            id TEXT NOT NULL PRIMARY KEY, at TEXT NOT NULL, kind TEXT NOT NULL, batch_id TEXT, line_id TEXT,
            worker TEXT, detail JSON_TYPE);
        CREATE INDEX ix_events_at ON events (at);
        CREATE INDEX ix_events_batch ON events (batch_id, at);
        """,
    )


@migration
def paused_queues(connection: Connection) -> None:
    run(
        connection,
        "CREATE TABLE queues (name TEXT NOT NULL PRIMARY KEY, paused_at TEXT NOT NULL, reason TEXT NOT NULL)",
    )


@migration
def takes_by_time_and_takes_in_work(connection: Connection) -> None:
    run(
        connection,
        """
        CREATE INDEX ix_takes_ended ON takes (ended_at);
        CREATE INDEX ix_takes_rendering ON takes (worker) WHERE state = 'rendering'
        """,
    )


@migration
def troubles_of_lines_and_pauses_that_end_themselves(connection: Connection) -> None:
    run(
        connection,
        """
        ALTER TABLE lines ADD COLUMN suspicion INTEGER NOT NULL DEFAULT 0;
        ALTER TABLE lines ADD COLUMN trouble TEXT;
        ALTER TABLE lines ADD COLUMN troubles JSON_TYPE;
        ALTER TABLE queues ADD COLUMN probe TEXT;
        ALTER TABLE queues ADD COLUMN need_bytes BIGINT;
        ALTER TABLE batches ADD COLUMN manifest_sha256 TEXT;
        UPDATE batches SET manifest_sha256 = '' WHERE ended_at IS NOT NULL
        """,
    )


@migration
def scores_and_escalations(connection: Connection) -> None:
    """From now on only the kept audio of a take that was not chosen has a path; one whose file was lost had one too."""
    run(
        connection,
        """
        ALTER TABLE takes ADD COLUMN score DOUBLE PRECISION;
        ALTER TABLE takes ADD COLUMN chosen TEXT;
        ALTER TABLE qc_results ADD COLUMN weight DOUBLE PRECISION;
        ALTER TABLE qc_results ADD COLUMN detail JSON_TYPE;
        ALTER TABLE lines ADD COLUMN rolls INTEGER NOT NULL DEFAULT 0;
        ALTER TABLE lines ADD COLUMN escalate JSON_TYPE;
        ALTER TABLE lines ADD COLUMN tried JSON_TYPE;
        UPDATE takes SET path = NULL WHERE state = 'superseded'
        """,
    )


@migration
def regression_nights(connection: Connection) -> None:
    run(
        connection,
        """
        CREATE TABLE nights (
            id TEXT NOT NULL PRIMARY KEY, suite TEXT NOT NULL, profile TEXT NOT NULL,
            batch_id TEXT REFERENCES batches (id), state TEXT NOT NULL, verdict TEXT, reasons JSON_TYPE,
            speed JSON_TYPE, facts JSON_TYPE, started_at TEXT NOT NULL, ended_at TEXT, pruned_at TEXT);
        CREATE INDEX ix_nights_suite ON nights (suite, profile, started_at);
        CREATE TABLE baselines (
            id TEXT NOT NULL PRIMARY KEY, suite TEXT NOT NULL, profile TEXT NOT NULL, line TEXT NOT NULL,
            text TEXT NOT NULL, night_id TEXT NOT NULL REFERENCES nights (id),
            take_id TEXT NOT NULL REFERENCES takes (id), path TEXT NOT NULL, sha256 TEXT NOT NULL,
            facts JSON_TYPE NOT NULL, blessed_at TEXT NOT NULL, blessed_by TEXT NOT NULL, why TEXT NOT NULL,
            retired_at TEXT);
        CREATE UNIQUE INDEX ux_baselines_one_a_line ON baselines (suite, profile, line) WHERE retired_at IS NULL;
        CREATE TABLE verdicts (
            night_id TEXT NOT NULL REFERENCES nights (id), position INTEGER NOT NULL, line TEXT NOT NULL,
            take_id TEXT REFERENCES takes (id), baseline_id TEXT REFERENCES baselines (id), verdict TEXT NOT NULL,
            reasons JSON_TYPE NOT NULL, measures JSON_TYPE NOT NULL, PRIMARY KEY (night_id, position));
        CREATE TABLE schedules (suite TEXT NOT NULL PRIMARY KEY, profile TEXT, cron TEXT NOT NULL, since TEXT NOT NULL)
        """,
    )


@migration
def kinds_of_batches_and_one_open_batch_for_the_same_work(connection: Connection) -> None:
    """Of open batches for the same work only the newest keeps its fingerprint; all stay, and are rendered."""
    run(
        connection,
        """
        ALTER TABLE batches ADD COLUMN kind TEXT NOT NULL DEFAULT 'script';
        UPDATE batches SET kind = 'speech' WHERE script = 'TEXT';
        UPDATE batches SET kind = 'night' WHERE id IN (SELECT batch_id FROM nights);
        UPDATE batches SET fingerprint = fingerprint || ' ' || id
            WHERE state IN ('open', 'paused') AND EXISTS (
                SELECT 1 FROM batches newer WHERE newer.fingerprint = batches.fingerprint
                    AND newer.state IN ('open', 'paused')
                    AND (newer.created_at > batches.created_at
                        OR newer.created_at = batches.created_at AND newer.id > batches.id));
        CREATE UNIQUE INDEX ux_batches_open_fingerprint ON batches (fingerprint) WHERE state IN ('open', 'paused');
        CREATE INDEX ix_batches_kind ON batches (kind, created_at);
        CREATE TABLE removals (
            batch_id TEXT NOT NULL PRIMARY KEY, "out" TEXT NOT NULL, files JSON_TYPE NOT NULL, at TEXT NOT NULL)
        """,
    )


@migration
def texts_as_they_were_written(connection: Connection) -> None:
    run(
        connection,
        """
        ALTER TABLE lines ADD COLUMN written TEXT;
        ALTER TABLE takes ADD COLUMN written TEXT
        """,
    )


@migration
def parts_titles_and_breaks(connection: Connection) -> None:
    """Older rows do not say whether a silence was given or is that of a section break: it counts as given."""
    run(
        connection,
        """
        ALTER TABLE lines ADD COLUMN part_of TEXT;
        ALTER TABLE lines ADD COLUMN part INTEGER;
        ALTER TABLE lines ADD COLUMN role TEXT NOT NULL DEFAULT 'line';
        ALTER TABLE lines ADD COLUMN break_after TEXT NOT NULL DEFAULT 'line';
        ALTER TABLE lines ADD COLUMN pause_given_s DOUBLE PRECISION;
        UPDATE lines SET pause_given_s = pause_after_s WHERE pause_after_s > 0
        """,
    )


@migration
def finished_books(connection: Connection) -> None:
    run(
        connection,
        """
        ALTER TABLE batches ADD COLUMN book JSON_TYPE;
        CREATE TABLE books (
            batch_id TEXT NOT NULL REFERENCES batches (id), preset TEXT NOT NULL, levels JSON_TYPE NOT NULL,
            made_at TEXT NOT NULL, PRIMARY KEY (batch_id, preset));
        CREATE INDEX ix_books_made ON books (made_at);
        CREATE TABLE book_files (
            batch_id TEXT NOT NULL REFERENCES batches (id), path TEXT NOT NULL, format TEXT NOT NULL,
            preset TEXT NOT NULL, sha256 TEXT NOT NULL, size_bytes BIGINT NOT NULL,
            duration_s DOUBLE PRECISION NOT NULL, made_at TEXT NOT NULL, PRIMARY KEY (batch_id, path))
        """,
    )


@migration
def places_of_lines_in_their_script(connection: Connection) -> None:
    run(
        connection,
        """
        ALTER TABLE lines ADD COLUMN script_line INTEGER;
        ALTER TABLE lines ADD COLUMN script_column INTEGER
        """,
    )


@migration
def rejected_takes(connection: Connection) -> None:
    run(
        connection,
        """
        ALTER TABLE takes ADD COLUMN rejected_at TEXT;
        ALTER TABLE takes ADD COLUMN rejected_by TEXT;
        ALTER TABLE takes ADD COLUMN rejected_why TEXT;
        CREATE INDEX ix_takes_rejected_key ON takes (key, seed) WHERE state = 'rejected'
        """,
    )
