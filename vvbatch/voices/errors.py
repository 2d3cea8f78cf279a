"""Errors of voices."""

from vvbatch.errors import InputError, UnavailableError


class VoiceError(InputError, LookupError):
    """A voice cannot be used; the message names it, what is wrong and the remedy."""


class UnknownVoice(VoiceError):
    """No voice has that name; the message has the known ones."""

    def __str__(self) -> str:
        return "; ".join(self.args)


class InvalidVoice(VoiceError):
    """A file cannot be a voice: missing, changed, cut short, not audio, silent or too short."""


class MissingExtra(UnavailableError):
    """A package of an optional extra is not installed; the message names the command that installs it."""
