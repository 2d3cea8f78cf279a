"""Finished files, read back by PyAV, by ffmpeg where it is installed, and byte by byte."""

from __future__ import annotations

import io
import json
import shutil
import struct
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
import soundfile
from PIL import Image

from tests.support import books
from vvbatch.book.build import Built, build
from vvbatch.book.codecs import format_named, wanted
from vvbatch.book.contents import RATE, About, BookError, Chapter, Mark
from vvbatch.book.cover import read_cover
from vvbatch.book.encode import decode_packets
from vvbatch.book.files import BookFile, book_files, codecs_of, warning_of
from vvbatch.book.id3 import id3_tag
from vvbatch.book.lossless import cue_sheet
from vvbatch.book.mp3 import crc16
from vvbatch.book.pauses import Pauses
from vvbatch.book.presets import Preset
from vvbatch.book.tags import chapter_stem, chapter_title, file_stem, language_code, plain

pytestmark = pytest.mark.slow  # files are encoded and read back: 9 s together


FORMATS = ("m4b", "mp3", "opus", "flac", "wav")


def picture(path: Path, size: int = 400, kind: str = "JPEG") -> Path:
    Image.new("RGB", (size, size), (30, 60, 90)).save(path, kind)
    return path


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Built, dict[str, Path]]:
    """A book of three chapters in every format, with a cover; the second chapter starts at some x.500 s in WAV."""
    folder = tmp_path_factory.mktemp("book")
    chapters = [books.chapter(folder / "takes", number, title=title) for number, title in TITLES.items()]
    about = About("The Lamp", "Jane Author", "Nora Narrator", "de", "A long story.", "2026 Jane", "2026")
    work = books.work(chapters, about=replace(about, cover=picture(folder / "cover.jpg")))
    formats, _ = wanted(FORMATS)
    built = build(work, codecs_of(formats, work), folder / "cache")
    cover = read_cover(work.about.cover)
    written = {}
    for file in book_files(built, formats, with_vtt=True):
        written[file.name] = folder / file.name
        file.write(folder / file.name, work, cover)
    return built, written


TITLES = {1: "Opening", 2: "Chapter “Snow” — été", 3: "The\x1b[31m third\nchapter"}
SHOWN = ["Opening", "Chapter “Snow” — été", "The [31m third chapter"]


def file_of(made: tuple[Built, dict[str, Path]], suffix: str) -> Path:
    return next(path for path in made[1].values() if path.suffix == f".{suffix}")


def marks_of(made: tuple[Built, dict[str, Path]], name: str) -> list[Mark]:
    built = made[0]
    codec = {"m4b": "aac", "flac": "pcm", "wav": "pcm"}.get(name, name)
    return next(encoded for encoded in built.encoded if encoded.codec.name == codec).marks(built.work.chapters)


def probed(path: Path) -> Any:
    if shutil.which("ffprobe") is None:
        pytest.skip("ffprobe is not installed")
    shown = ["-show_chapters", "-show_format", "-show_streams", "-of", "json"]
    ran = subprocess.run(["ffprobe", "-v", "error", *shown, path], capture_output=True, text=True, check=True)
    assert ran.stderr == ""
    return json.loads(ran.stdout)


def decoded_by_av(path: Path) -> tuple[np.ndarray, int]:
    with av.open(str(path)) as container:
        stream = container.streams.audio[0]
        parts = [frame.to_ndarray().reshape(-1) for frame in container.decode(stream)]
        samples = np.concatenate(parts)
        scale = 1 if samples.dtype.kind == "f" else float(1 << (8 * samples.dtype.itemsize - 1))
        return samples.astype(np.float64) / scale, stream.rate


def decoded_by_ffmpeg(path: Path, rate: int) -> np.ndarray:
    if shutil.which("ffmpeg") is None:
        pytest.skip("ffmpeg is not installed")
    raw = ["-map", "0:a", "-f", "f32le", "-ac", "1", "-ar", str(rate), "-"]
    ran = subprocess.run(["ffmpeg", "-v", "error", "-i", path, *raw], capture_output=True, check=True)
    assert ran.stderr == b""
    return np.frombuffer(ran.stdout, np.float32).astype(np.float64)


