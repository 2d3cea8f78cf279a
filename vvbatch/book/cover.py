"""A book's cover: a JPEG or PNG picture of a size that players can show."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from vvbatch.book.contents import BookError

MOST_BYTES = 10 << 20
MOST_PIXELS = 6000
FEWEST_PIXELS = 100


@dataclass(frozen=True)
class Cover:
    data: bytes
    mime: str  # image/jpeg or image/png
    width: int
    height: int

    @property
    def codec(self) -> str:
        return "mjpeg" if self.mime == "image/jpeg" else "png"


def read_cover(path: Path) -> Cover:
    """Raises BookError for anything but a JPEG or PNG picture within the limits; the picture is not decoded."""
    try:
        if not path.is_file():
            raise BookError(f"cover {path} does not exist: name a JPEG or PNG file")
        size = path.stat().st_size
        if size > MOST_BYTES:
            raise BookError(
                f"cover {path} has {size / 1e6:.1f} MB, at most {MOST_BYTES >> 20} MB are allowed: save it smaller"
            )
        data = path.read_bytes()
    except OSError as error:
        raise BookError(f"cover {path} cannot be read: {error.strerror}") from error
    found = _jpeg_size(data) if data[:3] == b"\xff\xd8\xff" else _png_size(data) if data[:8] == PNG else None
    if found is None:
        raise BookError(f"cover {path} is not a whole JPEG or PNG picture: save it as one of these")
    width, height = found
    if not (FEWEST_PIXELS <= width <= MOST_PIXELS and FEWEST_PIXELS <= height <= MOST_PIXELS):
        raise BookError(
            f"cover {path} has {width} × {height} pixels, {FEWEST_PIXELS} to {MOST_PIXELS} on each side are allowed: "
            "scale it (stores ask for 2400 × 2400)"
        )
    return Cover(data, "image/jpeg" if data[:1] == b"\xff" else "image/png", width, height)


PNG = b"\x89PNG\r\n\x1a\n"


def _png_size(data: bytes) -> tuple[int, int] | None:
    if data[12:16] != b"IHDR" or not data.endswith(b"IEND\xaeB`\x82"):
        return None
    return int.from_bytes(data[16:20], "big"), int.from_bytes(data[20:24], "big")


def _jpeg_size(data: bytes) -> tuple[int, int] | None:
    """From the first frame header; the segments before it are skipped."""
    position = 2
    if b"\xff\xd9" not in data[-64:]:  # the end of the picture; some cameras write a few bytes after it
        return None
    while position + 9 < len(data) and data[position] == 0xFF:
        marker, length = data[position + 1], int.from_bytes(data[position + 2 : position + 4], "big")
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            height, width = (int.from_bytes(data[position + at : position + at + 2], "big") for at in (5, 7))
            return width, height
        position += 1 if marker == 0xFF else 2 + length
    return None
