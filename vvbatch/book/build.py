"""Chapters of takes → encoded chapters at the right level, and the map of everything in them.

Whatever is equal to an earlier build comes from the cache: measures, gains, packets.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from itertools import accumulate
from pathlib import Path
from typing import TypeVar

import msgspec

from vvbatch.book import gains
from vvbatch.book.chapter import mastered
from vvbatch.book.codecs import Codec
from vvbatch.book.contents import RATE, About, BookError, Chapter, Cue, Mark, Progress, Speech, Word, unseen
from vvbatch.book.encode import encode_chapter, energies_of
from vvbatch.book.gains import Levels, MeasuredChapter
from vvbatch.book.layout import lay_out
from vvbatch.book.limiter import Limiter
from vvbatch.book.loudness import Energies, LoudnessMeter, combined
from vvbatch.book.measures import measure_chapter
from vvbatch.book.packets import Packets, read_packets
from vvbatch.book.pauses import Pauses
from vvbatch.book.presets import Preset, overshoot_db
from vvbatch.book.subtitles import aligned
from vvbatch.book.tags import plain

VERSION = 3
"""Of everything here that decides the bytes of a chapter; raise it when that changes."""
THREADS = 2
EXACT_LU = 0.08  # of a long book; a short one gets the best of all steps of 0.1 dB
TRIES = 4
CODED_SAMPLE_S = 600.0
"""How much of a book shows what a codec does to its level. A book shorter than two of these is tried as a whole."""

T = TypeVar("T")


@dataclass(frozen=True)
class Work:
    """What to make a book of, and how."""

    about: About
    chapters: tuple[Chapter, ...]
    pauses: Pauses
    preset: Preset


@dataclass(frozen=True)
class Encoded:
    """All chapters in one codec."""

    codec: Codec
    target: str  # the name of its gain in the levels
    chapters: tuple[Packets, ...]
    newly: int  # how many were encoded now; the others were in the cache
    energies: Energies  # decoded

    @property
    def true_peak_dbtp(self) -> float:
        return max((chapter.header.true_peak_dbtp for chapter in self.chapters), default=-120.0)

    @property
    def duration_s(self) -> float:
        return sum(chapter.header.samples for chapter in self.chapters) / self.codec.rate

    def marks(self, chapters: Sequence[Chapter]) -> list[Mark]:
        """Where each chapter begins in the file of the whole book: exact to a sample."""
        lengths = [packets.header.samples for packets in self.chapters]
        starts = [0, *accumulate(lengths)]
        rate = self.codec.rate
        return [
            Mark(chapter.number, chapter.title, start / rate, length / rate)
            for chapter, start, length in zip(chapters, starts, lengths, strict=False)
        ]


@dataclass(frozen=True)
class Built:
    work: Work
    book: tuple[MeasuredChapter, ...]
    levels: Levels
    encoded: tuple[Encoded, ...]
    """One a codec, in the order they were asked for."""

    def cues(self, encoded: Encoded) -> list[Cue]:
        """All lines, in seconds from the start of the file of the whole book."""
        return [
            cue
            for part, mark in zip(self.book, encoded.marks(self.work.chapters), strict=True)
            for cue in chapter_cues(part, mark.start_s)
        ]


def build(
    work: Work,
    codecs: Sequence[Codec],
    cache: Path,
    held: Levels | None = None,
    threads: int = THREADS,
    seen: Progress = unseen,
    within_lu: float = gains.HELD_LU,
) -> Built:
    """`held` are the levels of an earlier build: they stay while the book is within `within_lu` of its target.

    Raises BookError, and OSError when the cache cannot be written.
    """
    empty = [chapter for chapter in work.chapters if not chapter.items]
    if empty or not work.chapters:
        what = f"chapter {empty[0].number} {plain(empty[0].title)!r}" if empty else "the book"
        raise BookError(f"{what} has no lines: nothing can be assembled; give it a line, or remove it from the script")
    with ThreadPoolExecutor(threads, thread_name_prefix="book") as executor:
        book = measured_book(work, cache, executor)
        levels = gains.voices_and_sounds(book, work.preset, held)
        encoded = []
        for codec in codecs:
            levels, chapters = _levelled(work, book, codec, levels, cache, executor, seen, within_lu)
            encoded.append(chapters)
    return Built(work, tuple(book), levels, tuple(encoded))


def measured_book(work: Work, cache: Path, executor: Executor) -> list[MeasuredChapter]:
    jobs = [
        executor.submit(measure_chapter, chapter, work.preset.longest_silence_s, cache) for chapter in work.chapters
    ]
    return [
        MeasuredChapter(chapter, measures, lay_out(chapter, measures, work.pauses, work.preset))
        for chapter, measures in zip(work.chapters, _results(jobs), strict=True)
    ]


def ceiling_dbtp(preset: Preset, codec: Codec) -> float:
    return preset.true_peak_dbtp - overshoot_db(codec.name, codec.kbps)


def chapter_cues(part: MeasuredChapter, start_s: float) -> list[Cue]:
    cues = []
    for index, (item, (first, last)) in enumerate(zip(part.chapter.items, part.layout.speech, strict=True)):
        if isinstance(item, Speech):
            start, stop = start_s + first / RATE, start_s + last / RATE
            words = (
                tuple(aligned(item.text, _in_chapter(part, index, item.words, start_s), start, stop))
                if item.words
                else ()
            )
            cues.append(Cue(item.line, part.chapter.number, item.voice, item.text, start, stop, words))
    return cues


def _in_chapter(part: MeasuredChapter, index: int, words: Sequence[Word], start_s: float) -> list[Word]:
    """Words of a take at their times in the file. What was cut out of the take takes no time."""
    spans = [span for span in part.layout.spans if span.item == index]

    def at(seconds: float) -> float:
        sample = round(seconds * RATE)
        span = next((span for span in spans if sample < span.source + span.length), spans[-1])
        return start_s + (span.start + min(max(sample - span.source, 0), span.length)) / RATE

    return [Word(word.text, at(word.start_s), at(word.stop_s)) for word in words]


def _levelled(
    work: Work,
    book: Sequence[MeasuredChapter],
    codec: Codec,
    levels: Levels,
    cache: Path,
    executor: Executor,
    seen: Progress,
    within_lu: float,
) -> tuple[Levels, Encoded]:
    """Encode all chapters with the gain that is held; measure it again when the book is off its target by it."""
    limit_dbtp = ceiling_dbtp(work.preset, codec)
    target = gains.target_name(codec, limit_dbtp)
    long = sum(part.layout.duration_s for part in book) >= 2 * CODED_SAMPLE_S
    encode = partial(
        _encoded,
        work=work,
        codec=codec,
        target=target,
        limit_dbtp=limit_dbtp,
        cache=cache,
        executor=executor,
        long=long,
    )
    if target in levels.book:
        encoded = encode(book, levels=levels, seen=seen)
        if abs(gains.drift_lu(encoded.energies, work.preset)) <= within_lu:
            return levels, encoded
    listen = partial(_listened, target=target, limit_dbtp=limit_dbtp, work=work, executor=executor)
    gain = gains.book_gain(book, levels, work.preset, target, listen)
    if long and work.preset.levels:  # what the codec takes from the level: 0.3 dB with MP3
        part = gains.sample_of(book, work.preset, CODED_SAMPLE_S)
        tried = gains.with_gain(levels, target, gain)
        coded = encode(part, levels=tried).energies
        gain -= gains.target_level(coded, work.preset) - gains.target_level(listen(part, tried), work.preset)
    gain = round(gain, 1)
    known: dict[float, tuple[float, Levels, Encoded]] = {}
    for _ in range(TRIES):
        levels = gains.with_gain(levels, target, gain)
        encoded = encode(book, levels=levels, seen=seen)
        drift = gains.drift_lu(encoded.energies, work.preset)
        known[gain] = abs(drift), levels, encoded
        gain = round(gain - drift, 1)
        if gain in known or (long and abs(drift) <= EXACT_LU):
            break
    _, levels, encoded = min(known.values(), key=lambda one: one[0])
    return levels, encoded


def _listened(
    sample: Sequence[MeasuredChapter], levels: Levels, target: str, limit_dbtp: float, work: Work, executor: Executor
) -> Energies:
    def one(part: MeasuredChapter) -> Energies:
        meter = LoudnessMeter(RATE)
        for block in mastered(part.chapter, part.layout, levels, target, Limiter(limit_dbtp)):
            meter.add(block)
        return meter.energies

    return combined(_results([executor.submit(one, part) for part in sample]))


def _encoded(
    book: Sequence[MeasuredChapter],
    *,
    work: Work,
    codec: Codec,
    target: str,
    limit_dbtp: float,
    levels: Levels,
    cache: Path,
    executor: Executor,
    long: bool,
    seen: Progress = unseen,
) -> Encoded:
    paths = [
        cache / "chapters" / f"{chapter_key(part, codec, target, levels, work.preset)}.{codec.name}" for part in book
    ]
    known = [read_packets(path) for path in paths]
    done = sum(packets is not None for packets in known)
    seen(done, len(book))

    def one(part: MeasuredChapter, path: Path) -> Packets:
        source = partial(mastered, part.chapter, part.layout, levels, target)
        limit = limit_dbtp if work.preset.levels else None
        return encode_chapter(codec, source, path, limit, work.preset.true_peak_dbtp)

    jobs = [
        executor.submit(one, part, path)
        for part, path, packets in zip(book, paths, known, strict=True)
        if packets is None
    ]
    made = []
    for packets in _results(jobs):
        made.append(packets)
        done += 1
        seen(done, len(book))
    new = iter(made)
    chapters = tuple(packets if packets is not None else next(new) for packets in known)
    # In a short book 0.1 s counts, and the chapters' blocks lie too far from those of the file.
    energies = combined(chapter.header.energies for chapter in chapters) if long else energies_of(codec, chapters)
    return Encoded(codec, target, chapters, len(made), energies)


def chapter_key(part: MeasuredChapter, codec: Codec, target: str, levels: Levels, preset: Preset) -> str:
    """A hash of all that the chapter's packets depend on."""
    items = part.chapter.items
    voices = sorted({item.voice for item in items if isinstance(item, Speech)})
    named = [
        VERSION, _encoder_version(), codec, target, preset.true_peak_dbtp, preset.levels,
        part.layout.spans, part.layout.length,
        [item.sha256 for item in items], [levels.gain_db(item, target) for item in items],
        [item.voice if isinstance(item, Speech) else "" for item in items],
        [levels.tones.get(voice) for voice in voices],
    ]  # fmt: skip
    return hashlib.sha256(msgspec.json.encode(named)).hexdigest()


def _encoder_version() -> str:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("av")
    except PackageNotFoundError:
        return "none"


def _results(jobs: Sequence[Future[T]]) -> Iterator[T]:
    """In order. The first that fails ends the others: those that have not begun never do."""
    try:
        for job in jobs:
            yield job.result()
    finally:
        for job in jobs:
            job.cancel()
