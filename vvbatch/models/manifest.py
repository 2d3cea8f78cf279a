"""Records in the home folder of the models on this disk: the hashes of their files, and the commits that were pulled.

As in git's index, a file counts as unchanged if its size, time and inode are those of when it was hashed.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

import msgspec

from vvbatch import store
from vvbatch.models.snapshot import Source

PULLED = "pulled.json"


class HashedFile(msgspec.Struct, frozen=True):
    """A file as it was when it was last hashed."""

    oid: str  # sha256, or git's blob hash where the hub has only that
    size: int = 0
    mtime_ns: int = 0
    inode: int = 0


class Manifest(msgspec.Struct, frozen=True):
    repo: str
    revision: str
    pulled: dict[str, str] = {}  # the hub's hash of each file, recorded when it was pulled
    files: dict[str, HashedFile] = {}


def manifest_file(folder: Path, manifests: Path) -> Path:
    """The file with the manifest of a snapshot's folder; `manifests` has one file for each."""
    folder_hash = hashlib.sha256(str(folder.resolve()).encode()).hexdigest()[:12]
    return manifests / f"{folder.name[:40]}-{folder_hash}.json"


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
    """The commits that names of revisions had when they were pulled, by `repo@name`."""
    try:
        return msgspec.json.decode((manifests / PULLED).read_bytes(), type=dict[str, str])
    except (OSError, msgspec.DecodeError):
        return {}


def record_pulled(source: Source, commit: str, manifests: Path) -> None:
    """Record the commit of a revision that is a name: the cache's `main` changes when any program downloads it."""
    if not source.pinned:
        pulled = {**read_pulled(manifests), f"{source.repo}@{source.revision}": commit}
        store.write_atomically(manifests / PULLED, msgspec.json.encode(pulled))


def forget(folder: Path, manifests: Path) -> None:
    """Remove the manifest of a folder: the next verification records the files as they are then.

    Only files that the hub's cache does not name by their hash are affected.
    """
    manifest_file(folder, manifests).unlink(missing_ok=True)
