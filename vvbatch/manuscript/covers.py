"""The picture of a manuscript's cover: JPEG or PNG, by its first bytes."""

from __future__ import annotations

from vvbatch.manuscript.model import Cover, Notes

MAX_COVER_BYTES = 20 << 20
_SUFFIXES = {b"\xff\xd8\xff": ".jpg", b"\x89PNG\r\n\x1a\n": ".png"}


def cover_of(data: bytes, place: str, notes: Notes) -> Cover | None:
    for signature, suffix in _SUFFIXES.items():
        if data.startswith(signature):
            return Cover(data, suffix)
    notes.warn("the cover is neither JPEG nor PNG; it is left out", place)
    return None
