"""Whole tables as CSV or JSON lines, row by row, so that a large ledger does not have to fit into memory."""

from __future__ import annotations

import csv
import os
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

import msgspec
from sqlalchemy import Row, select

from vvbatch import store
from vvbatch.ledger.ledger import Ledger
from vvbatch.ledger.schema import metadata

TABLES = ("batches", "lines", "takes", "qc_results", "events", "nights", "verdicts", "baselines")
FORMATS = ("csv", "jsonl")
ROWS_AT_ONCE = 1000


def export(ledger: Ledger, table: str, form: str, file: IO[str]) -> int:
    """Write one of TABLES to `file` in one of FORMATS, ordered by its key. Returns how many rows."""
    columns = metadata.tables[table].columns.keys()
    count = 0
    writer = csv.writer(file, lineterminator="\n")
    if form == "csv":
        writer.writerow(columns)
    for row in rows_of(ledger, table):
        count += 1
        if form == "csv":
            writer.writerow([as_cell(value) for value in row])
        else:
            file.write(msgspec.json.encode(dict(zip(columns, row, strict=True))).decode() + "\n")
    return count


def export_file(ledger: Ledger, table: str, form: str, path: Path) -> int:
    """`export` into a file that is there completely or not at all. Raises OSError."""
    path = path.absolute()
    temp = path.with_name(f"{store.TEMP_PREFIX}{secrets.token_hex(8)}")
    try:
        with temp.open("x", encoding="utf-8", newline="") as file:
            count = export(ledger, table, form, file)
            file.flush()
            os.fsync(file.fileno())
        temp.replace(path)
        store.sync_folder(path.parent)
    finally:
        temp.unlink(missing_ok=True)
    return count


def rows_of(ledger: Ledger, table: str) -> Iterator[Row[Any]]:
    chosen = metadata.tables[table]
    with ledger.engine.connect().execution_options(stream_results=True, yield_per=ROWS_AT_ONCE) as connection:
        yield from connection.execute(select(chosen).order_by(*chosen.primary_key.columns))


def as_cell(value: object) -> object:
    """JSON columns as JSON text, truth as `true` and `false`; nothing stays empty."""
    if isinstance(value, dict | list | bool):
        return msgspec.json.encode(value).decode()
    return value
