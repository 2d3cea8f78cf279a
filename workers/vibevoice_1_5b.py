"""VibeVoice 1.5B, on the CPU in float32: `python -P -m workers.vibevoice_1_5b`."""

import sys

from workers.serve import serve

if __name__ == "__main__":
    sys.exit(serve("1.5b"))
