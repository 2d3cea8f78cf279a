"""Opening the ledger's database: pragmas, write transactions, migrations on a copy, and what is refused."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import msgspec
import psutil
from sqlalchemy import URL, Connection, Engine, create_engine, event, inspect, make_url, select
from sqlalchemy.exc import ArgumentError, DBAPIError

from vvbatch.errors import UnavailableError
from vvbatch.ledger import schema
from vvbatch.ledger.migrations import MIGRATIONS

BUSY_TIMEOUT_S = 20
MIGRATION_LOCK = 0x76766261  # any number that no other program locks on this server
UNSAFE_FILE_SYSTEMS = {
    # over a network
    "acfs", "coda", "cubefs", "curlftpfs", "cvmfs2", "ftpfs", "gcsfuse", "gfs", "gfs2", "goofys", "gpfs", "juicefs",
    "kafs", "lizardfs", "lustre", "mmfs", "moosefs", "ncpfs", "ocfs2", "openafs", "orangefs", "panfs", "quobyte",
    "rclone", "s3fs", "sshfs", "wekafs", "yrfs",
    # folders of a host in a virtual machine or a container
    "drvfs", "fakeowner", "grpcfuse", "hgfs", "osxfs", "prl_fs", "prlfs", "shfs", "v9fs", "vboxsf", "virtiofs",
    "vmhgfs", "wslfs",
}  # fmt: skip
UNSAFE_FAMILIES = ("9p", "afpfs", "afs", "beegfs", "ceph", "cifs", "davfs", "glusterfs", "nfs", "pvfs", "smb", "webdav")
"""How the names of their versions begin: nfs4, smb3, pvfs2."""
SAFE_FUSE = {
    "fuse.apfs", "fuse.bindfs", "fuse.btrfs", "fuse.cryfs", "fuse.encfs", "fuse.exfat", "fuse.ext2", "fuse.ext4",
    "fuse.fuse-overlayfs", "fuse.fuse2fs", "fuse.gocryptfs", "fuse.mergerfs", "fuse.ntfs", "fuse.ntfs-3g", "fuse.zfs",
    "fuseblk",
}  # fmt: skip
"""FUSE file systems on a local disk; any other may be anything, also a store behind a network."""


class LedgerError(UnavailableError):
    """The ledger cannot be used; the message names the place and the remedy."""


def open_database(url: str, *, migrate: bool = True) -> Engine:
    """An engine for the ledger at `url`, brought to the newest schema. Raises LedgerError."""
    try:
        engine = make_engine(make_url(url))
    except (ArgumentError, ImportError) as error:
        raise LedgerError(
            f"the ledger's URL cannot be used: {error}; VVBATCH_LEDGER_URL must be sqlite:////path/to/file "
            "or postgresql+psycopg://user@host/database (with pip install 'vvbatch[postgres]')"
        ) from error
    location = engine.url.render_as_string(hide_password=True)
    try:
        if engine.dialect.name == "sqlite":
            file = Path(engine.url.database or "")
            refuse_unsafe_file_system(file)
            file.parent.mkdir(parents=True, exist_ok=True)
        bring_up_to_date(engine, location, migrate=migrate)
    except (DBAPIError, OSError) as error:
        engine.dispose()
        cause = error.orig if isinstance(error, DBAPIError) else error
        raise LedgerError(f"the ledger {location} cannot be opened: {cause}") from error
    return engine


def make_engine(url: URL) -> Engine:
    if url.get_backend_name() != "sqlite":
        return create_engine(url, pool_pre_ping=True, json_serializer=to_json, json_deserializer=msgspec.json.decode)
    engine = create_engine(
        url,
        connect_args={"timeout": BUSY_TIMEOUT_S, "check_same_thread": False},
        json_serializer=to_json,
        json_deserializer=msgspec.json.decode,
    )
    event.listen(engine, "connect", set_pragmas)
    event.listen(engine, "begin", begin)
    return engine


def to_json(value: object) -> str:
    # NaN and infinities become null: JSON has none, and what holds them is refused by PostgreSQL and json_extract.
    return msgspec.json.encode(value, enc_hook=number).decode()


def number(value: Any) -> object:
    """A NumPy scalar as a plain number."""
    return value.item()


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


def bring_up_to_date(engine: Engine, location: str, *, migrate: bool) -> None:
    version = current_version(engine)
    newest = len(MIGRATIONS)
    if version > newest:
        raise LedgerError(
            f"the ledger {location} has schema version {version}; this vvbatch knows up to {newest}: upgrade vvbatch"
        )
    if version == newest or not migrate:
        return
    with write(engine) as connection:
        if engine.dialect.name == "postgresql":
            connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({MIGRATION_LOCK})")
        version = version_in(connection)  # another process may have been faster
        if version == 0:
            schema.schema_version.create(connection, checkfirst=True)
            connection.execute(schema.schema_version.insert().values(version=0))
        elif version < newest and engine.dialect.name == "sqlite":
            keep_a_copy(Path(str(engine.url.database)), version)
        for reached, step in enumerate(MIGRATIONS[version:], start=version + 1):
            step(connection)
            connection.execute(schema.schema_version.update().values(version=reached))


def current_version(engine: Engine) -> int:
    with engine.connect() as connection:
        return version_in(connection)


def version_in(connection: Connection) -> int:
    if not inspect(connection).has_table("schema_version"):
        return 0
    return connection.execute(select(schema.schema_version.c.version)).scalar() or 0


def keep_a_copy(file: Path, version: int) -> None:
    """Copy the SQLite file with its own backup, which sees a consistent state, before a migration touches it.

    Called by whoever holds the write lock, so that the copy cannot be of what another process made meanwhile.
    """
    copy = file.with_name(f"{file.name}.v{version}")
    half = file.with_name(f"{file.name}.v{version}.tmp")
    half.unlink(missing_ok=True)
    with closing(sqlite3.connect(file)) as source, closing(sqlite3.connect(half)) as target:
        source.backup(target)
    half.replace(copy)


def refuse_unsafe_file_system(file: Path) -> None:
    """SQLite's locks and shared memory do not work over a network, nor between a host and its guests.

    Raises LedgerError.
    """
    folder = Path(os.path.realpath(file.parent))
    mounts = [(Path(mount.mountpoint), mount.fstype) for mount in psutil.disk_partitions(all=True)]
    inside = [(point, kind) for point, kind in mounts if folder.is_relative_to(point)]
    if not inside:
        return
    longest = max(len(point.parts) for point, _ in inside)
    point, kind = [mount for mount in inside if len(mount[0].parts) == longest][-1]  # the last one covers the others
    if is_unsafe(kind.lower()):
        raise LedgerError(
            f"the ledger {file} lies on a network file system or a shared folder ({kind} at {point}), where SQLite "
            "loses data: set VVBATCH_HOME to a local folder, or VVBATCH_LEDGER_URL to a PostgreSQL server"
        )


def is_unsafe(kind: str) -> bool:
    fuse = kind.startswith(("fuse", "macfuse", "osxfuse"))
    unsafe = kind in UNSAFE_FILE_SYSTEMS or kind.startswith(UNSAFE_FAMILIES)
    return unsafe or (fuse and kind not in SAFE_FUSE)
