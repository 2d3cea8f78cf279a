"""`python -m vvbatch.listening words voice …`: the listener's process. Takes on stdin, verdicts on stdout (`wire`)."""

from __future__ import annotations

import contextlib
import os
import queue
import sys
import threading
from pathlib import Path
from typing import IO

import numpy as np
from numpy.typing import NDArray

from vvbatch import listening as heard_with
from vvbatch.listening import Ears, EarsUnavailable, Heard
from vvbatch.listening.wire import Answer, Ask, read_ask, write

NICE = 15
"""A thirtieth of a core's time while the engine wants all of it; everything that the engine leaves."""
BATCH = 8


def main() -> int:
    # What a library prints must not land among the answers.
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    with contextlib.suppress(OSError):
        os.nice(NICE)
    threads = int(os.environ.get("VVBATCH_LISTENER_THREADS", "2"))
    os.environ.update(OMP_NUM_THREADS=str(threads), HF_HUB_OFFLINE="1", TOKENIZERS_PARALLELISM="false")

    try:
        ears = heard_with.Ears.open(sys.argv[1:], threads)  # type: ignore[arg-type]
    except EarsUnavailable as error:
        write(answers, Answer(unavailable=str(error)))
        return 3
    write(answers, Answer(ready=ears.versions))
    serve(ears, sys.stdin.buffer, answers)
    return 0


def serve(ears: Ears, asks: IO[bytes], answers: IO[bytes]) -> None:
    """Until the worker closes its end: whatever waits, at most BATCH takes at a time."""
    waiting: queue.SimpleQueue[tuple[Ask, NDArray[np.float32]] | None] = queue.SimpleQueue()
    threading.Thread(target=read, args=(asks, waiting), daemon=True).start()
    while (first := waiting.get()) is not None:
        batch = [first]
        while len(batch) < BATCH and not waiting.empty():
            found = waiting.get()
            if found is None:
                return
            batch.append(found)
        for answer in answer_all(ears, batch):
            write(answers, answer)


def answer_all(ears: Ears, batch: list[tuple[Ask, NDArray[np.float32]]]) -> list[Answer]:
    """A take that cannot be heard must not take the others of its batch with it: then each is heard alone."""
    try:
        heard = ears.hear([as_heard(ask, samples) for ask, samples in batch])
    except Exception as error:
        if len(batch) == 1:
            return [Answer(id=batch[0][0].id, error=f"{type(error).__name__}: {error}")]
        return [answer for one in batch for answer in answer_all(ears, [one])]
    return [Answer(id=ask.id, checks=checks) for (ask, _), checks in zip(batch, heard, strict=True)]


def as_heard(ask: Ask, samples: NDArray[np.float32]) -> Heard:
    return Heard(samples, ask.sample_rate, ask.text, Path(ask.voice) if ask.voice else None, ask.limits)


def read(asks: IO[bytes], waiting: queue.SimpleQueue[tuple[Ask, NDArray[np.float32]] | None]) -> None:
    try:
        while (found := read_ask(asks)) is not None:
            waiting.put(found)
    finally:
        waiting.put(None)


if __name__ == "__main__":
    sys.exit(main())
