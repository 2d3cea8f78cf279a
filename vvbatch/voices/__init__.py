"""The voice library: what a script's voice names mean."""

from vvbatch.voices.errors import UnknownVoice, UnusableVoice, VoiceError
from vvbatch.voices.library import Library, still_there

__all__ = ["Library", "UnknownVoice", "UnusableVoice", "VoiceError", "still_there"]
