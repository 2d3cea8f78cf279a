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


def require_utf8(name: str, what: str) -> None:
    """Raises InputError for a name that is not UTF-8: neither the ledger nor JSON can hold it."""
    try:
        name.encode()
    except UnicodeEncodeError as error:
        shown = name.encode(errors="surrogateescape").decode(errors="backslashreplace")
        raise InputError(f"{what} '{shown}' is not UTF-8: rename it, or write it in UTF-8") from error
