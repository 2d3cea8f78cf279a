"""Files that are complete or absent, and stay inside their root.

A file is written under a temporary name in its final folder, synced, then renamed; the folder is synced last. A file
under a final name may be a hard link to a file of an older batch. It is never opened for writing: a rename replaces it.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import json
import os
import secrets
import shutil
import stat
from collections.abc import Callable, Iterator, Mapping, Set
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

from vvbatch import fault_points
from vvbatch.errors import InputError

TEMP_PREFIX = ".tmp-"
LONGEST_NAME = 255  # bytes, on Linux, macOS and common network file systems
BLOCK = 1 << 20
ROOM_FOR_NAMES = 400  # bytes that batch, chapter and file name may add to the output folder's path
NO_HARD_LINK = {errno.EXDEV, errno.EPERM, errno.EMLINK, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EACCES}
NO_ROOM = {errno.ENOSPC, errno.EDQUOT}


class StoreError(InputError):
    """A path is outside its root, a folder cannot be written, or a file has changed."""


class NoRoom(StoreError):
    """A disk is full. This is temporary: the write can be tried again."""


class Written(NamedTuple):
    sha256: str
    size: int  # bytes


@dataclass
class Staged:
    """A complete, synced file under a temporary name beside `path`.

    At the end of the context it is removed, unless it was published or `keep` was called.
    """

    path: Path
    temp: Path
    sha256: str
    size: int  # bytes
    kept: bool = False

    @property
    def location(self) -> str:
        return str(self.path)

    def keep(self) -> None:
        """Leave the file under its temporary name."""
        self.kept = True

    def publish(self) -> None:
        """Rename the file to its final name, durably; an older file of that name is replaced. Raises OSError."""
        self.temp.replace(self.path)
        fault_points.point("store.renamed")
        sync_folder(self.path.parent)
        fault_points.point("store.folder_synced")

    def __enter__(self) -> Staged:
        return self

    def __exit__(self, *_: object) -> None:
        # Also after a rename: rename(2) keeps the temporary name when both names are links to one file.
        if not self.kept:
            self.temp.unlink(missing_ok=True)


def confine(root: Path, relative: str | Path) -> Path:
    """`root / relative`, if that stays inside `root`, symbolic links followed. Raises StoreError.

    Refused: absolute paths, `..`, NUL, names longer than 255 bytes, and links to outside the root.
    """
    try:
        path = Path(relative)
        name_sizes = [len(os.fsencode(part)) for part in path.parts]
    except UnicodeEncodeError as error:
        raise StoreError(f"path {str(relative)!r}: not a valid file name") from error
    if "\0" in str(relative):
        raise StoreError(f"path {str(relative)!r}: contains a NUL character")
    if path.is_absolute() or ".." in path.parts:
        raise StoreError(f"path {str(relative)!r}: must be relative to {root} and must not contain '..'")
    if max(name_sizes, default=0) > LONGEST_NAME:
        raise StoreError(f"path {str(relative)!r}: a name in it is longer than {LONGEST_NAME} bytes")
    try:
        inside = (root / path).resolve().is_relative_to(root.resolve())
    except (OSError, RuntimeError) as error:  # RuntimeError: a loop of symbolic links, before Python 3.13
        raise StoreError(f"path {str(relative)!r}: cannot be resolved in {root}: {error}") from error
    if not inside:
        raise StoreError(f"path {str(relative)!r}: a symbolic link in it leads out of {root}")
    return root / path


def temp_of(path: Path, name: str | None = None) -> Path:
    """A temporary name in `path`'s folder: a new one, or that of `name`."""
    return path.parent / f"{TEMP_PREFIX}{name or secrets.token_hex(8)}"


def stage(path: Path, data: bytes, name: str | None = None) -> Staged:
    """Write `data` beside `path`, complete and synced, ready to be published. Creates the folder. Raises OSError.

    With a `name` the temporary file is `temp_of(path, name)`, which can be found again after a crash.
    """
    with _temp_beside(path, name) as temp:
        with _create(temp) as file:
            fault_points.point("store.temp_opened")
            file.write(data)
            _sync_written(file)
        return Staged(path, temp, hashlib.sha256(data).hexdigest(), len(data))


def stage_written(path: Path, write: Callable[[Path], None]) -> Staged:
    """As `stage`, of a file that `write` makes under the temporary name. Raises what `write` raises, and OSError."""
    with _temp_beside(path) as temp:
        _create(temp).close()
        fault_points.point("store.temp_opened")
        write(temp)
        descriptor = os.open(temp, os.O_RDONLY | os.O_CLOEXEC)
        try:
            fault_points.point("store.temp_written")
            _sync(descriptor)
            fault_points.point("store.temp_synced")
        finally:
            os.close(descriptor)
        return Staged(path, temp, sha256_file(temp), temp.stat().st_size)