def lag(found: np.ndarray, wanted: np.ndarray, at: int) -> int:
    """By how many samples `wanted` lies behind `at` in `found`."""
    reach = 3000
    part = np.pad(found, (reach, reach))[at : at + len(wanted) + 2 * reach]
    size = 1 << (len(part) + len(wanted)).bit_length()
    correlation = np.fft.irfft(np.fft.rfft(part, size) * np.conj(np.fft.rfft(wanted, size)), size)[: 2 * reach]
    return int(np.argmax(correlation)) - reach


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("decoder", ["av", "ffmpeg"])
def test_each_chapter_begins_at_its_mark_to_the_sample(
    made: tuple[Built, dict[str, Path]], name: str, decoder: str
) -> None:
    built, path = made[0], file_of(made, name)
    encoded = next(
        e for e in built.encoded if e.codec.name == {"m4b": "aac", "flac": "pcm", "wav": "pcm"}.get(name, name)
    )
    rate = encoded.codec.rate
    pcm = built.encoded[-1]
    found, found_rate = decoded_by_av(path)
    assert found_rate == rate
    if decoder == "ffmpeg":
        found = decoded_by_ffmpeg(path, rate)
    import soxr

    for packets, mark in zip(pcm.chapters, marks_of(made, name), strict=True):
        samples = np.concatenate(list(decode_packets(pcm.codec, packets))).astype(np.float64)
        wanted_samples = soxr.resample(samples, RATE, rate)
        assert lag(found, wanted_samples, round(mark.start_s * rate)) == 0
    assert len(found) >= round(encoded.duration_s * rate) - 2 * encoded.codec.frame


@pytest.mark.parametrize("name", FORMATS)
def test_a_second_reader_finds_chapters_tags_and_cover(made: tuple[Built, dict[str, Path]], name: str) -> None:
    path = file_of(made, name)
    document, marks = probed(path), marks_of(made, name)
    tags = {key.lower(): text for key, text in document["format"].get("tags", {}).items()}
    for stream in document["streams"]:
        tags |= {key.lower(): text for key, text in stream.get("tags", {}).items()} if name == "opus" else {}
    assert tags["title"] == "The Lamp"
    assert tags["artist"] == "Jane Author"
    assert float(document["format"]["duration"]) == pytest.approx(marks[-1].stop_s, abs=0.06)
    if name == "wav":
        return
    assert tags["album"] == "The Lamp" and tags["composer"] == "Nora Narrator"
    if name != "flac":
        assert [chapter["tags"]["title"] for chapter in document["chapters"]] == SHOWN
        starts = [float(chapter["start_time"]) for chapter in document["chapters"]]
        assert starts == pytest.approx([mark.start_s for mark in marks], abs=0.00051)
    attached = [stream for stream in document["streams"] if stream["codec_type"] == "video"]
    assert [(stream["codec_name"], stream["width"]) for stream in attached] == [("mjpeg", 400)]


def test_the_m4b_says_that_it_is_an_audiobook_and_has_both_kinds_of_chapters(
    made: tuple[Built, dict[str, Path]],
) -> None:
    data = file_of(made, "m4b").read_bytes()
    assert data[4:12] == b"ftypM4B " and data.find(b"moov") < data.find(b"mdat")
    at = data.index(b"chpl")
    assert data[at + 12] == 3
    (second,) = struct.unpack_from(">Q", data, at + 13 + 8 + 1 + len("Opening"))
    assert second == pytest.approx(marks_of(made, "m4b")[1].start_s * 1e7, abs=1)
    assert b"chap" in data and b"stik" in data


def test_the_info_header_of_an_mp3_states_frames_delay_padding_and_its_checksum(
    made: tuple[Built, dict[str, Path]],
) -> None:
    data = file_of(made, "mp3").read_bytes()
    at = data.index(b"Info")
    (frames,) = struct.unpack_from(">I", data, at + 8)
    encoded = next(encoded for encoded in made[0].encoded if encoded.codec.name == "mp3")
    assert frames == sum(len(packets.sizes) for packets in encoded.chapters)
    lame = at + 120
    delay_and_padding = int.from_bytes(data[lame + 21 : lame + 24], "big")
    assert delay_and_padding >> 12 == 576
    start = data.rindex(b"\xff\xfb", 0, at)
    assert struct.unpack_from(">H", data, lame + 34)[0] == crc16(data[start : lame + 34])
    assert crc16(b"123456789") == 0xBB3D


def test_cue_points_of_wav_and_flac_are_exact(made: tuple[Built, dict[str, Path]]) -> None:
    wav, flac = file_of(made, "wav"), file_of(made, "flac")
    frames = [round(mark.start_s * RATE) for mark in marks_of(made, "wav")]
    data = wav.read_bytes()
    at = data.index(b"cue ")
    assert [struct.unpack_from("<I", data, at + 12 + 24 * index + 4)[0] for index in range(3)] == frames
    block = cue_sheet(frames, soundfile.info(str(flac)).frames)
    assert block in flac.read_bytes()
    assert np.array_equal(soundfile.read(wav, dtype="int16")[0], soundfile.read(flac, dtype="int16")[0])
    assert struct.unpack_from("<I", data, 4)[0] == len(data) - 8


