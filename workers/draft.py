"""The draft voice, on the CPU: `python -P -m workers.draft`."""

import sys

from workers.serve import serve

if __name__ == "__main__":
    sys.exit(serve("draft"))
