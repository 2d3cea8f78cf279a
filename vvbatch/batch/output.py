"""Where the files of batches are written: one small interface, which a folder implements.

Names are relative to the output (`--out`) and have "/" between their parts. A file under its name is complete.
"""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Callable, Iterator, Set
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Protocol

from vvbatch import store
from vvbatch.engine.contract import SAMPLE_RATE
from vvbatch.store import StoreError

BYTES_PER_SECOND = 2 * SAMPLE_RATE  # of a line's file: mono PCM16
TAKES_FOLDER = "takes"
BOOK_FOLDER = "book"
IMPORTED_SCRIPT = "script.yaml"
"""The script that was made of a manuscript, in the batch's folder."""


class FileGone(StoreError):
    """Neither the staged nor the published file is what it should be."""


class StagedFile(Protocol):
    """A complete file without its name yet. Leaving the context removes it, unless it was published or kept."""

    @property
    def location(self) -> str:
        """What the ledger records: a path."""

    @property
    def sha256(self) -> str: ...

    @property
    def size(self) -> int:
        """Bytes."""

    def publish(self) -> None:
        """Give the file its name, durably; it replaces an older file. Raises OSError."""

    def keep(self) -> None:
        """Leave the file staged when the context ends: `publish_staged` finds it later."""

    def __enter__(self) -> StagedFile: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None: ...


class Store(Protocol):
    """Every method raises OSError, and StoreError for a name that leads out of the store."""

    def check_writable(self, folder: str, need_bytes: int) -> None:
        """Raises StoreError with the reason when `folder` cannot take files of so many bytes."""

    def stage(self, name: str, data: bytes, take_id: str | None = None) -> StagedFile:
        """Write `data`. With a `take_id`, `publish_staged` of any process finds it."""

    def stage_written(self, name: str, write: Callable[[Path], None]) -> StagedFile:
        """A file that `write` makes at the path that it is given: one too large for memory."""

    def stage_copy(self, source: str, name: str, sha256: str) -> StagedFile:
        """The same content as the file at the location `source`. Raises StoreError unless it has that hash."""

    def publish_staged(self, name: str, take_id: str, sha256: str) -> None:
        """Publish what a process staged for a take and kept, or has published already. Raises FileGone."""

    def remove_staged(self, name: str, take_id: str) -> None: ...

    def read(self, name: str) -> bytes: ...

    def sha256(self, name: str) -> str | None:
        """The hash of a file's bytes, in hex; None for anything but a regular file. Raises FileNotFoundError."""

    def list(self, folder: str) -> Iterator[str]:
        """The names of all files under a folder, staged ones included."""

    def remove(self, name: str) -> None:
        """Remove a regular file; anything else, or nothing, under this name stays as it is."""

    def sweep(self, folder: str, older_than_s: float, now: float, keep: Set[str] = frozenset()) -> None:
        """Remove staged files older than `older_than_s` at the Unix time `now`, except those of the takes in `keep`."""

    def remove_empty_folders(self, folder: str) -> None: ...


