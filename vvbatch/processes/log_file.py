"""A log file of limited size, for a process whose output is not rotated by the system."""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from logging.handlers import RotatingFileHandler
from pathlib import Path

FILE_BYTES = 10 << 20
KEPT = 5


class LineFile(RotatingFileHandler):
    def handleError(self, record: logging.LogRecord) -> None:
        """The disk is full: drop the line. A report on stderr would come back through the pipe, and fail again."""


@contextmanager
def output_to(path: Path, file_bytes: int = FILE_BYTES, kept: int = KEPT) -> Iterator[None]:
    """Send stdout and stderr of this process and its children to `path`, line by line, with rotation.

    Everything is written when the block ends, if the children have ended by then. Raises OSError.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    handler = LineFile(path, maxBytes=file_bytes, backupCount=kept, encoding="utf-8", errors="replace")
    reading, writing = os.pipe()
    saved = [os.dup(1), os.dup(2)]
    for number in (1, 2):
        os.dup2(writing, number)
    os.close(writing)
    pump = threading.Thread(target=copy_lines, args=(reading, handler), name="log", daemon=True)
    pump.start()
    try:
        yield
    finally:
        for number, kept_open in zip((1, 2), saved, strict=True):
            os.dup2(kept_open, number)
            os.close(kept_open)
        pump.join(timeout=5)  # ends when the last process that holds the pipe has ended
        handler.close()


def copy_lines(reading: int, handler: logging.Handler) -> None:
    with os.fdopen(reading, encoding="utf-8", errors="replace") as lines:
        for line in lines:
            record = logging.LogRecord("output", logging.INFO, "", 0, line.rstrip("\n"), None, None)
            handler.handle(record)
