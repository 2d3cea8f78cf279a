"""Kills its parent when the time that this allowed itself is over: `watchdog.py PID FILE`. Ends when its input does.

Started by workers.pulse with nothing but the standard library.
"""

import contextlib
import os
import select
import signal
import sys
import time

LOOK_S = 0.5


def watch(pid: int, path: str) -> int:
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)  # for the worker, which may still have to finish
    while not select.select([sys.stdin], [], [], LOOK_S)[0]:
        try:
            with open(path, encoding="ascii") as file:  # noqa: PTH123  pathlib costs start-up time
                allowed_until = float(file.read())
        except (OSError, ValueError):
            continue  # the worker is just beginning or ending
        if time.monotonic() > allowed_until and os.getppid() == pid:
            with contextlib.suppress(OSError):  # a disk that takes nothing: it then counts as a crash
                os.replace(path, f"{path}.hung")  # noqa: PTH105
            os.kill(pid, signal.SIGKILL)
            with contextlib.suppress(OSError):  # a terminal that is gone
                print(f"watchdog: worker {pid} has made no progress and is killed", file=sys.stderr, flush=True)
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(watch(int(sys.argv[1]), sys.argv[2]))
