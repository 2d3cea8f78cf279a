"""What is known of the models on this disk, in the home folder: what was pulled, and what was hashed when.

As in git's index, a file whose size, time and inode are as they were when it was hashed counts as unchanged.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

import msgspec

from vvbatch import store
from vvbatch.models.snapshot import Source

PULLED = "pulled.json"


class Known(msgspec.Struct, frozen=True):
    """A file as it was when it was last hashed (size 0 and times 0: announced by the hub, not hashed yet)."""

    oid: str  # sha256, or git's blob hash where the hub has only that
    size: int = 0
    mtime_ns: int = 0
    inode: int = 0


class Manifest(msgspec.Struct, frozen=True):
    repo: str
    revision: str
    pulled: dict[str, str] = {}  # what the hub says that the revision's files are, asked when it was pulled
    files: dict[str, Known] = {}


def manifest_file(folder: Path, manifests: Path) -> Path:
    """Where the manifest of a snapshot's folder is kept: `manifests` holds one file for each."""
    place = hashlib.sha256(str(folder.resolve()).encode()).hexdigest()[:12]
    return manifests / f"{folder.name[:40]}-{place}.json"


def read_manifest(source: Source, folder: Path, manifests: Path) -> Manifest:
    """The manifest, or an empty one when there is none that can be read."""
    try:
        return msgspec.json.decode(manifest_file(folder, manifests).read_bytes(), type=Manifest)
    except (OSError, msgspec.DecodeError):
        return Manifest(source.repo, folder.name)


def write_manifest(manifest: Manifest, folder: Path, manifests: Path) -> None:
    data = msgspec.json.format(msgspec.json.encode(manifest), indent=1)
    store.write_atomically(manifest_file(folder, manifests), data + b"\n")


def read_pulled(manifests: Path) -> dict[str, str]:
    """By `repo@name`, the commit that a revision's name stood for when it was pulled."""
    try:
        return msgspec.json.decode((manifests / PULLED).read_bytes(), type=dict[str, str])
    except (OSError, msgspec.DecodeError):
        return {}


def note_pulled(source: Source, commit: str, manifests: Path) -> None:
    """Keep what a revision's name stands for today: a cache's `main` moves whenever any program fetches it."""
    if not source.pinned:
        pulled = {**read_pulled(manifests), f"{source.repo}@{source.revision}": commit}
        store.write_atomically(manifests / PULLED, msgspec.json.encode(pulled))


def forget(folder: Path, manifests: Path) -> None:
    """Take the folder's files as they are now the next time that they are verified (for a folder without hub names)."""
    manifest_file(folder, manifests).unlink(missing_ok=True)
