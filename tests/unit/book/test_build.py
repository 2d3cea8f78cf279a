"""Chapters at their level, encoded once; builds that are equal byte by byte, and made again only where they differ."""

from __future__ import annotations

import hashlib
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyloudnorm
import pytest
import soxr

from tests.support import books
from tests.support.books import take_samples
from vvbatch.book.build import Built, Work, build, ceiling_dbtp
from vvbatch.book.cache import make_room
from vvbatch.book.codecs import PCM, Codec, aac, mp3, opus
from vvbatch.book.contents import RATE, BookError, Chapter, Sound, Word
from vvbatch.book.encode import decode_packets
from vvbatch.book.gains import Levels, drift_lu
from vvbatch.book.packets import Packets, read_packets
from vvbatch.book.peaks import true_peak_dbtp
from vvbatch.book.presets import PRESETS, Preset, preset_named

pytestmark = pytest.mark.slow  # books are encoded: 17 s together

pytest.importorskip("av")


def decoded(codec: Codec, packets: Packets) -> np.ndarray:
    return np.concatenate(list(decode_packets(codec, packets)))


@pytest.fixture
def chapters(tmp_path: Path) -> list[Chapter]:
    return [books.chapter(tmp_path / "takes", number, lines=4) for number in (1, 2, 3)]


def test_a_book_reaches_its_loudness_and_its_voices_are_equally_loud(chapters: list[Chapter], tmp_path: Path) -> None:
    built = build(books.work(chapters), [PCM], tmp_path / "cache")
    (encoded,) = built.encoded
    samples = np.concatenate([decoded(PCM, packets) for packets in encoded.chapters])
    judged = pyloudnorm.Meter(RATE, filter_class="DeMan").integrated_loudness(samples.astype(float))
    assert encoded.energies.lufs == pytest.approx(judged, abs=0.1)
    assert judged == pytest.approx(-19.0, abs=0.1)
    assert built.levels.voices["emma"] - built.levels.voices["carter"] == pytest.approx(4.0, abs=0.4)
    assert all(gain == round(gain, 1) for gain in [*built.levels.voices.values(), *built.levels.book.values()])


@pytest.mark.parametrize("codec", [aac(64), mp3(192), opus(48)], ids=lambda codec: codec.name)
def test_a_short_book_is_as_loud_as_stated_when_its_file_is_decoded(
    chapters: list[Chapter], tmp_path: Path, codec: Codec
) -> None:
    (encoded,) = build(books.work(chapters), [codec], tmp_path / "cache").encoded
    samples = np.concatenate(list(decode_packets(codec, *encoded.chapters)))[codec.decoded_delay :]
    standard = soxr.resample(samples.astype(float), codec.rate, 48_000)
    judged = pyloudnorm.Meter(48_000, filter_class="DeMan").integrated_loudness(standard)
    assert encoded.energies.lufs == pytest.approx(judged, abs=0.03)
    assert judged == pytest.approx(-19.0, abs=0.08)


