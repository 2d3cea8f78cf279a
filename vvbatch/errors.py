"""The base of every error that a user can act on. It imports nothing of ours, so every room may derive from it."""

from __future__ import annotations

from typing import ClassVar


class VvbatchError(Exception):
    """An error whose message names the thing, the value and the remedy; a command prints it and exits with its code."""

    exit_code: ClassVar[int] = 1


class InputError(VvbatchError):
    """Bad usage, a bad script or file, or an unknown name: nothing was queued."""

    exit_code = 2


class UnavailableError(VvbatchError):
    """A service, a model or a package is missing."""

    exit_code = 3
