"""`python -P -m workers PROFILE`: the worker of any profile, also of your own in $VVBATCH_CONFIGS."""

import sys

from workers.serve import serve

if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: python -P -m workers PROFILE")
    sys.exit(serve(sys.argv[1]))
