"""A zip for a bug report: doctor, versions, variables, the ends of the logs, extracts of the ledger.

It never holds audio. Every part goes through `redact`, and unless texts are wanted it goes through `private` as well.
"""

from __future__ import annotations

import io
import itertools
import os
import platform
import re
import zipfile
from collections.abc import Collection, Iterator, Mapping
from contextlib import closing, nullcontext
from importlib import metadata
from pathlib import Path
from typing import Any

import msgspec
from sqlalchemy import Table, select

from vvbatch import __version__, profiles, store
from vvbatch.home import Home, user_folder
from vvbatch.ledger import Ledger, schema
from vvbatch.support.doctor import examine
from vvbatch.support.doctor.services import open_ledger
from vvbatch.support.private import collect
from vvbatch.support.redact import HIDDEN, redacted, secrets_of

LOG_BYTES = 256 << 10  # of the end of each log
ROWS = 300  # of each table, the newest
TEXTS = frozenset({"text", "written", "request", "title", "chapter_title", "script", "why", "blessed_by"})
TEXTS |= {"rejected_by", "rejected_why"}
"""Columns that hold the user's own text, and keys of a log in JSON."""
LINE_IN_PATH = re.compile(r"(\d{4})-[^/]+$")  # of a file: the line's number and its id
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
    buffer = io.BytesIO()
    names: list[str] = []
    book = open_ledger(home)
    with closing(book) if book else nullcontext(), zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        private = None if texts else collect(home, book, shown(environment))
        for name, text in parts(home, book, environment, texts=texts):
            text = redacted(text, secrets)
            if private is not None:
                name, text = private.hide(name), private.hide(text)
            name = unused(name, names)
            archive.writestr(name, redacted(text, set(), user_folder()))
            names.append(name)
    store.write_atomically(target, buffer.getvalue())
    return names


def unused(name: str, names: Collection[str]) -> str:
    """The name, with a number if it is in use: two names may be the same once their words are hidden."""
    name = name.replace(HIDDEN, "hidden")
    stem, dot, suffix = name.rpartition(".")
    numbered = (f"{stem}-{number}{dot}{suffix}" for number in itertools.count(2))
    return name if name not in names else next(each for each in numbered if each not in names)


def parts(home: Home, book: Ledger | None, environment: Mapping[str, str], *, texts: bool) -> Iterator[tuple[str, str]]:
    yield "doctor.json", as_json([finding._asdict() for finding in examine(home)])
    yield "versions.json", as_json(versions())
    yield "environment.json", as_json(shown(environment))
    for folder in profile_folders():
        kind = "bundled" if folder == profiles.bundled("configs") else "own"
        for file in sorted(folder.glob("*.yaml")):
            yield f"configs/{kind}/{file.name}", file.read_text(encoding="utf-8", errors="replace")
    for file in sorted(home.logs.iterdir()):
        if file.is_file() and not file.is_symlink() and not file.name.startswith("."):
            end = end_of(file)
            yield f"logs/{file.name}", end if texts else "\n".join(map(without_texts, end.split("\n")))
    if book is not None:
        with book.engine.connect() as connection:
            for table, newest in NEWEST:
                columns = [column for column in table.c if texts or column.name not in TEXTS]
                found = connection.execute(select(*columns).order_by(table.c[newest].desc()).limit(ROWS)).mappings()
                rows = [dict(row) for row in found]
                yield f"ledger/{table.name}.json", as_json(rows if texts else without_ids(rows))


def shown(environment: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in sorted(environment.items()) if name.startswith(SETTINGS)}


def profile_folders() -> list[Path]:
    try:
        return profiles.folders()
    except profiles.ProfileError:  # the doctor's part says so
        return [profiles.bundled("configs")]


def without_texts(line: str) -> str:
    """A line of a log; if it is JSON, without the keys that hold texts."""
    if not line.startswith("{"):
        return line
    try:
        found = msgspec.json.decode(line)
    except msgspec.DecodeError:
        return line
    return msgspec.json.encode(without_keys(found)).decode()


def without_keys(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: without_keys(inner) for key, inner in value.items() if key not in TEXTS}
    return [without_keys(inner) for inner in value] if isinstance(value, list) else value


def without_ids(rows: list[dict[str, Any]]) -> Any:
    """Rows without the ids of lines, which may be too short to be found as such in a text."""
    for row in rows:
        if "line" in row:
            row["line"] = None
        if row.get("path"):
            row["path"] = LINE_IN_PATH.sub(r"\1", row["path"])
    return without_keys(rows)


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
