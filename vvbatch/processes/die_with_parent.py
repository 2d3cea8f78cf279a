"""`python die_with_parent.py PID PROGRAM ARGUMENT…`: become PROGRAM, which is sent SIGTERM when its parent PID dies.

A killed supervisor cannot end its workers, so on Linux the kernel does. This is a separate program because code between
fork and exec (`preexec_fn`) may deadlock. On other systems it changes nothing; see `supervisor_is_gone`.
"""

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1  # linux/prctl.h; kept across exec


def main() -> None:
    parent, program = int(sys.argv[1]), sys.argv[2:]
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
    if os.getppid() != parent:  # it died before the call
        sys.exit(1)
    try:
        os.execvp(program[0], program)
    except OSError as error:
        sys.exit(f"{program[0]}: {error.strerror}")


if __name__ == "__main__":
    main()
