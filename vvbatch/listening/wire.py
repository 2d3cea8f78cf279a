"""The messages between a worker and its listening process: one line of JSON each; a request's samples follow it.

→ {"id", "frames", "sample_rate", "text", "voice", "limits"} \\n float32 samples, little-endian
← {"ready": versions} · {"unavailable": reason} · {"id", "checks"} · {"id", "error"}
"""

from __future__ import annotations

from pathlib import Path
from typing import IO

import msgspec
import numpy as np
from numpy.typing import NDArray

from vvbatch.listening.contract import Clip
from vvbatch.profiles import QcLimits
from vvbatch.qc.check import Check

LONGEST_HEADER = 4 << 20  # bytes


class CheckRequest(msgspec.Struct, frozen=True, kw_only=True):
    """The header of a request; `frames` float32 samples follow."""

    id: str
    frames: int
    sample_rate: int
    text: str | None
    voice: str | None
    limits: QcLimits
    language: str | None = None
    written: str | None = None

    def clip(self, samples: NDArray[np.float32]) -> Clip:
        """The request with its samples (frames,)."""
        voice = Path(self.voice) if self.voice else None
        return Clip(samples, self.sample_rate, self.text, voice, self.limits, self.language, self.written)


class Reply(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """First `ready` or `unavailable`; then for each request its `checks` or an `error`."""

    ready: dict[str, str] | None = None
    unavailable: str | None = None
    id: str | None = None
    checks: list[Check] | None = None
    error: str | None = None


def write(pipe: IO[bytes], message: CheckRequest | Reply, samples: NDArray[np.float32] | None = None) -> None:
    """Write a message, and the samples (frames,) of a request. Raises OSError when the reader has closed the pipe."""
    pipe.write(msgspec.json.encode(message) + b"\n")
    if samples is not None:
        pipe.write(np.ascontiguousarray(samples, "<f4").data)
    pipe.flush()


def read_request(pipe: IO[bytes]) -> tuple[CheckRequest, NDArray[np.float32]] | None:
    """The next request with its samples (frames,); None at the end of the stream. Raises msgspec.DecodeError."""
    line = pipe.readline(LONGEST_HEADER)
    if not line:
        return None
    request = msgspec.json.decode(line, type=CheckRequest)
    data = pipe.read(4 * request.frames)
    return (request, np.frombuffer(data, "<f4")) if len(data) == 4 * request.frames else None


def read_reply(pipe: IO[bytes]) -> Reply | None:
    """The next reply; None at the end of the stream. Raises msgspec.DecodeError."""
    line = pipe.readline()
    return msgspec.json.decode(line, type=Reply) if line else None
