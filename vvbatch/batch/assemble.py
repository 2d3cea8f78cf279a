"""A batch's finished takes → the files of its book in `OUT/<batch>/book/`, recorded with their hashes."""

from __future__ import annotations

import fcntl
import hashlib
import math
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
from sqlalchemy import RowMapping

from vvbatch import fault_points, profiles
from vvbatch.batch.book_order import BookOrder, OrderedSound
from vvbatch.batch.output import Store, book_name, name_of, open_store
from vvbatch.book.cache import kept, make_room
from vvbatch.book.codecs import Format, require_av, wanted
from vvbatch.book.contents import (
    About,
    Break,
    Chapter,
    Item,
    Progress,
    Sound,
    Speech,
    unseen,
)
from vvbatch.book.cover import read_cover
from vvbatch.book.document import BookView, ChapterView, CheckView, FileView, LineView, MissingView
from vvbatch.book.pauses import Pauses
from vvbatch.book.presets import DEFAULT, Preset, preset_named
from vvbatch.errors import VvbatchError
from vvbatch.file_locks import locked
from vvbatch.home import Home
from vvbatch.ledger import Ledger
from vvbatch.ledger.books import (
    BookFileRow,
    FileLevels,
    awaits_book,
    batch_row,
    held_levels,
    line_rows,
    recognised_words,
    record_book,
)
from vvbatch.script.model import Refused
from vvbatch.script.speech import Said, speech_of
from vvbatch.settings import Settings, load
from vvbatch.store import write_atomically

if TYPE_CHECKING:
    from vvbatch.book.build import Built
    from vvbatch.book.gains import Levels

ACX_FORMATS = ("mp3-chapters",)
LOCK_S = 60.0  # between two tries


class BookNotWritten(VvbatchError):
    """The system refused to write: a disk is full, a folder is gone. What was there before is unchanged."""


@dataclass(frozen=True)
class Order:
    """What to make. None: as the batch says, else the settings."""

    formats: tuple[str, ...] | None = None
    preset: str | None = None
    remaster: bool = False


@dataclass(frozen=True)
class Choice:
    """What an order means for one batch."""

    formats: tuple[Format, ...]
    vtt: bool
    preset: Preset
    pauses: Pauses


def choose(book: BookOrder, order: Order, settings: Settings, profile: str | None = None) -> Choice:
    """The script goes before the profile, and that before the settings. The preset acx has formats of its own: formats
    that were stated with it go before them, formats that it was ordered for do not.

    Raises BookError for an unknown format or preset, and ProfileError.
    """
    preset = preset_named(order.preset or book.preset or settings.book.preset or DEFAULT, settings.book.presets)
    own = ACX_FORMATS if preset.name == "acx" else ()
    stated = (own if order.preset else ()) or book.formats or own or settings.book.formats
    audio, vtt = wanted(order.formats or stated)
    pauses = msgspec.convert({**settings.pauses, **pauses_of(profile), **book.pauses}, Pauses)
    return Choice(tuple(audio), vtt, preset, pauses)


def order_of(formats: str | None, preset: str | None, remaster: bool = False) -> Order:
    """From the words of a user; formats are separated by commas."""
    names = tuple(filter(None, (name.strip() for name in formats.split(",")))) if formats is not None else None
    return Order(names, preset, remaster)


def ordered(book: BookOrder, order: Order, settings: Settings) -> BookOrder:
    """What a script says of its book, with the formats and the preset that were ordered. Raises BookError."""
    choice = choose(book, order, settings)
    names = (*(format_.key for format_ in choice.formats), *(["vtt"] if choice.vtt else []))
    return msgspec.structs.replace(book, formats=names, preset=choice.preset.name)


def with_order(book: BookOrder, order: Order, settings: Settings) -> BookOrder:
    """What is kept with a batch: what its script says of its book, with what was ordered, if anything was.

    Raises BookError for a book that cannot be made.
    """
    ordering = order.formats is not None or order.preset is not None
    if not ordering and not book.asked:
        return book
    stated = ordered(book, order, settings)
    return stated if ordering else book


def pauses_of(profile: str | None) -> dict[str, float]:
    """As the profile's file says now. Of a profile that is gone, none: the takes of its batch are still there.

    Raises ProfileError for a file that is wrong.
    """
    with suppress(profiles.UnknownProfile):
        return profiles.read(profiles.file_of(profile)).pauses if profile else {}
    return {}


def check_cover(book: BookOrder) -> None:
    """Before anything is rendered. Raises BookError for a cover that cannot be used."""
    if book.cover:
        read_cover(Path(book.cover))


