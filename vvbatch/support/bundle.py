"""A zip for a bug report: doctor, versions, settings, the ends of the logs, extracts of the ledger.

It never holds audio. Texts, titles and requests are left out unless asked for; every part goes through `redact`.
"""

from __future__ import annotations

import io
import os
import platform
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import closing
from importlib import metadata
from pathlib import Path

import msgspec
from sqlalchemy import Table, select

from vvbatch import __version__, profiles, store
from vvbatch.home import Home, user_folder
from vvbatch.ledger import schema
from vvbatch.support.doctor import examine
from vvbatch.support.doctor.services import open_ledger
from vvbatch.support.redact import redacted, secrets_of

LOG_BYTES = 256 << 10  # of the end of each log
ROWS = 300  # of each table, the newest
TEXTS = frozenset({"text", "request", "title", "chapter_title", "script"})
"""Columns that hold the user's own text."""
SETTINGS = ("VVBATCH_", "HF_", "TRANSFORMERS_", "OMP_", "MKL_", "CUDA_", "PYTORCH_", "REDIS_", "LANG", "LC_", "TERM")
NEWEST: tuple[tuple[Table, str], ...] = (
    (schema.batches, "created_at"),
    (schema.lines, "updated_at"),
    (schema.takes, "created_at"),
    (schema.workers, "started_at"),
    (schema.events, "at"),
    (schema.queues, "paused_at"),
    (schema.nights, "started_at"),
    (schema.baselines, "blessed_at"),
    (schema.schedules, "since"),
)


def make(home: Home, target: Path, environment: Mapping[str, str], *, texts: bool = False) -> list[str]:
    """Write the zip atomically. Returns the names in it. Raises OSError."""
    secrets = secrets_of(environment)
    buffer, names = io.BytesIO(), []
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in parts(home, environment, texts=texts):
            archive.writestr(name, redacted(text, secrets, user_folder()))
            names.append(name)
    store.write_atomically(target, buffer.getvalue())
    return names


def parts(home: Home, environment: Mapping[str, str], *, texts: bool) -> Iterator[tuple[str, str]]:
    yield "doctor.json", as_json([finding._asdict() for finding in examine(home)])
    yield "versions.json", as_json(versions())
    yield "environment.json", as_json({k: v for k, v in sorted(environment.items()) if k.startswith(SETTINGS)})
    for folder in profiles.folders():
        kind = "bundled" if folder == profiles.bundled("configs") else "own"
        for file in sorted(folder.glob("*.yaml")):
            yield f"configs/{kind}/{file.name}", file.read_text(encoding="utf-8", errors="replace")
    for file in sorted(home.logs.iterdir()):
        if file.is_file() and not file.is_symlink() and not file.name.startswith("."):
            yield f"logs/{file.name}", end_of(file)
    book = open_ledger(home)
    if book is not None:
        with closing(book), book.engine.connect() as connection:
            for table, newest in NEWEST:
                columns = [column for column in table.c if texts or column.name not in TEXTS]
                rows = connection.execute(select(*columns).order_by(table.c[newest].desc()).limit(ROWS)).mappings()
                yield f"ledger/{table.name}.json", as_json([dict(row) for row in rows])


class Versions(msgspec.Struct, frozen=True, kw_only=True):
    vvbatch: str
    python: str
    platform: str
    packages: dict[str, str]


def versions() -> Versions:
    found = {each.name: each.version for each in metadata.distributions() if each.name}
    return Versions(
        vvbatch=__version__,
        python=platform.python_version(),
        platform=platform.platform(),
        packages=dict(sorted(found.items(), key=lambda item: item[0].lower())),
    )


def end_of(file: Path) -> str:
    with file.open("rb") as stream:
        stream.seek(max(0, os.fstat(stream.fileno()).st_size - LOG_BYTES))
        return stream.read().decode("utf-8", errors="replace")


def as_json(document: object) -> str:
    return msgspec.json.format(msgspec.json.encode(document), indent=1).decode() + "\n"
