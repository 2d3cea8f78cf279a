"""Named places at which a test may let the process die or an operating system call fail.

`VVBATCH_FAULTS="store.temp_written=kill,store.renamed@3=ENOSPC"` kills the process with SIGKILL at the first visit of
one point and raises OSError(ENOSPC) at the third visit of another; `stop` is SIGSTOP. Without the variable a point does
nothing.
"""

from __future__ import annotations

import errno
import os
import signal
from collections import Counter

POINTS = (
    "queue.dequeued",  # a worker has the job, the ledger does not know yet
    "render.claimed",  # the line is the worker's
    "store.begin",  # the folder is there
    "store.temp_opened",
    "store.temp_written",
    "store.temp_synced",
    "store.linked",  # a cached take's file has a second, temporary name
    "pending.noted",  # the finished take is known to who comes after a crash
    "pending.published",  # … and its file in place, by who came after a crash; without its row
    "store.renamed",
    "store.folder_synced",
    "ledger.recorded",  # not committed
    "ledger.committed",
    "batch.settled",  # ended, without its manifest
    "manifest.written",  # and not recorded
    "submit.recorded",  # and not queued
)

_visits: Counter[str] = Counter()


def point(name: str) -> None:
    """Do here what VVBATCH_FAULTS says for `name`. Raises OSError, or ValueError if the variable cannot be read."""
    told = os.environ.get("VVBATCH_FAULTS")
    if not told:
        return
    _visits[name] += 1
    for fault in told.split(","):
        place, _, action = fault.strip().partition("=")
        where, _, visit = place.partition("@")
        if where == name and _visits[name] == int(visit or 1):
            _strike(name, action)


def _strike(name: str, action: str) -> None:
    if action in ("kill", "stop"):
        os.kill(os.getpid(), signal.SIGKILL if action == "kill" else signal.SIGSTOP)
        return
    number = getattr(errno, action, None)
    if number is None:
        raise ValueError(f"VVBATCH_FAULTS: {name}={action}: allowed are kill, stop and errno names such as ENOSPC")
    raise OSError(number, f"{os.strerror(number)} (asked for by VVBATCH_FAULTS at {name})")
