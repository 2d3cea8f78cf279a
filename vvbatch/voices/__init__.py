"""The voice library: what a script's voice names mean."""

from vvbatch.voices.errors import InvalidVoice, UnknownVoice, VoiceError
from vvbatch.voices.library import Library, require_unchanged

__all__ = ["InvalidVoice", "Library", "UnknownVoice", "VoiceError", "require_unchanged"]
