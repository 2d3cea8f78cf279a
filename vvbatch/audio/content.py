"""What the checks of a file's bytes return: bytes that a decoder reads to their end."""

from __future__ import annotations

from dataclasses import dataclass


class AudioError(Exception):
    """Samples or a file that cannot be used as audio; the message names the file, the value and the limit."""


@dataclass(frozen=True)
class Content:
    """A file that is complete, as far as its format can show it.

    `data` is given to the decoder in place of the file, with a header that gives the length; None: the file itself.
    """

    data: bytes | None = None
    note: str = ""  # what the user should know about the file; empty if nothing
    payload: int | None = None  # bytes of samples, where a placeholder stood for their number
    length_is_exact: bool = True  # the length in the header can be compared with the decoded one


NO_LENGTH = "its header does not give its length, so it was read to its end; whether it was cut cannot be checked"
CUT = "cut, copy it again"
