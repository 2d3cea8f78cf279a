"""`python -P -m vvbatch.listening words voice …`: the listening process.

Requests come on stdin, replies go to stdout (`wire`).
"""

from __future__ import annotations

import contextlib
import os
import queue
import sys
import threading
from collections.abc import Callable, Sequence
from typing import IO, cast

import numpy as np
from numpy.typing import NDArray

from vvbatch.listening.contract import ListeningUnavailable, Model
from vvbatch.listening.models import ListeningModels
from vvbatch.listening.wire import CheckRequest, Reply, read_request, write
from vvbatch.profiles import Listen

NICE = 15
"""At this niceness the process gets about a thirtieth of a core while the engine uses all cores."""
BATCH = 8  # requests checked at once

Received = tuple[CheckRequest, NDArray[np.float32]]


def main(open_models: Callable[[Sequence[Listen], int], Model] = ListeningModels.open) -> int:
    """Returns the exit code: 0 when the worker closes its end, 3 when a model is missing. Tests pass `open_models`."""
    # Output that a library prints must not mix with the replies.
    replies = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    with contextlib.suppress(OSError):
        os.nice(NICE)
    threads = int(os.environ.get("VVBATCH_LISTENER_THREADS", "2"))
    os.environ.update(OMP_NUM_THREADS=str(threads), HF_HUB_OFFLINE="1", TOKENIZERS_PARALLELISM="false")

    try:
        models = open_models(cast("Sequence[Listen]", sys.argv[1:]), threads)
    except ListeningUnavailable as error:
        write(replies, Reply(unavailable=str(error)))
        return 3
    write(replies, Reply(ready=models.versions))
    serve(models, sys.stdin.buffer, replies)
    return 0


def serve(models: Model, requests: IO[bytes], replies: IO[bytes]) -> None:
    """Answer requests until their stream ends. Requests that wait are checked together, at most BATCH at a time."""
    waiting: queue.SimpleQueue[Received | None] = queue.SimpleQueue()
    threading.Thread(target=read_all, args=(requests, waiting), daemon=True).start()
    while (first := waiting.get()) is not None:
        batch = [first]
        while len(batch) < BATCH and not waiting.empty():
            received = waiting.get()
            if received is None:
                return
            batch.append(received)
        for reply in replies_to(models, batch):
            write(replies, reply)


def replies_to(models: Model, batch: Sequence[Received]) -> list[Reply]:
    """When a batch fails, each of its requests is checked alone, so that only the cause gets an error."""
    try:
        checked = models.check([request.clip(samples) for request, samples in batch])
    except Exception as error:
        if len(batch) == 1:
            return [Reply(id=batch[0][0].id, error=f"{type(error).__name__}: {error}")]
        return [reply for one in batch for reply in replies_to(models, [one])]
    return [Reply(id=request.id, checks=checks) for (request, _), checks in zip(batch, checked, strict=True)]


def read_all(requests: IO[bytes], waiting: queue.SimpleQueue[Received | None]) -> None:
    """Put every request into the queue, and None at the end."""
    try:
        while (received := read_request(requests)) is not None:
            waiting.put(received)
    finally:
        waiting.put(None)


if __name__ == "__main__":
    sys.exit(main())
