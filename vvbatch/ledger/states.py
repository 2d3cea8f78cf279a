"""The states of batches, lines and takes, priorities, and the kinds of trouble, as the ledger stores them."""

from __future__ import annotations

from enum import StrEnum

INTERACTIVE = "interactive"
"""Of speech that a client waits for: before all batches, first come first served."""
PRIORITIES = (INTERACTIVE, "high", "normal", "low")
"""Of batches, most urgent first."""


class BatchState(StrEnum):
    OPEN = "open"
    PAUSED = "paused"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"


class LineState(StrEnum):
    QUEUED = "queued"
    RENDERING = "rendering"
    DONE = "done"
    CACHED = "cached"  # served by an equal take
    FAILED = "failed"
    CANCELLED = "cancelled"


class TakeState(StrEnum):
    RENDERING = "rendering"
    DONE = "done"
    FAILED_QC = "failed_qc"
    FAILED = "failed"
    CRASHED = "crashed"  # its worker died
    CANCELLED = "cancelled"
    SUPERSEDED = "superseded"  # another take, or another worker's, was kept
    REJECTED = "rejected"  # by somebody who listened to it: it serves no line any more


GOOD_TAKES = (TakeState.DONE, TakeState.SUPERSEDED, TakeState.REJECTED)
"""Takes that passed their checks."""


class Trouble(StrEnum):
    """Why a line was not rendered; `retries` in a profile has a limit for each but INPUT."""

    INPUT = "input"  # the line itself cannot be rendered
    QC = "qc"
    ENGINE = "engine"  # no audio, or audio that no text can explain
    CRASH = "crash"
    TIMEOUT = "timeout"
    LISTEN = "listen"  # the listening models gave no verdict
    RESOURCE = "resource"  # the output folder did not take the file
