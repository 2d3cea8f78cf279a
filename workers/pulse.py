"""Deadline file: when the worker promises progress, and the watchdog process that kills it when there is none.

The deadline is a number on the monotonic clock that both processes share. The watchdog needs nothing from the worker:
it works while the worker hangs in a C call, holds the interpreter's lock, or is stopped.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

LOADING_S = 3600.0  # a model from a slow disk, converted, warmed up
BETWEEN_STEPS_S = 300.0  # writing files, waiting for a locked ledger or a server that does not answer
WIDTH = 32


class Pulse:
    """Use as a context manager. Call `allow` before each piece of work."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        self.allow(LOADING_S)
        self.watchdog = subprocess.Popen(
            [sys.executable, "-I", "-S", str(Path(__file__).with_name("watchdog.py")), str(os.getpid()), str(path)],
            stdin=subprocess.PIPE,  # closed when the worker ends
            stdout=subprocess.DEVNULL,
            start_new_session=True,  # signals to the worker's group must not end it
        )

    def allow(self, seconds: float) -> None:
        """Set the deadline: without another call within this time the worker is killed."""
        os.pwrite(self.descriptor, f"{time.monotonic() + seconds:<{WIDTH}.3f}".encode(), 0)

    def __enter__(self) -> Pulse:
        return self

    def __exit__(self, *_: object) -> None:
        assert self.watchdog.stdin is not None
        self.watchdog.stdin.close()
        self.watchdog.wait()
        os.close(self.descriptor)
        self.path.unlink(missing_ok=True)
