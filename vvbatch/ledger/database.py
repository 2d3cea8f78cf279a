"""Opening the ledger's database: pragmas, write transactions, migrations on a copy, and what is refused."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import psutil
from sqlalchemy import Connection, Engine, create_engine, event, inspect, make_url, select
from sqlalchemy.exc import DBAPIError

from vvbatch.ledger import schema
from vvbatch.ledger.migrations import MIGRATIONS

BUSY_TIMEOUT_S = 20
NETWORK_FILE_SYSTEMS = {
    "nfs",
    "nfs4",
    "cifs",
    "smbfs",
    "smb3",
    "afpfs",
    "webdav",
    "fuse.sshfs",
    "9p",
    "ceph",
    "glusterfs",
}


class LedgerError(Exception):
    """The ledger cannot be used; the message names the place and the remedy."""


def open_database(url: str, *, migrate: bool = True) -> Engine:
    """An engine for the ledger at `url`, brought to the newest schema. Raises LedgerError."""
    parsed = make_url(url)
    shown = parsed.render_as_string(hide_password=True)
    try:
        if parsed.get_backend_name() != "sqlite":
            engine = create_engine(parsed, pool_pre_ping=True)
        else:
            file = Path(parsed.database or "")
            refuse_network_file_system(file)
            file.parent.mkdir(parents=True, exist_ok=True)
            engine = create_engine(parsed, connect_args={"timeout": BUSY_TIMEOUT_S, "check_same_thread": False})
            event.listen(engine, "connect", set_pragmas)
            event.listen(engine, "begin", begin)
        bring_up_to_date(engine, shown, migrate=migrate)
    except (DBAPIError, OSError) as error:
        cause = error.orig if isinstance(error, DBAPIError) else error
        raise LedgerError(f"the ledger {shown} cannot be opened: {cause}") from error
    return engine


def set_pragmas(connection: sqlite3.Connection, _record: object) -> None:
    connection.isolation_level = None  # pysqlite would begin transactions of its own, and never IMMEDIATE
    for pragma in ("journal_mode = WAL", "synchronous = FULL", "foreign_keys = ON"):
        connection.execute(f"PRAGMA {pragma}")


def begin(connection: Connection) -> None:
    # A deferred transaction that later wants to write fails at once when another writer came between.
    connection.exec_driver_sql("BEGIN IMMEDIATE" if connection.get_execution_options().get("write") else "BEGIN")


@contextmanager
def write(engine: Engine) -> Iterator[Connection]:
    """A transaction that may write, committed at the end of the block."""
    with engine.connect().execution_options(write=True) as connection, connection.begin():
        yield connection


def bring_up_to_date(engine: Engine, shown: str, *, migrate: bool) -> None:
    version = current_version(engine)
    newest = len(MIGRATIONS)
    if version > newest:
        raise LedgerError(
            f"the ledger {shown} has schema version {version}; this vvbatch knows up to {newest}: upgrade vvbatch"
        )
    if version == newest or not migrate:
        return
    if version and engine.dialect.name == "sqlite":
        keep_a_copy(Path(str(engine.url.database)), version)
    with write(engine) as connection:
        version = version_in(connection)  # another process may have been faster
        if version == 0:
            schema.schema_version.create(connection, checkfirst=True)
            connection.execute(schema.schema_version.insert().values(version=0))
        for number, step in enumerate(MIGRATIONS[version:], start=version + 1):
            step(connection)
            connection.execute(schema.schema_version.update().values(version=number))


def current_version(engine: Engine) -> int:
    with engine.connect() as connection:
        return version_in(connection)


def version_in(connection: Connection) -> int:
    if not inspect(connection).has_table("schema_version"):
        return 0
    return connection.execute(select(schema.schema_version.c.version)).scalar() or 0


def keep_a_copy(file: Path, version: int) -> None:
    """Copy the SQLite file with its own backup, which sees a consistent state, before a migration touches it."""
    copy = file.with_name(f"{file.name}.v{version}")
    with closing(sqlite3.connect(file)) as source, closing(sqlite3.connect(copy)) as target:
        source.backup(target)


def refuse_network_file_system(file: Path) -> None:
    """SQLite's locks and shared memory do not work over a network."""
    folder = Path(os.path.realpath(file.parent))
    mounts = [(Path(mount.mountpoint), mount.fstype) for mount in psutil.disk_partitions(all=True)]
    inside = [(point, kind) for point, kind in mounts if folder.is_relative_to(point)]
    if inside:
        point, kind = max(inside, key=lambda mount: len(mount[0].parts))
        if kind.lower() in NETWORK_FILE_SYSTEMS:
            raise LedgerError(
                f"the ledger {file} lies on a network file system ({kind} at {point}), where SQLite loses data: "
                "set VVBATCH_HOME to a local folder, or VVBATCH_LEDGER_URL to a PostgreSQL server"
            )
