"""Files from pipes, stopped recorders and old encoders are read whole; a file that was cut is refused."""

from __future__ import annotations

import io
import os
import struct
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from tests.support.sounds import RATE, speechlike
from vvbatch import audio


@cache
def talk(rate: int = RATE) -> NDArray[np.float64]:
    return speechlike(3.0, rate=rate)


TALK = talk()


@cache
def encoded(container: str, subtype: str | None = None, rate: int = RATE, channels: int = 1) -> bytes:
    """A file of three seconds."""
    samples = talk(rate)
    buffer = io.BytesIO()
    soundfile.write(buffer, np.stack([samples] * channels, 1), rate, format=container, subtype=subtype)
    return buffer.getvalue()


def sound_of(folder: Path, data: bytes) -> audio.Sound:
    (folder / "recording").write_bytes(data)
    return audio.read_sound(folder / "recording")


def same(samples: NDArray[np.floating], others: NDArray[np.floating], tolerance: float = 1e-4) -> bool:
    return len(samples) == len(others) and bool(np.abs(samples - others).max() < tolerance)


@pytest.mark.parametrize("ending", ["wav", "flac", "ogg", "aiff", "mp3", "au", "caf", "w64", "rf64"])
def test_common_formats_are_read(tmp_path: Path, ending: str) -> None:
    file = tmp_path / f"a.{ending}"
    soundfile.write(file, speechlike(0.5), RATE)
    samples, rate = audio.read(file)
    assert (rate, samples.dtype, samples.ndim) == (RATE, np.dtype(np.float32), 1)
    assert len(samples) == RATE // 2


def test_channels_are_kept_apart(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.wav", np.zeros((100, 2)), 44_100)
    samples, rate = audio.read(tmp_path / "a.wav")
    assert (samples.shape, rate) == ((100, 2), 44_100)


@pytest.mark.parametrize("ending", ["wav", "flac", "aiff", "au", "caf", "w64", "rf64"])
def test_a_file_cut_short_is_refused(tmp_path: Path, ending: str) -> None:
    file = tmp_path / f"a.{ending}"
    soundfile.write(file, np.random.default_rng(0).normal(0, 0.1, RATE), RATE)
    file.write_bytes(file.read_bytes()[:-10_000])
    with pytest.raises(audio.AudioError, match=file.name):
        audio.read(file)


def test_a_file_of_another_kind_is_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / "text.wav").write_text("RIFX is not audio")
    (tmp_path / "head.wav").write_bytes(b"RIFF\0\0\0\0WAVE")
    (tmp_path / "empty.raw").write_bytes(b"")
    os.mkfifo(tmp_path / "pipe.wav")
    for name in ("text.wav", "head.wav", "empty.raw", "pipe.wav", "gone.wav", "nul\0.wav", "."):
        with pytest.raises(audio.AudioError, match=str(tmp_path)):
            audio.read(tmp_path / name)


def test_large_and_long_files_are_refused(tmp_path: Path) -> None:
    file = tmp_path / "a.flac"
    soundfile.write(file, np.zeros(RATE * 3), RATE)
    with pytest.raises(audio.AudioError, match="bytes is too large \\(limit 100\\)"):
        audio.read(file, max_bytes=100)
    with pytest.raises(audio.AudioError, match="too long"):
        audio.read(file, max_duration_s=2)


@given(st.sampled_from(["WAV", "FLAC", "OGG", "AIFF", "MP3", "AU", "CAF", "W64", "RF64"]), st.data())
def test_damaged_files_are_read_or_refused_and_nothing_else(
    tmp_path_factory: pytest.TempPathFactory, kind: str, data: st.DataObject
) -> None:
    buffer = io.BytesIO()
    soundfile.write(buffer, speechlike(0.02), RATE, format=kind)
    damaged = bytearray(buffer.getvalue())
    for place, byte in data.draw(st.lists(st.tuples(st.integers(0, 120), st.integers(0, 255)), max_size=6)):
        damaged[place % len(damaged)] = byte
    file = tmp_path_factory.getbasetemp() / "damaged"
    file.write_bytes(damaged[: data.draw(st.integers(0, len(damaged)))])
    try:
        samples, rate = audio.read(file)
    except audio.AudioError as error:
        assert "damaged" in str(error)
    else:
        assert samples.dtype == np.float32
        assert rate > 0