@pytest.mark.parametrize("name", [*FORMATS, *(f"{name}-chapters" for name in FORMATS)])
def test_every_format_is_the_same_byte_by_byte_when_written_again(
    made: tuple[Built, dict[str, Path]], tmp_path: Path, name: str
) -> None:
    built = made[0]
    cover = read_cover(built.work.about.cover)
    files = book_files(built, [format_named(name)], with_vtt=False)
    assert len([file for file in files if file.codec]) == (3 if "-" in name else 1)
    for file in files:
        file.write(tmp_path / "one", built.work, cover)
        file.write(tmp_path / "other", built.work, cover)
        assert (tmp_path / "one").read_bytes() == (tmp_path / "other").read_bytes()
        (tmp_path / "one").unlink()
        (tmp_path / "other").unlink()


def test_one_file_a_chapter_has_its_number_title_track_and_subtitles(made: tuple[Built, dict[str, Path]]) -> None:
    formats, with_vtt = wanted(["mp3-chapters", "vtt", "opus-chapters"])
    files = book_files(made[0], formats, with_vtt)
    assert [file.name for file in files[:3]] == ["01 Opening.mp3", "01 Opening.srt", "01 Opening.vtt"]
    assert [file.track for file in files if file.format == "mp3"] == ["1/3", "2/3", "3/3"]
    names = [file.name for file in files]
    assert len(set(names)) == len(names) == 3 * 4


def test_each_codec_has_its_own_subtitles_since_its_chapters_have_their_own_lengths(
    made: tuple[Built, dict[str, Path]],
) -> None:
    names = sorted(made[1])
    assert [name for name in names if name.endswith(".srt")] == [
        "The Lamp.flac.srt", "The Lamp.mp3.srt", "The Lamp.opus.srt", "The Lamp.srt", "The Lamp.wav.srt",
    ]  # fmt: skip


def many_marks(count: int) -> list[Mark]:
    return [Mark(number, f"Part {number}", 1.5 * (number - 1), 1.5) for number in range(1, count + 1)]


@pytest.mark.parametrize("count", [1, 255, 256, 300, 1000])
def test_an_id3_tag_lists_any_number_of_chapters(count: int) -> None:
    """The count of a table is one byte: more than 255 go into tables below the first."""
    tag = id3_tag(About("Many"), many_marks(count), None)
    listed: list[bytes] = []
    tables, position = {}, 10
    while position < len(tag):
        name, size = tag[position : position + 4], struct.unpack_from(">I", tag, position + 4)[0]
        body = tag[position + 10 : position + 10 + size]
        if name == b"CTOC":
            key, rest = body.split(b"\0", 1)
            entries = rest[2:].split(b"\0")[:-1]
            assert rest[1] == len(entries) <= 255
            tables[key] = entries
        position += 10 + size
    assert position == len(tag)
    for entry in tables[b"toc"]:
        listed += tables.get(entry, [entry])
    assert listed == [f"ch{index}".encode() for index in range(count)]


@pytest.mark.slow
def test_three_hundred_chapters_are_all_in_the_m4b_and_the_mp3(tmp_path: Path) -> None:
    one = books.chapter(tmp_path / "takes", 1, lines=1, seconds=0.3)
    chapters = [Chapter(number, f"Part {number}", one.items) for number in range(1, 301)]
    preset = Preset(head_s=0.05, shortest_tail_s=0.05)
    work = books.work(chapters, preset, pauses=Pauses(chapter=0.1))
    formats, _ = wanted(["m4b", "mp3"])
    built = build(work, codecs_of(formats, work), tmp_path / "cache")
    for file in (file for file in book_files(built, formats, False) if file.codec):
        file.write(tmp_path / file.name, work, None)
        with av.open(str(tmp_path / file.name)) as container:
            found = container.chapters()
        assert len(found) == 300
        starts = [float(chapter["start"] * chapter["time_base"]) for chapter in found]
        assert starts == pytest.approx([mark.start_s for mark in file.marks], abs=0.00051)


# Covers, titles, names


def test_covers_are_read_as_jpeg_or_png(tmp_path: Path) -> None:
    assert read_cover(picture(tmp_path / "a.jpg", 640)).width == 640
    png = read_cover(picture(tmp_path / "a.png", 320, "PNG"))
    assert (png.mime, png.height, png.codec) == ("image/png", 320, "png")


