"""`lexicon.yaml` in the home folder: how words are pronounced, in every script."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Annotated

import msgspec
import yaml

from vvbatch.errors import InputError
from vvbatch.home import Home, HomeError
from vvbatch.script.fields import language, single_spaced
from vvbatch.script.model import Refused
from vvbatch.store import write_atomically

FILE = "lexicon.yaml"
LONGEST = 200
LARGEST = 4 << 20  # bytes
ENGINES = ("draft", "vibevoice")

Text = Annotated[str, msgspec.Meta(min_length=1, max_length=LONGEST)]


class Pronunciation(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, omit_defaults=True):
    """How a word is spoken: everywhere, or where the language, the voice and the engine are these."""

    word: Text
    say: Text
    language: Text | None = None
    voice: Text | None = None
    engine: Text | None = None

    @property
    def place(self) -> tuple[str, str | None, str | None, str | None]:
        """Where it holds: a lexicon has one entry for each of these."""
        return self.word, self.language, self.voice, self.engine

    def holds(self, spoken: str, voice: str, engine: str) -> bool:
        """Whether it holds for a language tag, a voice and an engine. "de" holds for "de-AT" as well."""
        return (
            (self.language is None or spoken == self.language or spoken.startswith(f"{self.language}-"))
            and self.voice in (None, voice)
            and self.engine in (None, engine)
        )


class LexiconError(InputError):
    """An entry is not allowed or not there; the message says what is."""


def load(home: Home) -> tuple[Pronunciation, ...]:
    """The entries of the home's lexicon; none without a file. Raises HomeError, naming the file and the entry."""
    file = home.path / FILE
    try:
        data = file.read_bytes()
    except FileNotFoundError:
        return ()
    except OSError as error:
        raise HomeError(f"{file} cannot be read: {error}; correct or remove it") from error
    return tuple(parse(file, data))


def parse(file: Path, data: bytes) -> Iterator[Pronunciation]:
    """Raises HomeError."""
    remedy = "an entry has word and say, and may have language, voice and engine; correct it"
    if len(data) > LARGEST:
        raise HomeError(f"{file} has {len(data):,} bytes: at most {LARGEST:,} are read")
    try:
        listed = yaml.load(data.decode("utf-8"), Loader=yaml.CSafeLoader) or []
        entries = msgspec.convert(listed, list[Pronunciation])
    except (UnicodeDecodeError, yaml.YAMLError, msgspec.ValidationError, RecursionError) as error:
        raise HomeError(f"{file}: {error}; {remedy}") from error
    seen = set()
    for entry in entries:
        try:
            checked = entry_of(entry)
        except LexiconError as error:
            raise HomeError(f"{file}: {error}; {remedy}") from error
        if checked.place in seen:
            raise HomeError(f"{file}: {checked.word!r} is there twice for the same language, voice and engine")
        seen.add(checked.place)
        yield checked


def entry_of(entry: Pronunciation) -> Pronunciation:
    """The entry with single spaces and in Unicode form NFC. Raises LexiconError."""
    try:
        spoken = language(entry.language).replace("_", "-") if entry.language else None
        word, say = single_spaced(entry.word), single_spaced(entry.say)
    except Refused as refused:
        raise LexiconError(f"{refused.found}: {refused.allowed}") from refused
    if not any(letter.isalnum() for letter in word) or not any(letter.isalnum() for letter in say):
        raise LexiconError(f"{word!r}: {say!r}; both need a letter or a digit")
    if entry.engine not in (None, *ENGINES):
        raise LexiconError(f"unknown engine {entry.engine!r}; allowed: {', '.join(ENGINES)}")
    return msgspec.structs.replace(entry, word=word, say=say, language=spoken)


def save(home: Home, entries: Iterable[Pronunciation]) -> None:
    """Write the lexicon, ordered by word. Raises OSError."""
    ordered = sorted(entries, key=lambda entry: (entry.word.casefold(), [part or "" for part in entry.place]))
    listed = [msgspec.to_builtins(entry) for entry in ordered]
    text = yaml.safe_dump(listed, allow_unicode=True, sort_keys=False, width=1000)
    write_atomically(home.path / FILE, text.encode())


def add(home: Home, entry: Pronunciation) -> Pronunciation | None:
    """Add an entry, in place of one for the same word, language, voice and engine, which is returned.

    Raises HomeError and LexiconError.
    """
    entry = entry_of(entry)
    entries = {each.place: each for each in load(home)}
    before = entries.get(entry.place)
    entries[entry.place] = entry
    save(home, entries.values())
    return before


def remove(home: Home, word: str, **where: str | None) -> list[Pronunciation]:
    """Remove the entries of a word, or only the one for this language, voice and engine.

    Returns those that were removed. Raises HomeError, and LexiconError when there are none.
    """
    entries = load(home)
    asked = {name: value for name, value in where.items() if value is not None}
    gone = [
        entry
        for entry in entries
        if entry.word == word and all(getattr(entry, name) == value for name, value in asked.items())
    ]
    if not gone:
        raise LexiconError(f"the lexicon has no entry for {word!r}; see  vvbatch lexicon list")
    save(home, (entry for entry in entries if entry not in gone))
    return gone


def says(
    entries: Iterable[Pronunciation], own: Mapping[str, str], spoken: str, voice: str, engine: str
) -> dict[str, str]:
    """The pronunciations that hold for a language tag, a voice and an engine, by word.

    An entry for a voice goes before one for an engine, that before one for a language, and the script's `own` before
    all of them.
    """
    holding = (entry for entry in entries if entry.holds(spoken, voice, engine))
    rank = sorted(holding, key=lambda entry: (entry.voice is not None, entry.engine is not None, entry.language or ""))
    return {entry.word: entry.say for entry in rank} | dict(own)
