"""A take on its way to a listener while it is rendered: a short-lived list of chunks in Redis."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import cast

import numpy as np
import redis
from numpy.typing import NDArray

from vvbatch.engine.contract import SAMPLE_RATE

KEPT_S = 600  # chunks that no client reads must not fill Redis
BEGIN = b"\x01"
"""The first item of a take is this and the take's id, of an odd length: PCM16 has an even number of bytes."""
END = b""


@dataclass(frozen=True)
class Begun:
    """A take begins."""

    take: str


def key_of(line_id: str) -> str:
    return f"vvbatch:stream:{line_id}"


class Stream:
    """The worker's end: a take's BEGIN, then PCM16 mono at 24 kHz, one list item a chunk, then END."""

    def __init__(self, connection: redis.Redis, line_id: str, take_id: str) -> None:
        self.connection = connection
        self.key = key_of(line_id)
        self.first = begin(take_id)
        self.begun = False

    def push(self, samples: NDArray[np.float32]) -> None:
        """Send float samples of shape (frames,). Raises RedisError."""
        # They are played before the take is checked: NaN and Inf become silence here, and fail the check.
        finite = np.nan_to_num(samples, nan=0.0, posinf=0.0, neginf=0.0)
        chunk = (np.clip(finite, -1.0, 1.0) * 32767.0).astype("<i2").tobytes()
        if chunk:  # an empty one would be the end
            self.send(*([] if self.begun else [self.first]), chunk)
            self.begun = True

    def end(self) -> None:
        self.send(END)

    def send(self, *items: bytes) -> None:
        with self.connection.pipeline() as pipeline:
            pipeline.rpush(self.key, *items)
            pipeline.expire(self.key, KEPT_S)
            pipeline.execute()


def begin(take_id: str) -> bytes:
    item = BEGIN + take_id.encode()
    return item if len(item) % 2 else item + b" "


def read(item: bytes) -> Begun | bytes:
    """An item of the list: that a take begins, a chunk of PCM16, or END."""
    return Begun(item[1:].decode().strip()) if len(item) % 2 else item


def receive(connection: redis.Redis, line_id: str, timeout_s: float) -> Begun | bytes | None:
    """The next item; None when nothing came within `timeout_s`.

    What is left is kept for KEPT_S from now: a player takes a chunk when it has played the one before.
    """
    key = key_of(line_id)
    item = connection.blpop([key], timeout=timeout_s)
    if not item:
        return None
    connection.expire(key, KEPT_S)
    return read(cast(bytes, item[1]))


def wav_header() -> bytes:
    """A RIFF header for a stream of unknown length; players read on to the end."""
    unknown, byte_rate, block, bits = 0xFFFF_FFFF, SAMPLE_RATE * 2, 2, 16
    form = struct.pack("<4sIHHIIHH", b"fmt ", 16, 1, 1, SAMPLE_RATE, byte_rate, block, bits)
    return struct.pack("<4sI4s", b"RIFF", unknown, b"WAVE") + form + struct.pack("<4sI", b"data", unknown)
