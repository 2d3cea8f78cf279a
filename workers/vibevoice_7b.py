"""VibeVoice 7B, on Apple's MPS in float16: `python -P -m workers.vibevoice_7b`."""

import sys

from workers.serve import serve

if __name__ == "__main__":
    sys.exit(serve("7b"))
