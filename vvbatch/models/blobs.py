"""Downloads large files from the hub into the cache, and resumes the downloads of earlier processes.

huggingface_hub itself restarts every file in a new process: the names of its partial files are random, so that broken
locks of network file systems cost no more than bandwidth (https://github.com/huggingface/huggingface_hub/pull/4306).
Here a partial file has one fixed name and is written under the lock that huggingface_hub takes for the same file. A
complete file is kept only if it has the hash that the hub announced.
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
class HubFile:
    """A file of a repo, as the hub announces it."""

    name: str
    size: int  # bytes
    oid: str  # sha256, for small files git's blob hash

    @property
    def is_large(self) -> bool:
        return len(self.oid) == 64


class PartialFile(io.FileIO):
    """An unfinished download, opened to append. Its bytes are hashed, and its length is reported after each write."""

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
        """Empty the file, whatever `size` is: the server sends it from its beginning again."""
        self.digest = hashlib.sha256()
        return super().truncate(0)


def blob_path(repo: str, oid: str) -> Path:
    """The path of a repo's file in the cache, which names files by their hash."""
    return repo_folder(repo) / "blobs" / oid


def partial_path(blob: Path) -> Path:
    return blob.with_name(f"{blob.name}.vvbatch.incomplete")


def partial_bytes(repo: str, oid: str) -> int:
    """The bytes that earlier processes downloaded of an unfinished file."""
    partial_file = partial_path(blob_path(repo, oid))
    return partial_file.stat().st_size if partial_file.is_file() else 0


def fetch(repo: str, commit: str, file: HubFile, report: Callable[[int], None]) -> str:
    """Download one file into the cache. Returns its sha256; a file whose sha256 is not `oid` is removed.

    `report` is called with the number of bytes downloaded so far. Raises OSError and the errors of huggingface_hub.
    """
    from huggingface_hub import constants, hf_hub_url
    from huggingface_hub.file_download import http_get
    from huggingface_hub.utils import WeakFileLock, build_hf_headers  # type: ignore[attr-defined]

    blob = blob_path(repo, file.oid)
    blob.parent.mkdir(parents=True, exist_ok=True)
    lock = hub_cache() / ".locks" / repo_folder(repo).name / f"{file.oid}.lock"
    lock.parent.mkdir(parents=True, exist_ok=True)
    with WeakFileLock(lock):
        if blob.is_file():  # another process downloaded it while this one waited for the lock
            return file.oid
        partial_file = partial_path(blob)
        if partial_bytes(repo, file.oid) > file.size:
            partial_file.unlink()
        with PartialFile(partial_file, report) as partial:
            url = hf_hub_url(repo, file.name, revision=commit, endpoint=constants.ENDPOINT)
            http_get(url, partial, resume_size=partial.tell(), headers=build_hf_headers(), expected_size=file.size)
            os.fsync(partial.fileno())
            found = partial.digest.hexdigest()
        if found == file.oid:
            partial_file.rename(blob)
        else:
            partial_file.unlink()
        return found