def test_a_long_book_is_levelled_by_a_sample_of_all_its_chapters(
    chapters: list[Chapter], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("vvbatch.book.build.CODED_SAMPLE_S", 11.0)
    monkeypatch.setattr("vvbatch.book.build.TRIES", 1)
    (encoded,) = build(books.work(chapters), [mp3(192)], tmp_path / "cache").encoded
    samples = np.concatenate(list(decode_packets(mp3(192), *encoded.chapters)))
    judged = pyloudnorm.Meter(44_100, filter_class="DeMan").integrated_loudness(samples.astype(float))
    assert judged == pytest.approx(-19.0, abs=0.12), "MP3 takes 0.3 dB that only the encoded sample shows"


@pytest.mark.parametrize("preset", [PRESETS["podcast"], PRESETS["acx"]])
def test_every_preset_reaches_its_target(chapters: list[Chapter], tmp_path: Path, preset: Preset) -> None:
    built = build(books.work(chapters, preset), [mp3(192)], tmp_path / "cache")
    energies = built.encoded[0].energies
    level, target = (energies.rms_db, preset.rms_db) if preset.rms_db else (energies.lufs, preset.loudness_lufs)
    assert level == pytest.approx(target, abs=0.1)


def test_raw_changes_no_level(chapters: list[Chapter], tmp_path: Path) -> None:
    built = build(books.work(chapters, PRESETS["raw"]), [PCM], tmp_path / "cache")
    assert set(built.levels.voices.values()) == {0.0} and set(built.levels.book.values()) == {0.0}
    assert built.encoded[0].chapters[0].header.limited == []


@pytest.mark.parametrize("codec", [aac(64), aac(128), mp3(192), opus(48), PCM], ids=lambda codec: codec.name)
def test_decoded_true_peaks_stay_under_the_target(chapters: list[Chapter], tmp_path: Path, codec: Codec) -> None:
    work = books.work(chapters[:1], PRESETS["audiobook"])
    (encoded,) = build(work, [codec], tmp_path / "cache").encoded
    samples = decoded(codec, encoded.chapters[0])
    assert true_peak_dbtp([samples]) <= -3.0
    assert encoded.true_peak_dbtp == pytest.approx(true_peak_dbtp([samples]), abs=0.01)
    header = encoded.chapters[0].header
    assert header.limited, "the limiter had nothing to do: the test proves nothing"
    again = read_packets(encoded.chapters[0].path)
    assert again is not None and again.header.limited == header.limited


def test_where_a_codec_overshoots_its_allowance_the_samples_are_lowered_and_encoded_again(
    chapters: list[Chapter], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    work = books.work(chapters[:1])
    (allowed,) = build(work, [aac(128)], tmp_path / "cache").encoded
    monkeypatch.setattr("vvbatch.book.build.overshoot_db", lambda name, kbps: 0.0)
    (encoded,) = build(work, [aac(128)], tmp_path / "cache").encoded
    assert encoded.true_peak_dbtp <= -3.0
    header = encoded.chapters[0].header
    assert header.ceiling_dbtp == -3.0, "the whole chapter was lowered, not the places of its peaks"
    assert header.energies.lufs == pytest.approx(allowed.energies.lufs, abs=0.1)


@pytest.mark.parametrize("codec", [aac(64), mp3(192), opus(48), PCM], ids=lambda codec: codec.name)
def test_chapters_start_where_their_first_sample_is(chapters: list[Chapter], tmp_path: Path, codec: Codec) -> None:
    built = build(books.work(chapters), [codec], tmp_path / "cache")
    (encoded,) = built.encoded
    marks = encoded.marks(built.work.chapters)
    frames = [round(mark.start_s * codec.rate) for mark in marks]
    assert frames == [sum(p.header.samples for p in encoded.chapters[:index]) for index in range(3)]
    assert all(frame % codec.frame == 0 for frame in frames)
    for packets, part in zip(encoded.chapters, built.book, strict=True):
        coded = math.ceil(part.layout.length * codec.rate / RATE / codec.frame) + codec.flush_packets
        assert packets.header.samples == coded * codec.frame == len(packets.sizes) * codec.frame or codec is PCM


@pytest.mark.slow
def test_two_builds_have_the_same_bytes(chapters: list[Chapter], tmp_path: Path) -> None:
    def hashes(cache: Path) -> list[str]:
        built = build(books.work(chapters), [aac(64), mp3(192)], cache)
        return [hashlib.sha256(p.path.read_bytes()).hexdigest() for e in built.encoded for p in e.chapters]

    assert hashes(tmp_path / "one") == hashes(tmp_path / "other")


def edited(tmp_path: Path, chapters: list[Chapter], rms_dbfs: float = -26.0) -> list[Chapter]:
    """The same book after the first line of its second chapter was rendered again."""
    line = books.speech(tmp_path / "takes", "c002-l0-again", take_samples(1.7, 777, rms_dbfs=rms_dbfs), "emma")
    items = (replace(line, line="c002-l0"), *chapters[1].items[1:])
    return [chapters[0], replace(chapters[1], items=items), chapters[2]]


def test_each_codec_has_a_gain_of_its_own_so_the_next_build_encodes_nothing(
    chapters: list[Chapter], tmp_path: Path
) -> None:
    """Both may have the same ceiling of peaks: MP3 takes more from the level than AAC."""
    work, codecs = books.work(chapters, PRESETS["podcast"]), [aac(128), mp3(192)]
    first = build(work, codecs, tmp_path / "cache")
    again = build(work, codecs, tmp_path / "cache", held=first.levels)
    assert [each.newly for each in again.encoded] == [0, 0]
    assert again.levels == first.levels
    for encoded in first.encoded:
        assert abs(drift_lu(encoded.energies, PRESETS["podcast"])) <= 0.1


def test_after_one_edited_line_exactly_one_chapter_is_encoded(chapters: list[Chapter], tmp_path: Path) -> None:
    first = build(books.work(chapters), [aac(64)], tmp_path / "cache")
    assert first.encoded[0].newly == 3
    again = build(books.work(edited(tmp_path, chapters)), [aac(64)], tmp_path / "cache", held=first.levels)
    assert again.encoded[0].newly == 1 and again.levels == first.levels
    unchanged = build(books.work(chapters), [aac(64)], tmp_path / "cache", held=again.levels)
    assert unchanged.encoded[0].newly == 0


def test_gains_are_measured_again_when_the_book_has_drifted(chapters: list[Chapter], tmp_path: Path) -> None:
    first = build(books.work(chapters), [PCM], tmp_path / "cache")
    louder = edited(tmp_path, chapters, rms_dbfs=-12.0)
    again = build(books.work(louder), [PCM], tmp_path / "cache", held=first.levels)
    assert again.levels != first.levels
    assert again.encoded[0].energies.lufs == pytest.approx(-19.0, abs=0.1)


def test_a_small_drift_keeps_the_gains(chapters: list[Chapter], tmp_path: Path) -> None:
    first = build(books.work(chapters), [PCM], tmp_path / "cache")
    moved = {voice: gain + 0.2 for voice, gain in first.levels.voices.items()}
    held = Levels(moved, first.levels.book, first.levels.tones, first.levels.sounds)
    assert build(books.work(chapters), [PCM], tmp_path / "cache", held=held).levels == held


def test_a_sound_has_the_loudness_of_the_speech(chapters: list[Chapter], tmp_path: Path) -> None:
    path, sha256 = books.write_take(tmp_path / "takes", "jingle", books.speech_like(4.0, 9, rms_dbfs=-40.0))
    items = (Sound(path, sha256), *chapters[0].items)
    built = build(books.work([replace(chapters[0], items=items)]), [PCM], tmp_path / "cache")
    span = built.book[0].layout.spans[0]
    samples = decoded(PCM, built.encoded[0].chapters[0])[span.start : span.stop]
    judged = pyloudnorm.Meter(RATE, filter_class="DeMan").integrated_loudness(samples.astype(float))
    assert judged == pytest.approx(-19.0, abs=0.7)
    assert [cue.line for cue in built.cues(built.encoded[0])] == [item.line for item in chapters[0].speeches]


def refused(work: Work, cache: Path) -> str:
    with pytest.raises(BookError) as caught:
        build(work, [PCM], cache)
    return str(caught.value)


def test_an_empty_chapter_is_refused_by_its_number_and_title(chapters: list[Chapter], tmp_path: Path) -> None:
    message = refused(books.work([*chapters, Chapter(4, "No\x00thing", ())]), tmp_path / "cache")
    assert message.startswith("chapter 4 'No thing' has no lines")
    assert refused(books.work([]), tmp_path / "cache").startswith("the book has no lines")


@pytest.mark.parametrize("content", [b"", b"\x89PNG not audio", b"RIFF\x00\x00\x00\x00WAVE"])
def test_a_sound_that_is_no_audio_is_refused(chapters: list[Chapter], tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "jingle.wav"
    path.write_bytes(content)
    work = books.work([replace(chapters[0], items=(Sound(path, "0"), *chapters[0].items))])
    message = refused(work, tmp_path / "cache")
    assert message.startswith(f"sound {path}") and "name a WAV" in message


def test_a_take_that_changed_or_is_gone_is_refused(chapters: list[Chapter], tmp_path: Path) -> None:
    take = chapters[1].speeches[2].path
    books.write_take(take.parent, take.stem, take_samples(1.0, 55))
    message = refused(books.work(chapters), tmp_path / "cache")
    assert "has changed since it was rendered" in message and "verify --repair" in message
    take.unlink()
    assert "cannot be read" in refused(books.work(chapters), tmp_path / "cache")


def test_a_full_disk_leaves_no_partial_file(
    chapters: list[Chapter], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = tmp_path / "cache"
    build(books.work(chapters), [PCM], cache)
    before = {path: path.read_bytes() for path in cache.rglob("*") if path.is_file()}

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("vvbatch.book.packets.os.fsync", full)
    with pytest.raises(OSError, match="No space left"):
        build(books.work(chapters), [opus(48)], cache)
    assert {path: path.read_bytes() for path in cache.rglob("*") if path.is_file()} == before


def test_a_damaged_packet_file_is_made_again(chapters: list[Chapter], tmp_path: Path) -> None:
    first = build(books.work(chapters), [PCM], tmp_path / "cache")
    damaged = first.encoded[0].chapters[1].path
    whole = damaged.read_bytes()
    for content in (whole[:-1], whole[:500], b"", whole[100:]):
        damaged.write_bytes(content)
        assert read_packets(damaged) is None
        again = build(books.work(chapters), [PCM], tmp_path / "cache", held=first.levels)
        assert again.encoded[0].newly == 1 and damaged.read_bytes() == whole


def test_the_cache_drops_what_was_not_used_for_longest(tmp_path: Path) -> None:
    import os

    for index in range(4):
        file = tmp_path / "chapters" / str(index)
        file.parent.mkdir(exist_ok=True)
        file.write_bytes(b"x" * 100)
        os.utime(file, (1000 - index, 1000 - index))
    make_room(tmp_path, 250)
    assert sorted(file.name for file in tmp_path.rglob("?")) == ["0", "1"]


def test_everything_that_a_build_finds_in_the_cache_counts_as_used(chapters: list[Chapter], tmp_path: Path) -> None:
    import os

    first = build(books.work(chapters), [PCM], tmp_path / "cache")
    files = [path for path in (tmp_path / "cache").rglob("*") if path.is_file()]
    assert {path.parent.name for path in files} == {"chapters", "measures"}
    for file in files:
        os.utime(file, (1000, 1000))
    build(books.work(chapters), [PCM], tmp_path / "cache", held=first.levels)
    used = {path for path in files if path.stat().st_mtime > 1000}
    in_book = {packets.path for packets in first.encoded[0].chapters}
    assert used == in_book | {path for path in files if path.parent.name == "measures"}


def test_cues_follow_the_map_of_the_takes(chapters: list[Chapter], tmp_path: Path) -> None:
    built: Built = build(books.work(chapters), [PCM], tmp_path / "cache")
    cues, marks = built.cues(built.encoded[0]), built.encoded[0].marks(chapters)
    assert len(cues) == 12
    for cue, part in zip(cues[4:8], [built.book[1]] * 4, strict=True):
        first, last = part.layout.speech[cues[4:8].index(cue)]
        assert cue.start_s == marks[1].start_s + first / RATE and cue.stop_s == marks[1].start_s + last / RATE


def test_words_have_their_times_in_the_file_within_their_line(chapters: list[Chapter], tmp_path: Path) -> None:
    speech = replace(
        chapters[1].speeches[1],
        text="This is a line.",
        words=(Word("This", 0.0, 0.5), Word("is", 0.5, 0.9), Word("line", 1.2, 9.0)),
    )
    second = replace(chapters[1], items=(chapters[1].items[0], speech, *chapters[1].items[2:]))
    built = build(books.work([chapters[0], second, chapters[2]]), [PCM], tmp_path / "cache")
    cue, start_s = built.cues(built.encoded[0])[5], built.encoded[0].marks(chapters)[1].start_s
    span = built.book[1].layout.spans[1]
    shift = start_s + (span.start - span.source) / RATE
    assert [word.text for word in cue.words] == ["This", "is", "a", "line."]
    assert cue.words[0].start_s == cue.start_s and cue.words[-1].stop_s == pytest.approx(cue.stop_s)
    assert cue.words[1].start_s == pytest.approx(shift + 0.5) and cue.words[3].start_s == pytest.approx(shift + 1.2)
    assert (cue.words[2].start_s, cue.words[2].stop_s) == (cue.words[1].stop_s, cue.words[3].start_s)


def test_unknown_and_contradictory_presets_are_refused() -> None:
    with pytest.raises(BookError, match="preset 'loud' is unknown: choose one of audiobook, podcast, acx, raw, mine"):
        preset_named("loud", {"mine": Preset(loudness_lufs=-20.0)})
    assert preset_named("mine", {"mine": Preset(loudness_lufs=-20.0)}).name == "mine"
    with pytest.raises(BookError, match="exclude each other"):
        preset_named("both", {"both": Preset(loudness_lufs=-20.0, rms_db=-20.0)})
    with pytest.raises(BookError, match="mp3_kbps is 100"):
        preset_named("odd", {"odd": Preset(mp3_kbps=100)})
    assert ceiling_dbtp(PRESETS["audiobook"], aac(64)) == -4.5
