"""The first line of an imported script: by which import it was written, and whether a person edited it since."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass

_IMPORTED = re.compile(r"# Imported from .* by `vvbatch import` \(([0-9a-f]{16})\)\.")


@dataclass(frozen=True)
class Origin:
    text: str  # with \n newlines
    imported_as: str | None  # the hash of the import; None: it was not imported
    edited: bool

    @property
    def rows(self) -> list[str]:
        """The rows below the first."""
        return self.text.partition("\n")[2].split("\n")


def first_line(source: str) -> str:
    """The first line of a script that is imported from the manuscript named `source`, without a hash yet."""
    shown = "".join(char if char.isprintable() else "?" for char in source)
    return f"# Imported from {shown} by `vvbatch import`. Each paragraph is a line; edit what you like."


def with_hash(text: str) -> str:
    """The script with the hash of its other lines in the first one."""
    head, _, rest = text.partition("\n")
    return f"{head.replace('`vvbatch import`.', f'`vvbatch import` ({_hash(rest)}).', 1)}\n{rest}"


def origin_of(data: bytes) -> Origin:
    text = data.decode("utf-8", "replace").replace("\r\n", "\n")
    head, _, rest = text.partition("\n")
    found = _IMPORTED.match(head)
    return Origin(text, found[1] if found else None, found is None or found[1] != _hash(rest))


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()[:16]
