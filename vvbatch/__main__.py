"""`python -m vvbatch` is the command line."""

import sys

if __name__ == "__main__" and not sys.flags.safe_path:
    del sys.path[0]  # the current folder: a user's `queue.py` in it would replace Python's

from vvbatch.cli import main

if __name__ == "__main__":
    main(prog_name="vvbatch")
