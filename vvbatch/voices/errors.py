"""What can be wrong with a voice."""

from vvbatch.errors import InputError, UnavailableError


class VoiceError(InputError, LookupError):
    """A voice cannot be used; the message names it, what is wrong and the remedy."""


class UnknownVoice(VoiceError):
    """No voice of that name: what was asked for, and what there is instead."""

    def __str__(self) -> str:
        return "; ".join(self.args)


class InvalidVoice(VoiceError):
    """A file is no fit voice: gone, changed, cut short, not audio, silent, too short."""


class MissingExtra(UnavailableError):
    """A package that only this needs is not installed; the message names the command that installs it."""
