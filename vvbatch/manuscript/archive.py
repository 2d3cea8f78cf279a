"""ZIP archives of unknown origin: EPUB and DOCX. What is too large, encrypted or points elsewhere is refused.

Nothing is unpacked to a disk, and no name in an archive is used as a path.
"""

from __future__ import annotations

import lzma
import posixpath
import re
import struct
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO, NoReturn
from urllib.parse import unquote

from vvbatch.manuscript.model import ManuscriptError

MAX_ENTRIES = 5000
MAX_DIRECTORY_BYTES = 4 << 20
MAX_FILE_BYTES = 16 << 20
MAX_TOTAL_BYTES = 64 << 20
MAX_RATIO, RATIO_FROM_BYTES = 200, 1 << 20
_END, _END_64, _LOCATOR_64 = b"PK\5\6", b"PK\6\6", b"PK\6\7"
_ENCRYPTED = 0x1
_BROKEN = (
    zipfile.BadZipFile,
    zlib.error,
    lzma.LZMAError,
    EOFError,
    struct.error,
    NotImplementedError,
    RuntimeError,
    ValueError,
    IndexError,
    OSError,
)
_DRIVE = re.compile(r"[A-Za-z]:")


@dataclass
class Archive:
    """The files of an open archive by their names. `read` counts what is really unpacked."""

    path: Path
    file: zipfile.ZipFile
    entries: dict[str, zipfile.ZipInfo] = field(default_factory=dict)
    total: int = 0

    def __contains__(self, name: str) -> bool:
        return name in self.entries

    def read(self, name: str, longest: int = MAX_FILE_BYTES) -> bytes:
        """The content of an entry. Raises KeyError for a name that is none, and ManuscriptError."""
        entry = self.entries[name]
        if entry.flag_bits & _ENCRYPTED:
            self.refuse(f"{name!r} is encrypted with a password", "remove the password first")
        data = bytearray()
        try:
            with self.file.open(entry) as stream:
                while block := stream.read(1 << 16):
                    data += block
                    self._check(name, entry, len(data), longest)
        except _BROKEN as error:
            raise ManuscriptError(
                self.path, f"{name!r} is damaged ({_reason(error)})", "export the manuscript again"
            ) from error
        self.total += len(data)
        return bytes(data)

    def _check(self, name: str, entry: zipfile.ZipInfo, size: int, longest: int) -> None:
        if size > longest:
            self.refuse(f"{name!r} unpacks to more than {longest >> 20} MiB", "split the manuscript")
        if self.total + size > MAX_TOTAL_BYTES:
            self.refuse(f"it unpacks to more than {MAX_TOTAL_BYTES >> 20} MiB of text", "split the manuscript")
        if size > RATIO_FROM_BYTES and size > MAX_RATIO * max(entry.compress_size, 1):
            self.refuse(f"{name!r} unpacks to more than {MAX_RATIO} times its size (a zip bomb)", "do not trust it")

    def refuse(self, found: str, remedy: str) -> NoReturn:
        raise ManuscriptError(self.path, found, remedy)


@contextmanager
def opened(path: Path) -> Iterator[Archive]:
    """The archive at `path`. Raises ManuscriptError for anything but a complete, harmless one."""
    try:
        with path.open("rb") as raw:
            _check_directory(path, raw)
        file = zipfile.ZipFile(path)
    except _BROKEN as error:
        found = f"not a complete ZIP archive ({_reason(error)})"
        raise ManuscriptError(path, found, "export the manuscript again, or download it again") from error
    with file:
        archive = Archive(path, file)
        for entry in file.infolist():
            _check_name(archive, entry)
            archive.entries[entry.filename] = entry
        yield archive


def resolved(base: str, href: str) -> tuple[str, str] | None:
    """The name of the file that a link in the file `base` points to, and the fragment; None if it leads out."""
    target, _, fragment = href.strip().partition("#")
    if re.match(r"[A-Za-z][A-Za-z0-9+.-]*:", target) or target.startswith(("/", "\\")):
        return None
    name = unquote(target.partition("?")[0])
    if "\0" in name or "\\" in name:
        return None
    joined = posixpath.normpath(posixpath.join(posixpath.dirname(base), name)) if name else base
    return None if joined.startswith("..") else (joined, unquote(fragment))


def _check_name(archive: Archive, entry: zipfile.ZipInfo) -> None:
    name = entry.filename
    shown = ascii(name[:80])
    if name.startswith(("/", "\\")) or _DRIVE.match(name):
        archive.refuse(f"it holds an absolute path, {shown}", "do not trust it")
    if ".." in re.split(r"[/\\]", name):
        archive.refuse(f"it holds a path out of its folder, {shown}", "do not trust it")
    if name in archive.entries:
        archive.refuse(f"it holds {shown} twice", "export the manuscript again")


def _check_directory(path: Path, raw: BinaryIO) -> None:
    """Refuse an archive of too many entries before its directory is read into memory."""
    raw.seek(max(0, raw.seek(0, 2) - (1 << 16) - 64))
    tail = raw.read()
    end = tail.rfind(_END)
    if end < 0 or len(tail) < end + 22:
        return  # zipfile says what is wrong
    entries, directory = struct.unpack_from("<HI", tail, end + 10)
    if end >= 20 and tail[end - 20 : end - 16] == _LOCATOR_64:
        raw.seek(struct.unpack_from("<Q", tail, end - 12)[0])
        record = raw.read(56)
        if len(record) == 56 and record.startswith(_END_64):
            entries, directory = struct.unpack_from("<QQ", record, 32)
    if entries > MAX_ENTRIES or directory > MAX_DIRECTORY_BYTES:
        found = f"an archive of {entries:,} files with a directory of {directory / 2**20:.1f} MiB"
        raise ManuscriptError(path, found, f"a manuscript has at most {MAX_ENTRIES:,} files")


def _reason(error: BaseException) -> str:
    return (str(error) or type(error).__name__)[:120]
