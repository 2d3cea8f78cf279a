"""A listener whose verdicts are ready at once, in the place of `vvbatch.listening`:
`python -m tests.support.ready_listening words`.

What it hears is steered by words in the text: `mumbled` fails the check `wer`, `deafening` ends the process with
SIGKILL, `puzzling` cannot be judged, `awaited` is answered when the file $READY_LISTENING_GO is there.

READY_LISTENING_LOG is a file that gets a line for each take that is evaluated: its id and the process.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path

from vvbatch.listening.wire import CheckRequest, Reply, read_request, write
from vvbatch.qc.check import at_most


def answer(ask: CheckRequest) -> Reply:
    words = (ask.text or "").casefold()
    if file := os.environ.get("READY_LISTENING_LOG"):
        with Path(file).open("a") as log:
            log.write(f"{ask.id} {os.getpid()}\n")
    if "deafening" in words:
        os.kill(os.getpid(), signal.SIGKILL)
    while "awaited" in words and not Path(os.environ["READY_LISTENING_GO"]).exists():
        time.sleep(0.02)
    if "puzzling" in words:
        return Reply(id=ask.id, error="ValueError: nothing can be made of it")
    wrong = 0.8 if "mumbled" in words else 0.02
    return Reply(id=ask.id, checks=[at_most("wer", wrong, 0.25, {"missing": ["word"]})])


def main() -> int:
    pipe = sys.stdout.buffer
    write(pipe, Reply(ready={"ready listening": "1"}))
    while (found := read_request(sys.stdin.buffer)) is not None:
        write(pipe, answer(found[0]))
    return 0


if __name__ == "__main__":
    sys.exit(main())
