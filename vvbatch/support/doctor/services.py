"""The queue's server, the ledger, the workers, and the newest failures."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path

import redis
from sqlalchemy import make_url
from sqlalchemy.exc import ArgumentError

from vvbatch.home import Home
from vvbatch.ledger import Ledger, LedgerError
from vvbatch.ledger.database import open_database, refuse_unsafe_file_system
from vvbatch.ledger.overview import overview
from vvbatch.regress import schedule
from vvbatch.support.doctor.finding import Finding
from vvbatch.transport import queue, server
from vvbatch.transport.connection import ServerUnreachable, connect, remedy, server_url, without_password

SHOWN = 3  # of the problems that SQLite lists


def server_program(home: Home) -> Iterator[Finding]:
    if home.redis_url:
        return
    try:
        binary = server.find_binaries()[0]
    except ServerUnreachable as error:
        yield Finding("queue: program", False, str(error), "install valkey or redis 7, or set VVBATCH_REDIS_URL")
        return
    version = ".".join(map(str, server.version_of(binary)))
    yield Finding("queue: program", True, f"{binary}, version {version}")


def queue_server(home: Home) -> Iterator[Finding]:
    try:
        connection = connect(home)
    except ServerUnreachable as error:
        if home.redis_url:
            yield Finding("queue", False, str(error), remedy(home))
        else:
            yield Finding("queue", True, "the home folder's own server is not running", "vvbatch up")
        return
    facts = {**connection.info("server"), **connection.info("persistence"), **connection.info("memory")}
    connection.close()
    version = facts.get("valkey_version") or facts.get("redis_version")
    yield Finding("queue", True, f"{without_password(server_url(home))} answers, version {version}")
    on, written = facts.get("aof_enabled") == 1, facts.get("aof_last_write_status", "ok") == "ok"
    words = f"append-only file {'on' if on else 'off'}, last write {'good' if written else 'failed'}"
    fix = "set  appendonly yes  on that server: without it a crash loses the queue until a worker restores it"
    if on and not written:
        fix = f"make room on the server's disk; see {server.log_file(home)}"
    yield Finding("queue: durability", on and written, words, None if on and written else fix)
    policy = facts.get("maxmemory_policy", "noeviction")
    kept = policy == "noeviction"
    yield Finding(
        "queue: memory", kept, f"maxmemory-policy {policy}", None if kept else "set  maxmemory-policy noeviction"
    )


def ledger_file(home: Home) -> Path | None:
    """The ledger's file; None for a server's address or an invalid URL."""
    try:
        url = make_url(home.ledger_url)
    except ArgumentError:
        return None
    return Path(url.database or "") if url.get_backend_name() == "sqlite" else None


def ledger(home: Home) -> Iterator[Finding]:
    file = ledger_file(home)
    if file is None:
        try:
            open_database(home.ledger_url, migrate=False).dispose()
        except LedgerError as error:
            yield Finding("ledger", False, str(error), "start that server, or fix VVBATCH_LEDGER_URL")
        else:
            yield Finding("ledger", True, f"{make_url(home.ledger_url).render_as_string(hide_password=True)} answers")
        return
    if not file.exists():
        yield Finding("ledger", True, f"{file} does not exist yet", "vvbatch run SCRIPT")
        return
    yield from sqlite_file(file)
    try:
        refuse_unsafe_file_system(file)
        open_database(home.ledger_url, migrate=False).dispose()
    except LedgerError as error:
        yield Finding(
            "ledger: place and version",
            False,
            str(error),
            "set VVBATCH_HOME to a folder on a local disk, or upgrade vvbatch",
        )
    else:
        yield Finding("ledger: place and version", True, "on a local disk, of a version that this vvbatch knows")


def sqlite_file(file: Path) -> Iterator[Finding]:
    """SQLite's own checks of the file, over a read-only connection."""
    restore = f"restore {file} from a backup (copies from before an upgrade: {file}.v*), or move it away"
    try:
        with closing(sqlite3.connect(f"{file.absolute().as_uri()}?mode=ro", uri=True)) as connection:
            said = [row[0] for row in connection.execute("PRAGMA integrity_check").fetchall()]
            said += [
                f"a row of {row[0]} refers to a missing row" for row in connection.execute("PRAGMA foreign_key_check")
            ]
            mode = connection.execute("PRAGMA journal_mode").fetchone()[0]
    except sqlite3.Error as error:
        yield Finding("ledger", False, f"{file} cannot be read: {error}", restore)
        return
    problems = [line for line in said if line != "ok"]
    words = f"{file}, {file.stat().st_size / 1e6:.1f} MB, " + ("; ".join(problems[:SHOWN]) or "intact")
    yield Finding("ledger", not problems, words, restore if problems else None)
    wal = mode == "wal"
    yield Finding("ledger: journal", wal, f"journal mode {mode}", None if wal else "vvbatch status  (sets it to WAL)")


def open_ledger(home: Home) -> Ledger | None:
    """The ledger if it exists and can be opened; another check reports what is wrong with it."""
    file = ledger_file(home)
    if file is not None and not file.exists():
        return None
    try:
        return Ledger(home.ledger_url)
    except LedgerError:
        return None


def living(home: Home, names: Sequence[str]) -> set[str] | None:
    """Which of these workers have a heartbeat; None when the queue's server does not answer."""
    try:
        with connect(home) as connection:
            return queue.alive(connection, names)
    except (ServerUnreachable, redis.exceptions.RedisError):
        return None


def workers(home: Home) -> Iterator[Finding]:
    book = open_ledger(home)
    if book is None:
        return
    with closing(book):
        seen = overview(book)
    names = [each.worker for each in seen.workers]
    alive = living(home, names)
    if alive is None:  # their heartbeats are in the queue's server: without it no worker is known to be dead
        rendering = [each.worker for each in seen.workers if each.rendering]
        words = "unknown: the queue's server does not answer"
        words += f"; with lines in flight: {', '.join(rendering)}" if rendering else ""
        yield Finding("workers", True, words, remedy(home) if rendering else None)
    else:
        stuck = [each.worker for each in seen.workers if each.worker not in alive and each.rendering]
        words = f"{len(alive)} alive" + (f"; dead with lines in flight: {', '.join(stuck)}" if stuck else "")
        recover = "vvbatch up  (a running worker re-queues the lines of a dead one)"
        yield Finding("workers", not stuck, words, recover if stuck else None)
    served = {each.profile for each in seen.workers if alive is None or each.worker in alive}
    for each in seen.queues:
        if each.waiting and each.profile not in served:
            words = f"no worker, and {each.waiting} in the queue"
            yield Finding(f"queue of {each.profile}", True, words, f"vvbatch up --workers {each.profile}")
        if each.paused:
            yield Finding(
                f"queue of {each.profile}",
                True,
                f"paused: {each.paused}",
                f"vvbatch resume --queue {each.profile}",
            )


def failures(home: Home) -> Iterator[Finding]:
    book = open_ledger(home)
    if book is None:
        return
    with closing(book):
        newest = overview(book).failures
    for each in newest:
        yield Finding(f"failed: {each.batch} {each.line}", True, f"{each.error}", f"vvbatch retry {each.batch}")


def missed_nights(home: Home) -> Iterator[Finding]:
    book = open_ledger(home)
    if book is None:
        return
    with closing(book):
        rows = schedule.overview(book)
    for row in rows:
        count, name = len(row.missed), f"nights: {Path(row.suite).stem}"
        if count:
            yield Finding(name, False, f"{count} missed, the last due {row.missed[-1]}", "vvbatch up")
        else:
            yield Finding(name, True, f"none missed, the next is due {row.next}")
