"""The voice library: what a script's voice names mean."""

from vvbatch.voices.library import Library, UnknownVoice, VoiceError

__all__ = ["Library", "UnknownVoice", "VoiceError"]
