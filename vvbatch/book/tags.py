"""What a book's files say about it, as plain text that every container takes; and names of files."""

from __future__ import annotations

import re
import unicodedata

from vvbatch.book.contents import About

LONGEST_TEXT = 4000
LONGEST_TITLE = 250
LONGEST_STEM = 100  # bytes of a file's name before its ending
FORBIDDEN = '<>:"/\\|?*'
RESERVED = {"con", "prn", "aux", "nul", *(f"{port}{n}" for port in ("com", "lpt") for n in range(1, 10))}


def plain(text: str, longest: int = LONGEST_TITLE) -> str:
    """One line without control characters, single spaces, at most so many characters."""
    visible = "".join(" " if _without_sign(character) else character for character in text)
    line = unicodedata.normalize("NFC", " ".join(visible.split()))
    return line if len(line) <= longest else line[: longest - 1].rstrip() + "…"


def chapter_title(number: int, title: str) -> str:
    return plain(title) or f"Chapter {number}"


def file_stem(text: str, otherwise: str) -> str:
    """A name that Linux, macOS and Windows accept and that stays in its folder; `otherwise` if nothing is left."""
    name = "".join(" " if character in FORBIDDEN else character for character in plain(text))
    name = " ".join(name.split()).strip(" .")
    while len(name.encode()) > LONGEST_STEM:
        name = name[:-1].rstrip(" .")
    return otherwise if not name or name.lower().partition(".")[0] in RESERVED else name


def chapter_stem(number: int, title: str, chapters: int) -> str:
    """`02 The lamp`: as many digits as the last chapter needs, at least two."""
    digits = max(2, len(str(chapters)))
    return f"{number:0{digits}d} {file_stem(title, f'Chapter {number}')}"


def tags(about: About) -> dict[str, str]:
    """By the names that PyAV gives them; only those that are stated. The composer of an audiobook is its narrator."""
    found = {
        "title": about.title,
        "album": about.title,
        "artist": about.author,
        "album_artist": about.author,
        "composer": about.narrator,
        "genre": about.genre,
        "date": about.date,
        "copyright": about.copyright,
        "description": about.description,
    }
    return {key: text for key, value in found.items() if (text := plain(value, LONGEST_TEXT))}


LANGUAGES = {
    "ar": "ara", "cs": "ces", "da": "dan", "de": "deu", "el": "ell", "en": "eng", "es": "spa", "fi": "fin",
    "fr": "fra", "he": "heb", "hi": "hin", "hu": "hun", "id": "ind", "it": "ita", "ja": "jpn", "ko": "kor",
    "nl": "nld", "no": "nor", "pl": "pol", "pt": "por", "ro": "ron", "ru": "rus", "sv": "swe", "th": "tha",
    "tr": "tur", "uk": "ukr", "vi": "vie", "zh": "zho",
}  # fmt: skip


def language_code(tag: str) -> str:
    """Three letters (ISO 639-2) of a language tag; `und` if it is not known."""
    first = re.split(r"[-_]", tag.lower())[0]
    return LANGUAGES.get(first, first if len(first) == 3 and first.isascii() and first.isalpha() else "und")


def _without_sign(character: str) -> bool:
    """Control and format characters (such as those that reverse the direction), lone surrogates, line separators."""
    return unicodedata.category(character) in ("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp")
