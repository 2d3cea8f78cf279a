"""`ledger query`: any SELECT on a connection of its own that can only read, within a time and a number of rows."""

from __future__ import annotations

import sqlite3
import time
from collections import Counter
from collections.abc import Callable
from contextlib import closing
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote

from sqlalchemy import create_engine, make_url
from sqlalchemy.exc import DBAPIError

from vvbatch.errors import InputError
from vvbatch.ledger.database import BUSY_TIMEOUT_S, LedgerError

LONGEST_VALUE = 64 << 20  # bytes; SQLite's own limit of 1 GB would let one zeroblob() fill the memory
STEPS_BETWEEN_CHECKS = 20_000  # of SQLite's virtual machine, some milliseconds

# What a statement may do at all. Everything that writes, attaches a file or changes a setting is not in it.
READING = {sqlite3.SQLITE_SELECT, sqlite3.SQLITE_READ, sqlite3.SQLITE_FUNCTION, 33}  # 33: SQLITE_RECURSIVE
READING_PRAGMAS = {"table_info", "table_xinfo", "table_list", "index_list", "index_info", "foreign_key_list"}


class QueryError(InputError):
    """The statement was refused, failed or took too long; nothing was changed."""


class Answer(NamedTuple):
    columns: list[str]
    rows: list[tuple[Any, ...]]
    cut: bool  # there were more rows than asked for


def query(url: str, sql: str, limit: int, timeout_s: float) -> Answer:
    """At most `limit` rows of one reading statement. Raises QueryError, LedgerError."""
    if make_url(url).get_backend_name() == "sqlite":
        return query_sqlite(Path(make_url(url).database or ""), sql, limit, timeout_s)
    return query_postgresql(url, sql, limit, timeout_s)


def query_sqlite(file: Path, sql: str, limit: int, timeout_s: float) -> Answer:
    refused: list[str] = []
    end = time.monotonic() + timeout_s
    try:
        address = f"file:{quote(str(file.absolute()))}?mode=ro"
        opened = sqlite3.connect(address, uri=True, timeout=BUSY_TIMEOUT_S, isolation_level=None)
    except sqlite3.Error as error:
        raise LedgerError(f"the ledger {file} cannot be opened for reading: {error}") from error
    with closing(opened) as connection:
        connection.execute("PRAGMA query_only = ON")
        connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, LONGEST_VALUE)
        connection.set_authorizer(guard(refused))
        connection.set_progress_handler(lambda: time.monotonic() > end, STEPS_BETWEEN_CHECKS)
        try:
            cursor = connection.execute(sql)
            rows = cursor.fetchmany(limit + 1)
        except (sqlite3.Error, sqlite3.Warning, ValueError, MemoryError) as error:
            raise QueryError(what_went_wrong(error, refused, timeout_s)) from error
        if cursor.description is None:
            raise QueryError("the statement gives no rows: `ledger query` takes one SELECT")
        return Answer(distinct([column[0] for column in cursor.description]), rows[:limit], len(rows) > limit)


def guard(refused: list[str]) -> Callable[..., int]:
    """An authorizer that lets reading through and keeps a note of the first thing that it did not."""

    def authorize(action: int, first: str | None, second: str | None, *_: object) -> int:
        reads = action == sqlite3.SQLITE_PRAGMA and first in READING_PRAGMAS
        # SQLite asks this when it sets up json_each() and its like; the connection is read-only all the same.
        sets_up = action == sqlite3.SQLITE_UPDATE and first == "sqlite_master"
        loads = action == sqlite3.SQLITE_FUNCTION and second == "load_extension"
        if reads or sets_up or (action in READING and not loads):
            return sqlite3.SQLITE_OK
        refused.append(" ".join(str(part) for part in (first, second) if part))
        return sqlite3.SQLITE_DENY

    return authorize


def what_went_wrong(error: BaseException, refused: list[str], timeout_s: float) -> str:
    text = str(error)
    if refused or "readonly" in text or "not authorized" in text:
        return "`ledger query` only reads: the statement would change something, and nothing was changed"
    if text == "interrupted":
        return f"stopped after {timeout_s:g} s: narrow the query, or allow more with --timeout"
    if "one statement at a time" in text:
        return "one statement at a time: `ledger query` takes one SELECT"
    return f"the query failed: {text}"


def query_postgresql(url: str, sql: str, limit: int, timeout_s: float) -> Answer:
    engine = create_engine(url)
    try:
        with engine.connect() as connection:
            connection.exec_driver_sql("SET TRANSACTION READ ONLY")
            connection.exec_driver_sql(f"SET LOCAL statement_timeout = {int(timeout_s * 1000)}")
            raw: Any = connection.connection.driver_connection
            with raw.cursor() as cursor:
                # Streaming uses the extended protocol: no second statement, which could end the transaction, gets in.
                rows = list(islice(cursor.stream(sql.encode()), limit + 1))
                if not rows:
                    cursor.execute(sql.encode(), prepare=True)  # a stream without rows does not say its columns
                names = distinct([column.name for column in cursor.description or ()])
                return Answer(names, rows[:limit], len(rows) > limit)
    except DBAPIError as error:
        raise LedgerError(f"the ledger cannot be opened for reading: {error.orig}") from error
    except engine.dialect.loaded_dbapi.Error as error:
        raise QueryError(what_postgresql_refused(str(error).splitlines()[0], timeout_s)) from error
    finally:
        engine.dispose()


def what_postgresql_refused(text: str, timeout_s: float) -> str:
    if "read-only transaction" in text:
        return what_went_wrong(ValueError("readonly"), [], timeout_s)
    if "statement timeout" in text:
        return what_went_wrong(ValueError("interrupted"), [], timeout_s)
    return f"the query failed: {text}"


def distinct(names: list[str]) -> list[str]:
    """Column names made different, so that a row can be an object: `id, id` becomes `id, id_2`."""
    seen: Counter[str] = Counter()
    result = []
    for name in names:
        seen[name] += 1
        result.append(name if seen[name] == 1 else f"{name}_{seen[name]}")
    return result
