"""Large files of the hub into the cache, each taken up where an earlier process was cut off.

huggingface_hub itself restarts every file in a new process: the names of its partial files are random, so that broken
locks of network file systems cost no more than bandwidth (https://github.com/huggingface/huggingface_hub/pull/4306).
Here the half file has one name, under the lock that huggingface_hub takes for the same file, and what comes out of it
has the hash that the hub announced, or is not kept.
"""

from __future__ import annotations

import hashlib
import io
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from vvbatch.models.snapshot import hub_cache, repo_folder

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

BLOCK = 1 << 20


@dataclass(frozen=True)
class Wanted:
    """A file of the hub: its size in bytes, and its sha256 or (small files) git blob hash."""

    name: str
    size: int
    oid: str

    @property
    def is_large(self) -> bool:
        return len(self.oid) == 64


class Part(io.FileIO):
    """The partial file: its bytes are hashed and its length reported as it grows."""

    def __init__(self, path: Path, report: Callable[[int], None]) -> None:
        super().__init__(path, "a+b")
        self.report = report
        self.digest = hashlib.sha256()
        self.seek(0)
        while block := self.read(BLOCK):
            self.digest.update(block)

    def write(self, data: ReadableBuffer, /) -> int:
        view = memoryview(data).cast("B")
        written = 0
        while written < len(view):
            written += super().write(view[written:])
        self.digest.update(view)
        self.report(self.tell())
        return written

    def truncate(self, size: int | None = None, /) -> int:
        """The server sends the file from its beginning again."""
        self.digest = hashlib.sha256()
        return super().truncate(0)


def place(repo: str, oid: str) -> Path:
    """Where the cache keeps a file of a repo."""
    return repo_folder(repo) / "blobs" / oid


def part_of(blob: Path) -> Path:
    return blob.with_name(f"{blob.name}.vvbatch.incomplete")


def begun(repo: str, oid: str) -> int:
    """Bytes of a file that an earlier process has left."""
    part = part_of(place(repo, oid))
    return part.stat().st_size if part.is_file() else 0


def fetch(repo: str, commit: str, wanted: Wanted, report: Callable[[int], None]) -> str:
    """Bring one file into the cache; returns the sha256 of what came, which is kept if that is the announced one.

    `report` is called with the number of bytes that are here. Raises what huggingface_hub does, OSError.
    """
    from huggingface_hub import constants, hf_hub_url
    from huggingface_hub.file_download import http_get
    from huggingface_hub.utils import WeakFileLock, build_hf_headers  # type: ignore[attr-defined]

    blob = place(repo, wanted.oid)
    blob.parent.mkdir(parents=True, exist_ok=True)
    lock = hub_cache() / ".locks" / repo_folder(repo).name / f"{wanted.oid}.lock"
    lock.parent.mkdir(parents=True, exist_ok=True)
    with WeakFileLock(lock):
        if blob.is_file():  # by another process, while this one waited
            return wanted.oid
        part = part_of(blob)
        if begun(repo, wanted.oid) > wanted.size:
            part.unlink()
        with Part(part, report) as file:
            url = hf_hub_url(repo, wanted.name, revision=commit, endpoint=constants.ENDPOINT)
            http_get(url, file, resume_size=file.tell(), headers=build_hf_headers(), expected_size=wanted.size)
            os.fsync(file.fileno())
            found = file.digest.hexdigest()
        if found == wanted.oid:
            part.rename(blob)
        else:
            part.unlink()
        return found