# Headers without a length: those of writers that cannot seek back

SIZES_32 = (
    *(
        0,
        0x7FFFF000,
        0x7FFFFFFF,
        0x80000000,
        0xFFFFFFFF,
    ),  # 0: a recorder that was stopped
    *(0x7FFFFFFE, 0x7FFFFFDB, 0x80000024, 0xFFFFFFDB, 0xFFFFFFFE, 0xFFFFF000),  # less a header, or in whole blocks
)
SIZES_64 = (*SIZES_32, 2**63 - 1, 2**63, 2**64 - 1, 2**64 - 4096)


def without_length(container: str, size: int) -> bytes:
    data = bytearray(encoded(container, "PCM_16"))
    head, place = {
        "WAV": ("<4xI", b"data"),
        "WAVEX": ("<4xI", b"data"),
        "RF64": ("<16xQ", b"ds64"),
        "AIFF": (">4xI", b"SSND"),
        "AU": (">8xI", b".snd"),
        "CAF": (">4xQ", b"data"),
        "W64": ("<16xQ", b"data"),
    }[container]
    at = data.index(place) + struct.calcsize(head) - struct.calcsize(head[0] + head[-1])
    struct.pack_into(head[0] + head[-1], data, at, size)
    return bytes(data)


@pytest.mark.parametrize(
    ("container", "size"),
    [
        *((container, size) for container in ("WAV", "WAVEX", "AIFF", "AU") for size in SIZES_32),
        *((container, size) for container in ("RF64", "W64", "CAF") for size in SIZES_64),
    ],
)
def test_a_placeholder_for_the_size_means_to_the_end_of_the_file(tmp_path: Path, container: str, size: int) -> None:
    sound = sound_of(tmp_path, without_length(container, size))
    offset = 12  # bytes between the end of the data's head and its samples at most
    assert len(sound.samples) == pytest.approx(len(TALK), abs=offset)
    assert same(sound.samples[-len(TALK) :], TALK[-len(sound.samples) :])
    assert "does not give its length" in sound.note


@pytest.mark.parametrize("riff", [0, 36, 0x7FFFF024, 0xFFFFFFFF])
def test_the_size_of_the_whole_riff_file_does_not_matter(tmp_path: Path, riff: int) -> None:
    data = bytearray(without_length("WAV", 0))
    struct.pack_into("<I", data, 4, riff)
    assert same(sound_of(tmp_path, bytes(data)).samples, TALK)


@pytest.mark.parametrize("size", [200_000, 0x10000000, 0x70000000, 0xC0000000])
@pytest.mark.parametrize("container", ["WAV", "AIFF", "AU"])
def test_a_size_that_is_no_placeholder_is_believed(tmp_path: Path, container: str, size: int) -> None:
    with pytest.raises(audio.AudioError, match=rf"declares {size} bytes of samples, it holds 1440\d\d: cut"):
        sound_of(tmp_path, without_length(container, size))


@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("size", [0, 0x7FFFF000, 0xFFFFFFFF])
def test_a_placeholder_before_half_a_frame_is_refused(tmp_path: Path, size: int, channels: int) -> None:
    data = bytearray(encoded("WAV", "PCM_16", channels=channels))
    struct.pack_into("<I", data, 40, size)
    with pytest.raises(audio.AudioError, match=f"its last frame has 1 of {2 * channels} bytes: cut"):
        sound_of(tmp_path, bytes(data[: 44 + 10_001 * 4 - 3]))