def assemble(
    ledger: Ledger,
    home: Home,
    batch_id: str,
    order: Order = Order(),
    seen: Progress = unseen,
    transcribed: Progress = unseen,
) -> BookView:
    """Make the book of a batch. Lines that are not finished are listed; a chapter without all of its lines is not made,
    and no file of the whole book either. `seen` counts chapters, `transcribed` takes that are transcribed for WebVTT.

    Raises BookError, BookExtraMissing, BookNotWritten, ProfileError, HomeError and StoreError.
    """
    with alone(ledger, home, batch_id) as batch:
        return _assembled(ledger, home, batch, order, seen, transcribed)


def assemble_awaited(ledger: Ledger, home: Home, batch_id: str) -> BookView | None:
    """As the batch says; None where another process has made the book while this one waited for its lock."""
    with alone(ledger, home, batch_id) as batch:
        return _assembled(ledger, home, batch, Order()) if awaits_book(ledger, batch_id) else None


def encode_finished(ledger: Ledger, home: Home, batch_id: str) -> None:
    """Encode the chapters that are finished, while others are rendered: `assemble` finds them in the cache.

    Their level is that of a book of these chapters. Where the last ones change it too much, all are encoded again.
    Raises as `assemble` does.
    """
    with alone(ledger, home, batch_id) as batch:
        rows, book, settings = line_rows(ledger, batch_id), order_in(batch), load(home)
        choice = choose(book, Order(), settings, batch["model"] or rows[0]["model"])
        chapters = chapters_of(batch["title"], rows, book)
        if chapters:
            making = _Making(ledger, home, batch_id, batch["out"], settings, choice, choice.formats)
            making.encode(About(batch["title"], language=book.language or ""), chapters)


