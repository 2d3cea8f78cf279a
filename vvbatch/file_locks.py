"""Locks on files that are waited for with an end, and which process holds one."""

from __future__ import annotations

import fcntl
import os
import re
import time
from pathlib import Path

LOCKS = Path("/proc/locks")


def locked(descriptor: int, operation: int, within_s: float) -> bool:
    """Whether the lock, `fcntl.LOCK_SH` or `fcntl.LOCK_EX`, was taken within this time."""
    until = time.monotonic() + within_s
    while True:
        try:
            fcntl.flock(descriptor, operation | fcntl.LOCK_NB)
            return True
        except BlockingIOError:
            if time.monotonic() >= until:
                return False
        time.sleep(0.01)


def holders(descriptor: int, locks: Path = LOCKS) -> list[int]:
    """The processes that took a lock on the file, as Linux lists them; empty where the system does not say."""
    status = os.fstat(descriptor)
    file = f"{os.major(status.st_dev):02x}:{os.minor(status.st_dev):02x}:{status.st_ino}"
    try:
        rows = locks.read_text().splitlines()
    except OSError:
        return []
    pattern = re.compile(rf"\d+:\s+FLOCK\s+\S+\s+\S+\s+(\d+)\s+{re.escape(file)}\s")
    return sorted({int(found[1]) for row in rows if (found := pattern.match(row))} - {os.getpid()})


def held_by(descriptor: int, path: Path, locks: Path = LOCKS) -> str:
    """Who holds the lock on the file at `path`, as a phrase for a message with a remedy."""
    found = holders(descriptor, locks)
    if not found:
        return f"another process holds {path}: end it (`lsof {path}` shows it)"
    shown = " ".join(map(str, found))
    return f"process {', '.join(map(str, found))} holds {path}: end it (kill -9 {shown}), or let it finish"
