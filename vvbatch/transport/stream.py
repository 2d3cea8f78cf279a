"""Chunks of a line on their way to somebody who listens while it is rendered: a short-lived list in Redis."""

from __future__ import annotations

import struct
from typing import cast

import numpy as np
import redis
from numpy.typing import NDArray

from vvbatch.engine.contract import SAMPLE_RATE

KEPT_S = 600  # a listener that went away must not fill Redis


def key_of(line_id: str) -> str:
    return f"vvbatch:stream:{line_id}"


class Stream:
    """The worker's end: PCM16 mono at 24 kHz, one list item a chunk, an empty one at the end."""

    def __init__(self, connection: redis.Redis, line_id: str) -> None:
        self.connection = connection
        self.key = key_of(line_id)

    def push(self, samples: NDArray[np.float32]) -> None:
        # Heard before it is judged: what is not a number is silence here; the take fails its check.
        heard = np.nan_to_num(samples, nan=0.0, posinf=0.0, neginf=0.0)
        self.send((np.clip(heard, -1.0, 1.0) * 32767.0).astype("<i2").tobytes())

    def end(self) -> None:
        self.send(b"")

    def send(self, data: bytes) -> None:
        with self.connection.pipeline() as pipeline:
            pipeline.rpush(self.key, data)
            pipeline.expire(self.key, KEPT_S)
            pipeline.execute()


def receive(connection: redis.Redis, line_id: str, timeout_s: float) -> bytes | None:
    """The next chunk as PCM16, empty at the line's end; None when nothing came in `timeout_s`."""
    item = connection.blpop([key_of(line_id)], timeout=timeout_s)
    return cast(bytes, item[1]) if item else None


def wav_header() -> bytes:
    """A RIFF header for a stream whose length nobody knows yet; players read on to the end."""
    unknown, byte_rate, block, bits = 0xFFFF_FFFF, SAMPLE_RATE * 2, 2, 16
    form = struct.pack("<4sIHHIIHH", b"fmt ", 16, 1, 1, SAMPLE_RATE, byte_rate, block, bits)
    return struct.pack("<4sI4s", b"RIFF", unknown, b"WAVE") + form + struct.pack("<4sI", b"data", unknown)