def test_a_pad_byte_after_an_odd_number_of_bytes_is_no_half_frame(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    soundfile.write(buffer, TALK[:1001], RATE, format="WAV", subtype="PCM_24")
    data = bytearray(buffer.getvalue())
    struct.pack_into("<I", data, 40, 0xFFFFFFFF)
    assert same(sound_of(tmp_path, bytes(data[: 44 + 3003]) + b"\0").samples, TALK[:1001])


def test_an_empty_data_chunk_before_other_chunks_holds_no_samples(tmp_path: Path) -> None:
    empty = bytearray(encoded("WAV", "PCM_16")[:44])
    struct.pack_into("<I", empty, 40, 0)
    assert len(sound_of(tmp_path, bytes(empty) + b"LIST\4\0\0\0INFO").samples) == 0
    assert len(sound_of(tmp_path, bytes(empty)).samples) == 0


TOTAL_OF_FLAC = (1 << 36) - 1


def flac_without_length(subtype: str = "PCM_16", channels: int = 1, rate: int = RATE) -> bytes:
    data = bytearray(encoded("FLAC", subtype, rate, channels))
    fields = int.from_bytes(data[18:26], "big")
    data[18:26] = (fields & ~TOTAL_OF_FLAC).to_bytes(8, "big")
    return bytes(data)


@pytest.mark.parametrize("rate", [8_000, 22_050, 24_000, 44_100, 48_000, 96_000])
@pytest.mark.parametrize(("subtype", "channels"), [("PCM_16", 1), ("PCM_16", 2), ("PCM_24", 1)])
def test_a_flac_of_unknown_length_is_read_whole(tmp_path: Path, subtype: str, channels: int, rate: int) -> None:
    sound = sound_of(tmp_path, flac_without_length(subtype, channels, rate))
    assert same(sound.samples.reshape(-1, channels)[:, 0], talk(rate))
    assert "does not give its length" in sound.note


@pytest.mark.parametrize("missing", [1, 2, 100, 1_000, 50_000])
def test_a_flac_of_unknown_length_whose_last_frame_is_cut_is_refused(tmp_path: Path, missing: int) -> None:
    with pytest.raises(audio.AudioError, match="its last frame is not whole: cut"):
        sound_of(tmp_path, flac_without_length()[:-missing])


# Ogg without its end flag


def pages(data: bytes) -> list[bytes]:
    found, at = [], 0
    while at < len(data):
        size = 27 + data[at + 26] + sum(data[at + 27 : at + 27 + data[at + 26]])
        found.append(data[at : at + size])
        at += size
    return found


@pytest.mark.parametrize("rate", [8_000, 24_000, 48_000])
@pytest.mark.parametrize("subtype", ["VORBIS", "OPUS"])
def test_an_ogg_without_its_last_page_is_read_with_a_note(tmp_path: Path, subtype: str, rate: int) -> None:
    data = encoded("OGG", subtype, rate)
    assert sound_of(tmp_path, data).note == ""
    whole = pages(data)
    assert len(whole) > 3
    sound = sound_of(tmp_path, b"".join(whole[:-1]))
    assert 1.0 < len(sound.samples) / rate < 3.0
    assert "end flag" in sound.note


@pytest.mark.parametrize("subtype", ["VORBIS", "OPUS"])
def test_an_ogg_with_a_cut_a_damaged_or_a_missing_page_is_refused(tmp_path: Path, subtype: str) -> None:
    whole = pages(encoded("OGG", subtype))
    for data, reason in {
        b"".join(whole)[:-1]: "the last Ogg page is not whole: cut",
        b"".join(whole[:-1])[:-1]: "the last Ogg page is not whole: cut",
        b"".join(whole[:-1]) + whole[-1][:20]: "the last Ogg page is not whole: cut",
        b"".join(whole[:-1]) + b"Og": "no Ogg page: damaged or cut",
        b"".join(whole[:2] + whole[3:]): "page 2 of an Ogg stream is missing: cut",
        b"".join(whole[:-1])[:-1] + b"\x55": "is damaged",
    }.items():
        with pytest.raises(audio.AudioError, match=reason):
            sound_of(tmp_path, data)


# MP3 without a header of its own

BARE = {"write_xing": "0", "id3v2_version": "0"}
TAGS = {"all": {}, "none": BARE, "no length": {"write_xing": "0"}, "at the end": {"write_id3v1": "1", **BARE}}
MP3_RATES = (8_000, 11_025, 12_000, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000)


@cache
def mp3(rate: int, tags: str = "all", channels: int = 1) -> bytes:
    """By FFmpeg's muxer, which can leave out the tag and the frame that declares the length."""
    options = TAGS[tags]
    av = pytest.importorskip("av")
    buffer = io.BytesIO()
    layout = "mono" if channels == 1 else "stereo"
    with av.open(buffer, "w", format="mp3", options=options) as container:
        stream = container.add_stream("libmp3lame", rate=rate, layout=layout)
        samples = np.stack([talk(rate)] * channels).astype(np.float32)
        frame = av.AudioFrame.from_ndarray(samples, format="fltp", layout=layout)
        frame.sample_rate = rate
        for packet in [*stream.encode(frame), *stream.encode(None)]:
            container.mux(packet)
    return buffer.getvalue()


@pytest.mark.parametrize("rate", MP3_RATES)
@pytest.mark.parametrize("zeros", [0, 1, 5_000])
def test_an_mp3_of_any_rate_is_read_with_or_without_zeros_before_it(tmp_path: Path, rate: int, zeros: int) -> None:
    sound = sound_of(tmp_path, bytes(zeros) + encoded("MP3", rate=rate))
    assert (sound.rate, len(sound.samples), sound.note) == (rate, 3 * rate, "")
    assert np.corrcoef(sound.samples, talk(rate))[0, 1] > 0.9


@pytest.mark.parametrize("rate", MP3_RATES)
@pytest.mark.parametrize("tags", TAGS)
@pytest.mark.parametrize("channels", [1, 2])
def test_an_mp3_is_read_whole_with_and_without_its_tags(tmp_path: Path, rate: int, tags: str, channels: int) -> None:
    data = mp3(rate, tags, channels)
    for content in (data, bytes(1_000) + data, data + bytes(1_000)):
        sound = sound_of(tmp_path, content)
        assert sound.rate == rate
        assert 3.0 <= len(sound.samples) / rate < 3.2  # with the encoder's delay, where no frame declares it


@pytest.mark.parametrize("rate", MP3_RATES)
@pytest.mark.parametrize("tags", ["all", "none", "no length"])
def test_an_mp3_whose_last_frame_is_cut_is_refused(tmp_path: Path, rate: int, tags: str) -> None:
    with pytest.raises(audio.AudioError, match=r"its last frame has \d+ bytes, \d+ are there: cut"):
        sound_of(tmp_path, mp3(rate, tags)[:-20])


def test_an_mp3_with_fewer_frames_than_it_declares_is_refused(tmp_path: Path) -> None:
    with pytest.raises(audio.AudioError, match="declares 127 frames, it holds 126: cut"):
        data = mp3(24_000)
        sound_of(tmp_path, data[:-96])


def test_two_mp3_files_in_one_are_both_read(tmp_path: Path) -> None:
    data = mp3(24_000)
    assert len(sound_of(tmp_path, data + data).samples) == pytest.approx(6.0 * 24_000, rel=0.03)


def test_zeros_alone_and_other_bytes_are_no_mp3(tmp_path: Path) -> None:
    for data in (bytes(10_000), b"\xff\xfb" + bytes(1_000), bytes(100) + b"RIFF", b"\xff\xe3" * 500):
        with pytest.raises(audio.UnknownFormat, match="not a WAV"):
            sound_of(tmp_path, data)