@dataclass(frozen=True)
class Folder:
    """A Store in a folder of this machine."""

    root: Path

    def check_writable(self, folder: str, need_bytes: int) -> None:
        store.check_writable(self._path(folder) if folder else self.root, need_bytes)

    def stage(self, name: str, data: bytes, take_id: str | None = None) -> StagedFile:
        return store.stage(self._path(name), data, take_id)

    def stage_written(self, name: str, write: Callable[[Path], None]) -> StagedFile:
        return store.stage_written(self._path(name), write)

    def stage_copy(self, source: str, name: str, sha256: str) -> StagedFile:
        return store.stage_copy(Path(source), self._path(name), sha256)

    def publish_staged(self, name: str, take_id: str, sha256: str) -> None:
        path = self._path(name)
        temp = store.temp_of(path, take_id)
        if hash_of(temp) == sha256:
            temp.replace(path)
        elif hash_of(path) != sha256:
            raise FileGone(f"{path} is gone or has changed")
        store.sync_folder(path.parent)

    def remove_staged(self, name: str, take_id: str) -> None:
        store.temp_of(self._path(name), take_id).unlink(missing_ok=True)

    def read(self, name: str) -> bytes:
        return self._path(name).read_bytes()

    def sha256(self, name: str) -> str | None:
        path = self._path(name)
        return store.sha256_file(path) if stat.S_ISREG(path.lstat().st_mode) else None

    def list(self, folder: str) -> Iterator[str]:
        for parent, _, names in os.walk(self._path(folder)):
            for name in sorted(names):
                yield Path(parent, name).relative_to(self.root).as_posix()

    def remove(self, name: str) -> None:
        path = self._path(name)
        with contextlib.suppress(FileNotFoundError):
            if stat.S_ISREG(path.lstat().st_mode):
                path.unlink()

    def sweep(self, folder: str, older_than_s: float, now: float, keep: Set[str] = frozenset()) -> None:
        store.sweep(self._path(folder), older_than_s, now, {f"{store.TEMP_PREFIX}{take_id}" for take_id in keep})

    def remove_empty_folders(self, folder: str) -> None:
        for parent, _, _ in os.walk(self._path(folder), topdown=False):
            with contextlib.suppress(OSError):  # not empty
                Path(parent).rmdir()

    def _path(self, name: str) -> Path:
        return store.confine(self.root, name)


def open_store(out: str | Path) -> Store:
    """The store that a batch's `out` names."""
    return Folder(Path(out))


def name_of(out: str, location: str) -> str:
    """The name in the store `out` of a location that the ledger has. Raises StoreError when it lies elsewhere."""
    try:
        return Path(location).relative_to(out).as_posix()
    except ValueError as error:
        raise StoreError(f"{location} is not in {out}") from error


def line_name(batch_id: str, chapter: int, number: int, line_id: str) -> str:
    """`<batch>/<chapter-NN>/<NNNN>-<line-id>.wav`; chapters and lines count from 1. Raises StoreError."""
    return f"{batch_id}/chapter-{chapter:02d}/{file_stem(batch_id, number, line_id)}.wav"


def take_name(batch_id: str, number: int, line_id: str, attempt: int) -> str:
    """`<batch>/takes/<NNNN>-<line-id>/take-<NN>.wav`, for a take that was not chosen. Raises StoreError.

    No line's own file has such a name: those begin with their number.
    """
    return f"{batch_id}/{TAKES_FOLDER}/{file_stem(batch_id, number, line_id)}/take-{attempt:02d}.wav"


def manifest_name(batch_id: str) -> str:
    return f"{batch_id}/manifest.json"


def report_name(batch_id: str) -> str:
    return f"{batch_id}/report.html"


def imported_names(batch_id: str) -> tuple[str, ...]:
    """The script that was made of a manuscript, and its cover in each format."""
    return tuple(f"{batch_id}/{name}" for name in (IMPORTED_SCRIPT, "cover.jpg", "cover.png"))


def book_name(batch_id: str, name: str) -> str:
    """`<batch>/book/<name>`."""
    return f"{batch_id}/{BOOK_FOLDER}/{name}"


def file_stem(batch_id: str, number: int, line_id: str) -> str:
    for what, name in (("batch", batch_id), ("line", line_id)):
        if not name or name in (".", "..") or "/" in name:
            raise StoreError(f"{what} id {name!r}: must be one plain name without '/'")
    return f"{number:04d}-{line_id}"


def is_staged(name: str) -> bool:
    return name.rpartition("/")[2].startswith(store.TEMP_PREFIX)


def hash_of(path: Path) -> str | None:
    """The hash of a regular file; None for anything else, or nothing, at `path`."""
    try:
        return store.sha256_file(path) if stat.S_ISREG(path.lstat().st_mode) else None
    except OSError:
        return None
