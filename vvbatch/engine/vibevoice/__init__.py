"""The VibeVoice engine: transformers-compatible weights, the original's audio, many lines in every step."""

from __future__ import annotations

import os

from vvbatch.engine.contract import EngineUnavailable

# Read when huggingface_hub is first imported: rendering never opens a connection.
os.environ["HF_HUB_OFFLINE"] = "1"

try:
    from vvbatch.engine.vibevoice.engine import VibeVoiceEngine
except ModuleNotFoundError as error:
    raise EngineUnavailable(
        f"the VibeVoice engine needs the package {error.name}: pip install 'vvbatch[vibevoice]'"
    ) from error

__all__ = ["VibeVoiceEngine"]
