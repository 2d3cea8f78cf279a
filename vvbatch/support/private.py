"""What people typed is hidden in a bundle: texts, titles, ids, names and paths, wherever they are quoted.

Known strings are replaced by their kind and a number, so that two places which name the same thing can be compared.
Then each word that occurs in something typed, and not in vvbatch itself, is replaced by `***`: messages quote parts.
"""

from __future__ import annotations

import getpass
import json
import os
import re
import socket
import sys
import unicodedata
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from importlib import metadata
from pathlib import Path
from urllib.parse import unquote

from sqlalchemy import Column, select

import vvbatch
from vvbatch import profiles
from vvbatch.batch.submit import slug
from vvbatch.home import Home
from vvbatch.ledger import Ledger, schema
from vvbatch.support.redact import HIDDEN

SHORTEST = 3  # characters; a shorter id or word may be part of anything
LONG_NUMBER = 7  # digits, from which a number in a text may be somebody's, such as a telephone number
NAMED: tuple[tuple[str, Column[str]], ...] = (
    ("batch", schema.batches.c.id),
    ("title", schema.batches.c.title),
    ("script", schema.batches.c.script),
    ("out", schema.batches.c.out),
    ("out", schema.removals.c.out),
    ("id", schema.lines.c.line),
    ("id", schema.lines.c.part_of),
    ("title", schema.lines.c.chapter_title),
    ("suite", schema.nights.c.suite),
    ("suite", schema.schedules.c.suite),
    ("suite", schema.baselines.c.suite),
    ("id", schema.baselines.c.line),
    ("id", schema.verdicts.c.line),
    ("name", schema.baselines.c.blessed_by),
    ("reason", schema.baselines.c.why),
    ("name", schema.takes.c.rejected_by),
    ("reason", schema.takes.c.rejected_why),
)
"""Columns whose values are replaced as a whole."""
QUOTED: tuple[Column[str], ...] = (
    schema.lines.c.text,
    schema.lines.c.written,
    schema.lines.c.request,
    schema.takes.c.text,
    schema.takes.c.written,
    schema.takes.c.voices,
    schema.baselines.c.text,
    schema.queues.c.reason,
    schema.queues.c.probe,
)
"""Columns whose words are hidden wherever they occur."""
BATCH = re.compile(r"\b[a-z0-9]+(?:-[a-z0-9]+)*-([0-9a-f]{8})\b")  # a batch's id, also of one that was deleted
PATH = re.compile(
    r"(?<![\w.>~*/:-])/(?!(?:proc|sys|dev|usr|lib|lib64|bin|etc|run)/)[^\s\"'<>,:;|()]+/[^\s\"'<>,:;|()]*"
)
ESCAPED = re.compile(r"\\u([0-9a-fA-F]{4})|\\x([89a-fA-F][0-9a-fA-F])")
PERCENT = re.compile(r"(?:%[89A-Fa-f][0-9A-Fa-f])+")
TOKEN = re.compile(r"\\[abfnrtv]|%[0-9A-Fa-f]{2}|[^\W_]+")
WORD = re.compile(r"[^\W_]+")


class Private:
    """Collects what was typed; `hide` replaces it in a text."""

    def __init__(self) -> None:
        self.vocabulary = vocabulary()
        self.words: set[str] = set()
        self.phrases: dict[str, str] = {}  # in every spelling → its replacement
        self.counts: dict[str, int] = {}

    def add(self, kind: str, phrase: str) -> None:
        """Replace this string by its kind and a number, and hide its words."""
        of_batch = BATCH.fullmatch(phrase) if kind == "batch" else None
        self.add_words(phrase.removesuffix(of_batch[1]) if of_batch else phrase)  # the digits tell batches apart
        if phrase in self.phrases or len(phrase) < SHORTEST or not self.is_private(phrase):
            return
        number = self.counts[kind] = self.counts.get(kind, 0) + 1
        replacement = f"batch-{of_batch[1]}" if of_batch else f"{kind}-{number}"
        for spelling in (phrase, json.dumps(phrase, ensure_ascii=False)[1:-1], repr(phrase)[1:-1]):
            self.phrases[unicodedata.normalize("NFC", spelling)] = replacement
        if kind == "title" and len(slug(phrase)) >= SHORTEST and self.is_private(slug(phrase)):
            self.phrases.setdefault(slug(phrase), replacement)

    def is_private(self, phrase: str) -> bool:
        """Whether it is more than one word of vvbatch's own, and no small number."""
        return phrase.casefold() not in self.vocabulary and not (phrase.isdigit() and len(phrase) < LONG_NUMBER)

    def add_words(self, text: str) -> None:
        text = unicodedata.normalize("NFC", text)
        plain = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode()  # as in the slug of a title
        for word in {*WORD.findall(text.casefold()), *WORD.findall(plain.casefold())}:
            if len(word) >= SHORTEST and word not in self.vocabulary and self.is_private(word):
                self.words.add(word)

    def hide(self, text: str) -> str:
        text = PERCENT.sub(lambda found: unquote(found[0], errors="replace"), ESCAPED.sub(unescaped, text))
        text = unicodedata.normalize("NFC", text)
        for phrase in sorted(self.phrases, key=len, reverse=True):
            if phrase in text:
                before = r"(?<!\w)" if phrase[0].isalnum() else ""
                after = r"(?!\w)" if phrase[-1].isalnum() else ""
                text = re.sub(before + re.escape(phrase) + after, self.phrases[phrase], text)
        text = PATH.sub(f"/{HIDDEN}", BATCH.sub(r"batch-\1", text))
        return TOKEN.sub(lambda found: HIDDEN if found[0].casefold() in self.words else found[0], text)


