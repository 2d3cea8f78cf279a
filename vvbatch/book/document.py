"""What `vvbatch assemble --json` prints. A field is a key, in this order: add keys, never rename one."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import UNSET, Struct, UnsetType


class FileView(Struct):
    path: str
    format: str
    sha256: str
    duration_s: float
    chapters: int  # that the file lists
    gain_db: float | None  # of the book, besides those of the voices; None for subtitles
    loudness_lufs: float | None
    true_peak_dbtp: float | None


class ChapterView(Struct):
    """In the first file of the whole book; of files of single chapters, as if they followed each other."""

    number: int
    title: str
    start_s: float
    duration_s: float
    lufs: float | None


class LineView(Struct):
    id: str
    chapter: int
    start_s: float
    end_s: float


class CheckView(Struct):
    name: str
    subject: str
    value: float
    limit: str
    ok: bool


class MissingView(Struct):
    id: str
    chapter: int
    state: str
    error: str | None


class BookView(Struct):
    """`state`: made; incomplete (lines are missing); failed (a check of the preset failed)."""

    batch: str
    state: str
    duration_s: float
    preset: str
    loudness_lufs: float | None
    true_peak_dbtp: float | None
    gain_db: float | None
    files: Sequence[FileView]
    chapters: Sequence[ChapterView]
    lines: Sequence[LineView]
    missing: Sequence[MissingView]
    encoded: int  # chapters that were encoded now, in each codec; the others were known
    warnings: Sequence[str] = ()
    acx: Sequence[CheckView] | UnsetType = UNSET