@contextmanager
def alone(ledger: Ledger, home: Home, batch_id: str) -> Iterator[RowMapping]:
    """The batch as it is when no other process makes its book, until the end of the block.

    What the system refuses to write is a BookNotWritten.
    """
    av = require_av()
    batch = batch_row(ledger, batch_id)
    try:
        with (home.folder("locks") / batch_id).open("w") as lock:
            while not locked(lock.fileno(), fcntl.LOCK_EX, LOCK_S):
                pass
            yield batch_row(ledger, batch_id)
    except (OSError, av.FFmpegError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        places = f"{Path(batch['out'], batch_id)} and {home.path}"
        raise BookNotWritten(
            f"the book of {batch_id} cannot be written: {reason}; check the disks of {places}, then assemble it again"
        ) from error


def _assembled(
    ledger: Ledger, home: Home, batch: RowMapping, order: Order, seen: Progress = unseen, transcribed: Progress = unseen
) -> BookView:
    # Read under the lock: lines may have changed while this process waited for it.
    begun = ledger.now()
    rows, book, settings = line_rows(ledger, batch["id"]), order_in(batch), load(home)
    choice = choose(book, order, settings, batch["model"] or rows[0]["model"])
    missing = [
        MissingView(row["line"], row["chapter"], row["state"], row["error"]) for row in rows if not row["finished"]
    ]
    formats = [format_ for format_ in choice.formats if format_.per_chapter or not missing]
    chapters = chapters_of(batch["title"], rows, book)
    if not formats or not chapters:
        return BookView(batch["id"], "incomplete", 0.0, choice.preset.name, None, None, None, [], [], [], missing, 0)
    making = _Making(ledger, home, batch["id"], batch["out"], settings, choice, formats)
    about = about_of(batch["title"], book, Path(batch["out"], batch["id"]))
    return making.make(about, chapters, missing, begun, order.remaster, seen, transcribed)


def order_in(batch: RowMapping) -> BookOrder:
    return msgspec.convert(batch["book"] or {}, BookOrder)


def chapters_of(title: str, rows: Sequence[RowMapping], book: BookOrder) -> list[Chapter]:
    """The chapters whose lines are all finished."""
    chapters = []
    for number, group in groupby(rows, lambda row: int(row["chapter"])):
        mine = list(group)
        if not all(row["finished"] for row in mine):
            continue
        items: list[Item] = []
        sounds = [sound for sound in book.sounds if sound.chapter == number]
        for index, row in enumerate(mine):
            first_of = row["part_of"] if row["part"] == 1 else None
            items += [_sound(sound) for sound in sounds if sound.before in (row["line"], first_of or row["line"])]
            items.append(_speech(row, mine[index + 1] if index + 1 < len(mine) else None))
        items += [_sound(sound) for sound in sounds if sound.before is None]
        chapters.append(Chapter(number, mine[0]["chapter_title"] or title, tuple(items)))
    return chapters


def about_of(title: str, book: BookOrder, folder: Path) -> About:
    """The cover of an imported manuscript lies in the batch's `folder`."""
    cover = Path(book.cover) if book.cover else None
    if cover and not cover.exists() and (folder / cover.name).exists():
        cover = folder / cover.name
    return About(
        title or "Book", book.author or "", book.narrator or "", book.language or "", book.description or "",
        book.copyright or "", book.date or "", book.genre or "Audiobook", cover,
    )  # fmt: skip


@dataclass(frozen=True)
class _Making:
    ledger: Ledger
    home: Home
    batch_id: str
    out: str
    settings: Settings
    choice: Choice
    formats: Sequence[Format]

    @property
    def cache(self) -> Path:
        return self.home.cache / "book"

    @property
    def first_levels(self) -> Path:
        """Of a book that is not finished yet."""
        name = hashlib.sha256(f"{self.batch_id} {self.choice.preset.name}".encode()).hexdigest()
        return self.cache / "levels" / f"{name}.json"

    def encode(self, about: About, chapters: Sequence[Chapter]) -> None:
        """The levels that this finds are kept for the chapters that follow, unless an earlier book has some."""
        from vvbatch.book.build import EXACT_LU, Work, build
        from vvbatch.book.files import codecs_of

        listened, _ = self.with_words(chapters, about)
        work = Work(about, tuple(listened), self.choice.pauses, self.choice.preset)
        recorded = self.recorded_levels()
        held, within_lu = (recorded, math.inf) if recorded else (self.known_levels(), EXACT_LU)
        built = build(work, codecs_of(self.formats, work), self.cache, held, within_lu=within_lu)
        if not recorded:
            write_atomically(self.first_levels, msgspec.json.encode(built.levels))

    def with_words(
        self, chapters: Sequence[Chapter], about: About, transcribed: Progress = unseen
    ) -> tuple[list[Chapter], list[str]]:
        """Times of words, from the takes' checks; of all takes where WebVTT shows them. And why some have none."""
        from vvbatch.batch.word_times import with_all_words, with_checked_words

        known = with_checked_words(chapters, recognised_words(self.ledger, self.batch_id))
        return with_all_words(known, about.language, self.cache, transcribed) if self.choice.vtt else (known, [])

    def recorded_levels(self) -> Levels | None:
        from vvbatch.book.gains import Levels

        stored = held_levels(self.ledger, self.batch_id, self.choice.preset.name)
        return msgspec.convert(stored, Levels) if stored else None

    def known_levels(self) -> Levels | None:
        from vvbatch.book.gains import Levels

        try:
            return msgspec.json.decode(kept(self.first_levels), type=Levels)
        except (OSError, msgspec.DecodeError):
            return None

    def make(
        self,
        about: About,
        chapters: Sequence[Chapter],
        missing: Sequence[MissingView],
        begun: str,
        remaster: bool,
        seen: Progress,
        transcribed: Progress,
    ) -> BookView:
        # Imported only now: scipy and PyAV take half a second, which other commands do not wait for.
        from vvbatch.book.build import EXACT_LU, Work, build
        from vvbatch.book.files import book_files, codecs_of, cover_of
        from vvbatch.book.gains import HELD_LU

        preset = self.choice.preset
        cover = cover_of(about)
        listened, warnings = self.with_words(chapters, about, transcribed)
        work = Work(about, tuple(listened), self.choice.pauses, preset)
        recorded = None if remaster else self.recorded_levels()
        held, within_lu = (recorded, HELD_LU) if recorded else (None if remaster else self.known_levels(), EXACT_LU)
        codecs = codecs_of(self.formats, work)
        built = build(work, codecs, self.cache, held, seen=seen, within_lu=within_lu)
        fault_points.point("book.encoded")
        store = open_store(self.out)
        store.sweep(book_name(self.batch_id, ""), 0.0, time.time())  # of a killed process: this one is alone
        rows = []
        for file in book_files(built, self.formats, self.choice.vtt):
            name = book_name(self.batch_id, file.name)
            with store.stage_written(name, lambda path, file=file: file.write(path, work, cover)) as staged:  # type: ignore[misc]
                staged.publish()
            fault_points.point("book.published")
            rows.append(BookFileRow(staged.location, file.format, staged.sha256, staged.size, file.duration_s))
        formats = [*(each.key for each in self.choice.formats), *(["vtt"] if self.choice.vtt else [])]
        levels, measured = msgspec.to_builtins(built.levels), self.measured(built)
        obsolete = record_book(self.ledger, self.batch_id, preset.name, begun, levels, rows, measured, formats)
        fault_points.point("book.recorded")
        self.remove(store, obsolete)
        self.first_levels.unlink(missing_ok=True)
        make_room(self.cache, round(self.settings.book.cache_gb * 1e9))
        return self.view(built, rows, missing, warnings)

    def measured(self, built: Built) -> dict[str, FileLevels]:
        """By format, of the whole book."""
        from vvbatch.book.codecs import codec_of

        by_codec = {
            encoded.codec: FileLevels(_rounded(encoded.energies.lufs), round(encoded.true_peak_dbtp, 2))
            for encoded in built.encoded
        }
        return {format_.name: by_codec[codec_of(format_, built.work.preset)] for format_ in self.formats}

    def remove(self, store: Store, locations: Sequence[str]) -> None:
        """Files of an earlier assembly that this one has no more: of another title, or a chapter that is gone."""
        for location in locations:
            with suppress(OSError):
                store.remove(name_of(self.out, location))

    def view(
        self, built: Built, rows: Sequence[BookFileRow], missing: Sequence[MissingView], warnings: Sequence[str]
    ) -> BookView:
        from vvbatch.book.acx import acx_report
        from vvbatch.book.codecs import codec_of
        from vvbatch.book.files import book_files, warning_of

        first = built.encoded[0]
        files, found = [], list(warnings)
        by_codec = {encoded.codec: encoded for encoded in built.encoded}
        kinds = {format_.name: by_codec[codec_of(format_, built.work.preset)] for format_ in self.formats}
        for file, row in zip(book_files(built, self.formats, self.choice.vtt), rows, strict=True):
            encoded = kinds.get(file.format)
            found += filter(None, [warning_of(file)])
            levels = (
                (built.levels.book[encoded.target], _rounded(encoded.energies.lufs), round(encoded.true_peak_dbtp, 2))
                if encoded
                else (None, None, None)
            )
            count = len(file.marks) if encoded else 0
            files.append(FileView(row.path, row.format, row.sha256, round(row.duration_s, 3), count, *levels))
        marks = first.marks(built.work.chapters)
        chapters = [
            ChapterView(
                mark.number, mark.title, round(mark.start_s, 6), round(mark.duration_s, 6),
                _rounded(packets.header.energies.lufs),
            )
            for mark, packets in zip(marks, first.chapters, strict=True)
        ]  # fmt: skip
        lines = [
            LineView(cue.line, cue.chapter, round(cue.start_s, 4), round(cue.stop_s, 4)) for cue in built.cues(first)
        ]
        view = BookView(
            self.batch_id, "incomplete" if missing else "made", round(first.duration_s, 3), built.work.preset.name,
            _rounded(first.energies.lufs), round(first.true_peak_dbtp, 2), built.levels.book[first.target],
            files, chapters, lines, missing, sum(encoded.newly for encoded in built.encoded), found,
        )  # fmt: skip
        if built.work.preset.name == "acx":
            checks = acx_report(built.book, first.chapters, built.levels, first.target)
            view.acx = [CheckView(each.name, each.subject, each.value, each.limit, each.ok) for each in checks]
            if not missing and not all(check.ok for check in checks):
                view.state = "failed"
        return view


def _speech(row: RowMapping, following: RowMapping | None) -> Speech:
    same_line = following is not None and row["part_of"] is not None and following["part_of"] == row["part_of"]
    voices = " and ".join(voice["name"] for voice in row["request"]["voices"])
    return Speech(
        line=row["line"],
        path=Path(row["path"]),
        sha256=row["sha256"],
        voice=voices,
        text=_shown(row["text"], row["written"]),
        title=row["role"] == "title",
        break_after=Break.PART if same_line else Break(row["break_after"]),
        pause_after_s=row["pause_given_s"],
    )


def _shown(spoken: str, written: str | None) -> str:
    """A line's text for readers: as it was written, without markup, and before pronunciations and numbers in words."""
    if written is None:
        return spoken
    try:
        return " ".join(part.spoken for part in speech_of(written).parts if isinstance(part, Said))
    except Refused:
        return spoken


def _sound(sound: OrderedSound) -> Sound:
    return Sound(Path(sound.path), sound.sha256, sound.pause_after_s)


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 2)
