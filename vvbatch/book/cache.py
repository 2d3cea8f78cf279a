"""The cache of books: files named by a hash of all that they depend on. Those not used for longest are removed."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path


def kept(path: Path) -> bytes:
    """A file's bytes; it counts as used now. Raises OSError."""
    data = path.read_bytes()
    os.utime(path)
    return data


def make_room(cache: Path, most_bytes: int) -> None:
    """Remove the files that were not used for longest until the cache is at most so large."""
    entries = []
    for file in cache.rglob("*"):
        with contextlib.suppress(OSError):
            if file.is_file():
                status = file.stat()
                entries.append((status.st_mtime, status.st_size, file))
    total = sum(size for _, size, _ in entries)
    for _, size, file in sorted(entries):
        if total <= most_bytes:
            return
        with contextlib.suppress(OSError):
            file.unlink()
            total -= size