def stage_copy(source: Path, path: Path, sha256: str) -> Staged:
    """Stage `source` beside `path`, as a hard link where possible, else as a copy.

    Raises StoreError if its content does not have the hash `sha256` or it is not a regular file, and OSError.
    """
    if not stat.S_ISREG(source.lstat().st_mode):
        raise StoreError(f"{source}: not a regular file")
    with _temp_beside(path) as temp:
        try:
            os.link(source, temp)
        except OSError as error:
            if error.errno not in NO_HARD_LINK:
                raise
            found, size = _copy(source, temp)
        else:
            fault_points.point("store.linked")
            found, size = sha256_file(temp), temp.stat().st_size
        if found != sha256:
            raise StoreError(f"{source}: changed since it was written (sha256 {found[:12]}…, not {sha256[:12]}…)")
        return Staged(path, temp, found, size)


def write_atomically(path: Path, data: bytes) -> Written:
    """Write `data` to `path`, durably: the file is complete or unchanged. Raises OSError."""
    with stage(path, data) as staged:
        staged.publish()
    return Written(staged.sha256, staged.size)


def write_manifest(path: Path, document: Mapping[str, Any]) -> Written:
    """Write `document` as JSON. Raises OSError, and ValueError for a NaN or an infinity in it."""
    return write_atomically(path, json_bytes(document))


def json_bytes(document: Mapping[str, Any]) -> bytes:
    """Raises ValueError for a NaN or an infinity in the document."""
    return (json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False) + "\n").encode()


def sha256_file(path: Path) -> str:
    """The hash of a file's bytes, in hex. Raises OSError."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def sweep(folder: Path, older_than_s: float, now: float, keep: Set[str] = frozenset()) -> list[Path]:
    """Remove the temporary files under `folder` that are older than `older_than_s`, except those with a name in `keep`.

    Returns their paths. `now` is Unix time. The age of a file is that of the last change to its inode: a new link to an
    old file is new.
    """
    swept = []
    for parent, _, names in os.walk(folder):
        for name in names:
            temp = Path(parent, name)
            if not name.startswith(TEMP_PREFIX) or name in keep:
                continue
            with contextlib.suppress(FileNotFoundError):
                if now - temp.lstat().st_ctime > older_than_s:
                    temp.unlink()
                    swept.append(temp)
    return swept


def check_writable(out: Path, need_bytes: int) -> None:
    """Check that `need_bytes` can be written to `out`, and create the folder. Raises StoreError with the reason."""
    try:
        make_folder(out)
        longest = os.pathconf(out, "PC_PATH_MAX")
        with _temp_beside(out / "probe") as temp:
            with _create(temp) as file:
                file.write(b"\0")
            temp.unlink()
        free = shutil.disk_usage(out).free
    except (OSError, ValueError) as error:  # ValueError: NUL in the path
        reason = error.strerror if isinstance(error, OSError) else str(error)
        kind = NoRoom if isinstance(error, OSError) and error.errno in NO_ROOM else StoreError
        raise kind(f"output folder {out} cannot be written: {reason}; choose another with --out") from error
    if len(os.fsencode(out.absolute())) + ROOM_FOR_NAMES > longest:
        raise StoreError(f"output folder {out}: the path is too long for files in it (limit {longest} bytes)")
    if free < need_bytes:
        raise NoRoom(
            f"output folder {out}: about {need_bytes / 1e6:.1f} MB needed, {free / 1e6:.1f} MB free; "
            "make room or choose another with --out"
        )


def make_folder(folder: Path) -> None:
    """Create `folder` and its parents durably. Raises OSError."""
    if folder.is_dir():
        return
    if folder.parent != folder:
        make_folder(folder.parent)
    try:
        folder.mkdir()
    except FileExistsError:
        if not folder.is_dir():
            raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(folder)) from None
    sync_folder(folder.parent)


def sync_folder(folder: Path) -> None:
    """Make the names in `folder` durable. Raises OSError."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        _sync(descriptor)
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def _temp_beside(path: Path, name: str | None = None) -> Iterator[Path]:
    """A temporary name in `path`'s folder; removed if the body fails."""
    make_folder(path.parent)
    fault_points.point("store.begin")
    temp = temp_of(path, name)
    try:
        yield temp
    except BaseException:
        temp.unlink(missing_ok=True)
        raise


def _create(temp: Path) -> BinaryIO:
    descriptor = os.open(temp, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o666)
    return os.fdopen(descriptor, "wb")


def _copy(source: Path, temp: Path) -> Written:
    digest, size = hashlib.sha256(), 0
    with source.open("rb") as old, _create(temp) as new:
        fault_points.point("store.temp_opened")
        while block := old.read(BLOCK):
            digest.update(block)
            size += new.write(block)
        _sync_written(new)
    return Written(digest.hexdigest(), size)


def _sync_written(file: BinaryIO) -> None:
    file.flush()
    fault_points.point("store.temp_written")
    _sync(file.fileno())
    fault_points.point("store.temp_synced")


def _sync(descriptor: int) -> None:
    """fsync; on macOS also the drive's own cache, which fsync does not flush there."""
    full = getattr(fcntl, "F_FULLFSYNC", None)
    if full is not None:
        try:
            fcntl.fcntl(descriptor, full)
            return
        except OSError as error:  # network and foreign file systems support fsync only
            if error.errno not in (errno.ENOTSUP, errno.EINVAL, errno.ENOTTY):
                raise
    os.fsync(descriptor)
