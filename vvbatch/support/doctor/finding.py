"""A finding of the doctor: what was examined, whether it is in order, and the command that fixes it."""

from __future__ import annotations

from typing import NamedTuple


class Finding(NamedTuple):
    """`ok` is False for what is broken. One that is ok and has a remedy is a note: something optional is missing."""

    name: str
    ok: bool
    value: str
    remedy: str | None = None

    @property
    def state(self) -> str:
        if not self.ok:
            return "broken"
        return "note" if self.remedy else "ok"