@pytest.mark.parametrize("suffix", ["m4b", "mp3", "opus", "flac"])
def test_a_png_cover_is_in_every_format_that_has_covers(
    made: tuple[Built, dict[str, Path]], tmp_path: Path, suffix: str
) -> None:
    cover = read_cover(picture(tmp_path / "a.png", 300, "PNG"))
    file = next(file for file in book_files(made[0], [format_named(suffix)], False) if file.codec)
    file.write(tmp_path / file.name, made[0].work, cover)
    with av.open(str(tmp_path / file.name)) as container:
        assert [stream.codec_context.name for stream in container.streams.video] == ["png"]


def test_a_cover_that_is_missing_huge_or_no_picture_is_refused(tmp_path: Path) -> None:
    def message(path: Path) -> str:
        with pytest.raises(BookError) as caught:
            read_cover(path)
        return str(caught.value)

    assert "does not exist: name a JPEG or PNG file" in message(tmp_path / "none.jpg")
    assert "does not exist" in message(tmp_path)
    huge = picture(tmp_path / "huge.jpg")
    huge.write_bytes(huge.read_bytes() + b"\0" * (11 << 20))
    assert "at most 10 MB are allowed" in message(huge)
    text = tmp_path / "text.jpg"
    text.write_bytes(b"not a picture")
    assert "is not a whole JPEG or PNG picture" in message(text)
    cut = picture(tmp_path / "cut.png", kind="PNG")
    cut.write_bytes(cut.read_bytes()[:-20])
    assert "is not a whole JPEG or PNG picture" in message(cut)
    assert "50 × 50 pixels" in message(picture(tmp_path / "small.jpg", 50))


@pytest.mark.parametrize(
    ("title", "stem"),
    [
        ("The lamp", "02 The lamp"),
        ("../../etc/passwd", "02 etc passwd"),
        ("", "02 Chapter 2"),
        ("...", "02 Chapter 2"),
        ("a\x00b\nc\u202ed", "02 a b c d"),
        ('<:"|?*>', "02 Chapter 2"),
        ("CON", "02 Chapter 2"),
        ("x" * 500, "02 " + "x" * 100),
        ("é" * 200, "02 " + "é" * 50),
    ],
)
def test_hostile_titles_give_plain_names_inside_the_folder(title: str, stem: str) -> None:
    made = chapter_stem(2, title, 9)
    assert made == stem and "/" not in made and len(made.encode()) < 200


def test_numbers_in_names_sort_for_any_number_of_chapters() -> None:
    assert chapter_stem(7, "x", 1000) == "0007 x" and chapter_stem(7, "x", 7) == "07 x"
    assert file_stem("A / B", "book") == "A B"
    assert chapter_title(3, "\x00") == "Chapter 3" and len(plain("y" * 9000)) == 250
    assert [language_code(tag) for tag in ("en-GB", "de", "gsw", "?")] == ["eng", "deu", "gsw", "und"]


def test_a_file_of_more_chapters_than_its_lists_hold_has_a_warning_with_a_remedy() -> None:
    def warned(format_: str, chapters: int) -> str | None:
        marks = tuple(Mark(number, "", number, 1.0) for number in range(chapters))
        return warning_of(BookFile(f"Book.{format_}", format_, 1.0, marks))

    assert [warned(name, 255) for name in ("m4b", "mp3", "opus", "wav")] == [None] * 4
    assert warned("flac", 254) is None and warned("srt", 300) is None
    for name, most in (("m4b", 255), ("mp3", 255), ("flac", 254)):
        message = warned(name, 300)
        assert message and f"Book.{name}: " in message and f"ends at {most} of its 300 chapters" in message
        assert f"{name}-chapters makes a file for each" in message


def test_unknown_formats_and_a_book_without_audio_are_refused() -> None:
    with pytest.raises(BookError, match="'m4a' is unknown: choose from m4b, mp3, opus, flac, wav"):
        wanted(["m4a"])
    with pytest.raises(BookError, match="needs an audio format"):
        wanted(["vtt"])


def test_an_unwritable_target_is_an_error_of_the_system(made: tuple[Built, dict[str, Path]], tmp_path: Path) -> None:
    for name in FORMATS:
        file: BookFile = next(f for f in book_files(made[0], [format_named(name)], False) if f.codec)
        with pytest.raises(OSError):
            file.write(tmp_path / "no" / "folder", made[0].work, None)
    assert io.BytesIO and not list(tmp_path.iterdir())
