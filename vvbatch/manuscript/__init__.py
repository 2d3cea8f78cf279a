"""Manuscripts: EPUB, DOCX, Markdown, HTML, plain text, SRT and WebVTT → chapters of paragraphs."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from pathlib import Path

from vvbatch.errors import UnavailableError
from vvbatch.manuscript.blocks import MAX_BLOCKS, Draft, TooLong
from vvbatch.manuscript.model import Manuscript, ManuscriptError, Notes, Options

MAX_BYTES = 16 << 20  # of a manuscript that is one text
MAX_ARCHIVE_BYTES = 1 << 30

ARCHIVES = (".epub", ".docx")
TEXTS = (".md", ".markdown", ".html", ".htm", ".xhtml", ".srt", ".vtt", ".txt")
SUFFIXES = (*ARCHIVES, *TEXTS)
IMPORTED_ONLY = tuple(suffix for suffix in SUFFIXES if suffix != ".txt")
"""Manuscripts that are no scripts: a plain text is both."""


class MissingPackage(UnavailableError):
    """A package that reads manuscripts is not installed."""


DEFAULTS = Options()


def read_manuscript(path: Path, options: Options = DEFAULTS) -> Manuscript:
    """Raises ManuscriptError for a file that is no manuscript, or is refused; MissingPackage."""
    suffix = path.suffix.lower()
    if suffix not in SUFFIXES:
        found = f"a manuscript ending in {suffix!r}" if suffix else "a manuscript without a file type"
        raise ManuscriptError(path, found, f"allowed: {', '.join(SUFFIXES)}")
    _check_file(path, MAX_ARCHIVE_BYTES if suffix in ARCHIVES else MAX_BYTES)
    try:
        from vvbatch.manuscript.compose import composed

        notes = Notes()
        return composed(_draft(path, suffix, options, notes), path, options, notes)
    except TooLong:
        found = f"more than {MAX_BLOCKS:,} paragraphs"
        raise ManuscriptError(path, found, "split the manuscript") from None
    except ModuleNotFoundError as error:
        if (error.name or "").startswith("vvbatch"):
            raise
        raise MissingPackage(f"{error.name} is not installed: run  pip install 'vvbatch[import]'") from error


def _draft(path: Path, suffix: str, options: Options, notes: Notes) -> Draft:
    if suffix == ".epub":
        from vvbatch.manuscript import epub

        return epub.read(path, options, notes)
    if suffix == ".docx":
        from vvbatch.manuscript import docx

        return docx.read(path, options, notes)
    return _reader(suffix)(path, path.read_bytes(), options, notes)


def _reader(suffix: str) -> Callable[[Path, bytes, Options, Notes], Draft]:
    if suffix in (".srt", ".vtt"):
        from vvbatch.manuscript import subtitles

        return subtitles.read
    if suffix == ".txt":
        from vvbatch.manuscript import text

        return text.read
    from vvbatch.manuscript import pages

    return pages.read_markdown if suffix in (".md", ".markdown") else pages.read_html


def _check_file(path: Path, longest: int) -> None:
    """Refuse what is no regular file of a size that can be read. Never blocks on a pipe."""
    try:
        status = path.stat()
        with open(path, "rb", opener=lambda name, flags: os.open(name, flags | os.O_NONBLOCK)):
            pass
    except FileNotFoundError:
        raise ManuscriptError(path, "no such file", "give the path of a manuscript") from None
    except PermissionError:
        raise ManuscriptError(path, "a file without read permission", "check its permissions") from None
    except IsADirectoryError:
        raise ManuscriptError(path, "a folder", "a manuscript is a file") from None
    except (OSError, ValueError) as error:
        raise ManuscriptError(path, f"a file that cannot be read ({error})", "give the path of a manuscript") from error
    if not stat.S_ISREG(status.st_mode):
        what = "a folder" if stat.S_ISDIR(status.st_mode) else "a pipe, socket or device"
        raise ManuscriptError(path, what, "a manuscript is a regular file")
    if status.st_size > longest:
        raise ManuscriptError(
            path, f"a file of {status.st_size / 2**20:.1f} MiB", f"at most {longest >> 20} MiB: split it"
        )
    if status.st_size == 0:
        raise ManuscriptError(path, "an empty file", "give a manuscript with a text")
