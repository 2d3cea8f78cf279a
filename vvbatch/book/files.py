"""The files of a finished book: which there are, their names, and how each is written."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from vvbatch.book import id3, lossless, mp3, mp4, opus
from vvbatch.book.build import Built, Encoded, Work, chapter_cues
from vvbatch.book.codecs import Codec, Format, codec_of
from vvbatch.book.contents import About, Cue, Mark
from vvbatch.book.cover import Cover, read_cover
from vvbatch.book.packets import Packets
from vvbatch.book.subtitles import srt, vtt
from vvbatch.book.tags import chapter_stem, file_stem

MOST_CHAPTERS = {
    "m4b": (mp4.NERO_CHAPTERS, "the list that Nero's players read"),
    "mp3": (id3.MOST_ENTRIES, "the first table of contents, which some players read alone,"),
    "flac": (lossless.MOST_TRACKS, "the cue sheet"),
}


@dataclass(frozen=True)
class BookFile:
    """A file to be written: audio of some chapters, or their subtitles."""

    name: str
    format: str
    duration_s: float
    marks: tuple[Mark, ...]
    """Chapters within the file; a file of one chapter has none."""
    chapters: tuple[Packets, ...] = ()
    codec: Codec | None = None
    track: str = ""
    text: str = ""

    def write(self, path: Path, work: Work, cover: Cover | None) -> None:
        """Raises OSError. `path` may have any name; what is left there after an error is not whole."""
        if self.codec is None:
            path.write_bytes(self.text.encode())
            return
        about = work.about
        if self.format == "mp3":
            with path.open("w+b") as file:
                mp3.write_mp3(file, self.codec, self.chapters, self.marks, about, cover, self.track)
        elif self.format == "m4b":
            mp4.write_m4b(path, self.codec, self.chapters, self.marks, about, cover, self.track)
        elif self.format == "opus":
            opus.write_opus(path, self.codec, self.chapters, self.marks, about, cover, self.track)
        elif self.format == "flac":
            lossless.write_flac(path, self.chapters, self.marks, about, cover, self.track)
        else:
            lossless.write_wav(path, self.chapters, self.marks, about, cover, self.track)


def codecs_of(formats: Sequence[Format], work: Work) -> list[Codec]:
    return list(dict.fromkeys(codec_of(format_, work.preset) for format_ in formats))


def book_files(built: Built, formats: Sequence[Format], with_vtt: bool) -> list[BookFile]:
    """All files, each name once."""
    files: dict[str, BookFile] = {}
    by_codec = {encoded.codec: encoded for encoded in built.encoded}
    for format_ in formats:
        encoded = by_codec[codec_of(format_, built.work.preset)]
        made = _one_a_chapter(built, encoded, format_, with_vtt) if format_.per_chapter else None
        for file in made or _one_file(built, encoded, format_, with_vtt, taken=set(files)):
            files.setdefault(file.name, file)
    return list(files.values())


def warning_of(file: BookFile) -> str | None:
    """What some players do not show of a file with many chapters."""
    found = MOST_CHAPTERS.get(file.format)
    if found is None or len(file.marks) <= found[0]:
        return None
    most, what = found
    remedy = f"{file.format}-chapters makes a file for each"
    return f"{file.name}: {what} ends at {most} of its {len(file.marks)} chapters; {remedy}"


def cover_of(about: About) -> Cover | None:
    """Raises BookError."""
    return read_cover(about.cover) if about.cover else None


def _one_file(built: Built, encoded: Encoded, format_: Format, with_vtt: bool, taken: set[str]) -> list[BookFile]:
    marks = tuple(encoded.marks(built.work.chapters))
    stem = file_stem(built.work.about.title, "book")
    name = stem + format_.suffix
    audio = BookFile(name, format_.name, encoded.duration_s, marks, encoded.chapters, encoded.codec)
    # Chapters end with whole packets, so that times differ between codecs: each file has its own subtitles.
    beside = stem if f"{stem}.srt" not in taken else name
    return [audio, *_subtitles(beside, built.cues(encoded), encoded.duration_s, with_vtt)]


def _one_a_chapter(built: Built, encoded: Encoded, format_: Format, with_vtt: bool) -> list[BookFile]:
    files = []
    total = len(built.book)
    for position, (part, packets) in enumerate(zip(built.book, encoded.chapters, strict=True), 1):
        stem = chapter_stem(part.chapter.number, part.chapter.title, total)
        duration = packets.header.samples / encoded.codec.rate
        track = f"{position}/{total}"
        files.append(BookFile(stem + format_.suffix, format_.name, duration, (), (packets,), encoded.codec, track))
        files += _subtitles(stem, chapter_cues(part, 0.0), duration, with_vtt)
    return files


def _subtitles(stem: str, cues: Sequence[Cue], duration_s: float, with_vtt: bool) -> list[BookFile]:
    files = [BookFile(f"{stem}.srt", "srt", duration_s, (), text=srt(cues))]
    return [*files, BookFile(f"{stem}.vtt", "vtt", duration_s, (), text=vtt(cues))] if with_vtt else files
