"""Kills its parent when the deadline in the parent's file has passed: `watchdog.py PID FILE`. Ends with its stdin.

Started by workers.pulse. Uses the standard library only.
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
        signal.signal(number, signal.SIG_IGN)  # meant for the worker, which may still have lines to finish
    while not select.select([sys.stdin], [], [], LOOK_S)[0]:
        try:
            with open(path, encoding="ascii") as file:  # noqa: PTH123  pathlib costs start-up time
                allowed_until = float(file.read())
        except (OSError, ValueError):
            continue  # the worker is starting or ending
        if time.monotonic() > allowed_until and os.getppid() == pid:
            with contextlib.suppress(OSError):  # on a full disk the death counts as a crash
                os.replace(path, f"{path}.hung")  # noqa: PTH105
            os.kill(pid, signal.SIGKILL)
            with contextlib.suppress(OSError):  # the terminal may be closed
                print(f"watchdog: worker {pid} has made no progress and is killed", file=sys.stderr, flush=True)
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(watch(int(sys.argv[1]), sys.argv[2]))
