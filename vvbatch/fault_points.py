"""Named points in the code at which a test can kill the process or make a system call fail.

`VVBATCH_FAULTS="store.temp_written=kill,store.renamed@3=ENOSPC"` kills the process with SIGKILL at the first visit of
one point and raises OSError(ENOSPC) at the third visit of another; `stop` sends SIGSTOP. Without the variable a point
does nothing.
"""

from __future__ import annotations

import errno
import os
import signal
from collections import Counter

POINTS = (
    "queue.dequeued",  # a worker has the job, the ledger has no claim yet
    "render.claimed",  # the ledger has the claim
    "store.begin",  # the folder exists
    "store.temp_opened",
    "store.temp_written",
    "store.temp_synced",
    "store.linked",  # a cached take's file has a second, temporary name
    "pending.noted",  # the finished take is noted, for recovery after a crash
    "pending.published",  # recovery has put its file in place; its row is missing
    "store.renamed",
    "store.folder_synced",
    "ledger.recorded",  # in a transaction that is not committed
    "ledger.committed",
    "batch.settled",  # the batch has ended; its manifest is missing
    "manifest.written",  # its hash is not in the ledger
    "book.chapter_written",  # the packets of a chapter are in a temporary file
    "book.encoded",  # all chapters are in the cache, no file of the book is written
    "book.published",  # a file of the book is in place; its row is missing
    "book.recorded",  # files and levels are in the ledger
    "submit.recorded",  # the lines are not queued
    "reject.copied",  # the rejected take has a file of its own; its row is as before
    "reject.recorded",  # in a transaction that is not committed
    "reject.committed",  # the lines are not queued in Redis
    "prefer.copied",  # the take that was kept has a file of its own; its row is as before
    "prefer.published",  # the preferred take is the line's file; its row is as before
    "prefer.committed",  # the batch is open, its manifest as before
)

_visits: Counter[str] = Counter()


def point(name: str) -> None:
    """Apply the fault that VVBATCH_FAULTS sets for `name`. Raises OSError, or ValueError for an unknown action."""
    faults = os.environ.get("VVBATCH_FAULTS")
    if not faults:
        return
    _visits[name] += 1
    for fault in faults.split(","):
        target, _, action = fault.strip().partition("=")
        point_name, _, visit = target.partition("@")
        if point_name == name and _visits[name] == int(visit or 1):
            _strike(name, action)


def _strike(name: str, action: str) -> None:
    if action in ("kill", "stop"):
        os.kill(os.getpid(), signal.SIGKILL if action == "kill" else signal.SIGSTOP)
        return
    number = getattr(errno, action, None)
    if number is None:
        raise ValueError(f"VVBATCH_FAULTS: {name}={action}: allowed are kill, stop and errno names such as ENOSPC")
    raise OSError(number, f"{os.strerror(number)} (injected by VVBATCH_FAULTS at {name})")
