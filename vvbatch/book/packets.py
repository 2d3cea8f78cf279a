"""Encoded chapters in a cache: their packets as the encoder gave them, to be muxed again and again.

A file holds the packets one after the other, their sizes (uint32), a header (msgpack), and 24 bytes that say how long
these are. It is complete or absent.
"""

from __future__ import annotations

import contextlib
import os
import struct
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import BinaryIO

import msgspec
import numpy as np
from numpy.typing import NDArray

from vvbatch import store
from vvbatch.book.limiter import Window
from vvbatch.book.loudness import Energies

END = struct.Struct("<QQ8s")
MAGIC = b"vvbook1\n"
READ = 1 << 20


class Header(msgspec.Struct, frozen=True):
    """What is known of an encoded chapter."""

    codec: str
    kbps: int
    rate: int
    samples: int
    """At the codec's rate: how far the next chapter's start lies behind this one's."""
    source_samples: int  # of the chapter before encoding, at its own rate
    extradata: bytes
    weighted: bytes
    plain: bytes
    true_peak_dbtp: float
    """Decoded again."""
    ceiling_dbtp: float
    windows: msgspec.Raw
    """What the limiter touched, as it is stored: thousands in a chapter, and a book has no use for them."""

    @property
    def energies(self) -> Energies:
        return Energies(np.frombuffer(self.weighted, np.float32), np.frombuffer(self.plain, np.float32))

    @property
    def limited(self) -> list[Window]:
        return msgspec.msgpack.decode(self.windows, type=list[Window])


class Packets:
    """An encoded chapter on disk."""

    def __init__(self, path: Path, header: Header, sizes: NDArray[np.uint32]) -> None:
        self.path, self.header, self.sizes = path, header, sizes

    def __iter__(self) -> Iterator[bytes]:
        return packets_in(self.path, self.sizes.tolist())


def packets_in(path: Path, sizes: Sequence[int]) -> Iterator[bytes]:
    """Raises OSError."""
    with path.open("rb", buffering=READ) as file:
        for size in sizes:
            packet = file.read(size)
            if len(packet) != size:
                raise OSError(f"{path} is cut")
            yield packet


class PacketWriter:
    """Writes one file of packets under a temporary name; `finish` gives it its name."""

    def __init__(self, path: Path) -> None:
        store.make_folder(path.parent)
        self.path, self.temp = path, store.temp_of(path)
        self.file: BinaryIO = self.temp.open("xb")
        self.sizes: list[int] = []

    def add(self, packet: bytes) -> None:
        self.file.write(packet)
        self.sizes.append(len(packet))

    def finish(self, header: Header) -> Packets:
        sizes = np.asarray(self.sizes, np.uint32)
        described = msgspec.msgpack.encode(header)
        self.file.write(sizes.tobytes())
        self.file.write(described)
        self.file.write(END.pack(len(sizes), len(described), MAGIC))
        self.file.flush()
        os.fsync(self.file.fileno())
        self.file.close()
        self.temp.replace(self.path)
        return Packets(self.path, header, sizes)

    def __enter__(self) -> PacketWriter:
        return self

    def __exit__(self, *_: object) -> None:
        self.file.close()
        with contextlib.suppress(OSError):
            self.temp.unlink()


def read_packets(path: Path) -> Packets | None:
    """None if there is no such file, or it is not whole; a whole one counts as used now."""
    try:
        with path.open("rb") as file:
            file.seek(-END.size, os.SEEK_END)
            end = file.tell()
            count, length, magic = END.unpack(file.read(END.size))
            if magic != MAGIC or 4 * count + length > end:
                return None
            file.seek(end - length - 4 * count)
            start = file.tell()
            sizes = np.frombuffer(file.read(4 * count), np.uint32)
            header = msgspec.msgpack.decode(file.read(length), type=Header)
            # A copy: the view keeps all bytes of the header in memory.
            header = msgspec.structs.replace(header, windows=header.windows.copy())
    except (OSError, struct.error, msgspec.DecodeError):
        return None
    if int(sizes.sum(dtype=np.uint64)) != start:
        return None
    os.utime(path)
    return Packets(path, header, sizes)
