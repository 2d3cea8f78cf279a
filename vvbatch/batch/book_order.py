"""What a script says of its finished book, as the ledger stores it with the batch."""

from __future__ import annotations

from pathlib import Path

import msgspec

from vvbatch.script.model import BookFields, Problem, Script
from vvbatch.store import StoreError, confine, sha256_file


class OrderedSound(msgspec.Struct, frozen=True):
    """An audio file between the lines of a chapter."""

    chapter: int  # from 1
    before: str | None  # the id of the line that follows; None at the end of the chapter
    path: str
    sha256: str
    pause_after_s: float | None = None


class BookOrder(msgspec.Struct, frozen=True, omit_defaults=True):
    """Empty and None: not stated."""

    author: str | None = None
    narrator: str | None = None
    language: str | None = None
    cover: str | None = None  # a whole path
    description: str | None = None
    copyright: str | None = None
    date: str | None = None
    genre: str | None = None
    formats: tuple[str, ...] = ()
    preset: str | None = None
    pauses: dict[str, float] = {}
    sounds: tuple[OrderedSound, ...] = ()

    @property
    def asked(self) -> bool:
        """Whether a book is to be made when the batch ends."""
        return bool(self.formats or self.preset)


NOTHING_STATED = BookOrder()


def book_order(script: Script) -> tuple[BookOrder, list[Problem]]:
    """Sounds are read now, so that no batch is rendered whose book cannot be made."""
    folder = script.path.absolute().parent
    has_sounds = any(chapter.sounds for chapter in script.chapters)
    sounds, problems = ordered_sounds(script, folder) if has_sounds else ([], [])
    stated = script.book or BookFields()
    cover = str(folder / script.cover) if script.cover else None
    order = BookOrder(
        script.author, stated.narrator or script.narrator, script.language, cover, stated.description,
        stated.copyright, stated.date, stated.genre, stated.formats, stated.preset, dict(script.pauses), tuple(sounds),
    )  # fmt: skip
    return order, problems


def ordered_sounds(script: Script, folder: Path) -> tuple[list[OrderedSound], list[Problem]]:
    from vvbatch.book.sounds import BadSound, check_sound  # loads numpy, which a script without sounds does not need

    problems: list[Problem] = []
    sounds: list[OrderedSound] = []
    checked: dict[Path, str] = {}  # with their sha256: a jingle may stand in each chapter
    for number, chapter in enumerate(script.chapters, 1):
        for sound in chapter.sounds:
            before = chapter.lines[sound.before].id if sound.before < len(chapter.lines) else None
            try:
                path = confine(folder, sound.path)
                if path not in checked:
                    sha256 = sha256_file(path)
                    check_sound(path)
                    checked[path] = sha256
                sounds.append(OrderedSound(number, before, str(path), checked[path], sound.pause_after_s))
            except BadSound as error:
                problems.append(Problem(sound.position, error.found, error.allowed))
            except StoreError as error:
                problems.append(Problem(sound.position, f"sound: {error}", "name a file in the folder of the script"))
            except OSError as error:
                reason = f"sound {sound.path!r}: {error.strerror}"
                problems.append(Problem(sound.position, reason, "name an audio file in the folder of the script"))
    return sounds, problems
