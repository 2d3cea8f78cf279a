"""What a worker and its listener say to each other: a line of JSON, and after a request the take's samples.

→ {"id", "frames", "sample_rate", "text", "voice", "limits"} \\n float32 samples, little-endian
← {"ready": versions} · {"unavailable": why} · {"id", "checks"} · {"id", "error"}
"""

from __future__ import annotations

from typing import IO, Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from vvbatch.profiles import QcLimits
from vvbatch.qc.check import Check

LONGEST_HEADER = 4 << 20


class Ask(msgspec.Struct, frozen=True, kw_only=True):
    id: str
    frames: int
    sample_rate: int
    text: str | None
    voice: str | None
    limits: QcLimits


class Answer(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    ready: dict[str, str] | None = None
    unavailable: str | None = None
    id: str | None = None
    checks: list[Check] | None = None
    error: str | None = None


def write(pipe: IO[bytes], message: msgspec.Struct, samples: NDArray[np.float32] | None = None) -> None:
    pipe.write(msgspec.json.encode(message) + b"\n")
    if samples is not None:
        pipe.write(np.ascontiguousarray(samples, "<f4").data)
    pipe.flush()


def read_ask(pipe: IO[bytes]) -> tuple[Ask, NDArray[np.float32]] | None:
    """The next request; None at the end. Raises msgspec.DecodeError."""
    line = pipe.readline(LONGEST_HEADER)
    if not line:
        return None
    ask = msgspec.json.decode(line, type=Ask)
    data = pipe.read(4 * ask.frames)
    return (ask, np.frombuffer(data, "<f4")) if len(data) == 4 * ask.frames else None


def read_answer(pipe: IO[bytes]) -> Answer | None:
    line: Any = pipe.readline()
    return msgspec.json.decode(line, type=Answer) if line else None