def unescaped(found: re.Match[str]) -> str:
    r"""The letter that `\u00fc` or `\xfc` stands for in a log; half of a pair stays as it is."""
    character = chr(int(found[1] or found[2], 16))
    return character if character.isalnum() else found[0]


def vocabulary() -> set[str]:
    """The words of vvbatch's source and bundled profiles, of Python's modules and of the installed packages."""
    package = Path(vvbatch.__file__).parent
    files = [file for name in ("vvbatch", "jobs", "workers") for file in (package.parent / name).rglob("*.py")]
    files += [*profiles.bundled("configs").rglob("*.yaml"), *profiles.bundled("voices").glob("manifest.yaml")]
    found = {"null", "true", "false", *map(str.casefold, sys.stdlib_module_names)}
    for file in files:
        found |= set(WORD.findall(file.read_text(encoding="utf-8").casefold()))
    for name in (each.name for each in metadata.distributions() if each.name):
        found |= {name.casefold(), *WORD.findall(name.casefold())}
    return found


def collect(home: Home, ledger: Ledger | None, environment: Mapping[str, str]) -> Private:
    """Everything that people have typed and that vvbatch knows of; `environment`: the variables that are shown."""
    private = Private()
    for kind, folder in places(home):
        private.add(kind, str(folder))
    for kind, name in ((k, n) for k, n in (("host", socket.gethostname()), ("user", user_name())) if n):
        private.add(kind, name)
    for name, value in environment.items():
        private.add_words(f"{name} {value}")
    for kind, file in own_files(home):
        private.add(kind, file.stem)
        with suppress(OSError, UnicodeDecodeError):
            if file.suffix in (".yaml", ".yml"):
                private.add_words(file.read_text(encoding="utf-8"))
    if ledger is not None:
        add_ledger(private, ledger)
    return private


def places(home: Home) -> Iterator[tuple[str, Path]]:
    """Folders whose names are the user's own; parts of them are named in messages and tracebacks."""
    yield "home", home.path
    yield "here", Path.cwd()
    yield "python", Path(sys.prefix)
    yield "python", Path(sys.base_prefix)
    yield "vvbatch", Path(vvbatch.__file__).parent.parent
    with suppress(profiles.ProfileError):
        yield from (("configs", folder) for folder in profiles.folders() if folder != profiles.bundled("configs"))


def own_files(home: Home) -> Iterator[tuple[str, Path]]:
    """Profiles, suites, voices and settings of the user, and logs that are named after them."""
    with suppress(profiles.ProfileError):
        for folder in profiles.folders():
            if folder != profiles.bundled("configs"):
                yield from (("profile", file) for file in sorted(folder.glob("*.yaml")))
                yield from (("suite", file) for file in sorted(folder.glob("regress/*.yaml")))
    for folder in (home.voices, Path("voices")):
        if folder.is_dir():
            yield from (("voice", file) for file in sorted(folder.iterdir()) if file.stem != "manifest")
            yield from (("voice", file) for file in sorted(folder.glob("manifest.yaml")))
    yield "settings", home.path / "settings.yaml"


def user_name() -> str | None:
    try:
        return getpass.getuser()
    except (OSError, KeyError):  # an unknown user id without USER
        return None


def add_ledger(private: Private, ledger: Ledger) -> None:
    with ledger.engine.connect() as connection:
        for kind, column in NAMED:
            for value in connection.execute(select(column).distinct()).scalars():
                if value:
                    private.add(kind, str(value))
                    if os.sep in str(value):
                        private.add(kind, Path(str(value)).stem)
        for column in QUOTED:
            for value in connection.execute(select(column).distinct()).scalars():
                private.add_words(" ".join(strings(value)))  # NULL has none


def strings(value: object) -> Iterable[str]:
    """Every string in a value of JSON."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for key, inner in value.items():
            yield from (str(key), *strings(inner))
    elif isinstance(value, list | tuple):
        for inner in value:
            yield from strings(inner)
