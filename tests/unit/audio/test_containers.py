"""Files as programs really leave them: without lengths, with placeholders, after zeros, and cut."""

from __future__ import annotations

import io
import struct
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from vvbatch import audio
from vvbatch.audio.containers import checked
from vvbatch.audio.mpeg import mpeg_frame
from vvbatch.audio.whole import Cut

RATE = 24_000
NOISE = np.random.default_rng(5).normal(0, 0.1, 2 * RATE).astype(np.float32)


def encoded(samples: NDArray[np.float32], kind: str, subtype: str | None = None, rate: int = RATE) -> bytearray:
    file = io.BytesIO()
    soundfile.write(file, samples, rate, format=kind, subtype=subtype)
    return bytearray(file.getvalue())


def read(folder: Path, data: bytes | bytearray) -> audio.AudioFile:
    path = folder / "sound"
    path.write_bytes(data)
    return audio.read_file(path)


def mp3(samples: NDArray[np.float32], rate: int, *, counted: bool) -> bytes:
    """Without an ID3 tag; `counted` keeps the Xing header's frame."""
    data = bytes(encoded(samples, "MP3", rate=rate))
    if data.startswith(b"ID3"):
        data = data[10 + (data[6] << 21 | data[7] << 14 | data[8] << 7 | data[9]) :]
    first = mpeg_frame(data[:4])
    assert first is not None and first.size is not None and (b"Xing" in data[:100] or b"Info" in data[:100])
    return data if counted else data[first.size :]


@pytest.mark.parametrize("counted", [True, False])
@pytest.mark.parametrize("rate", [8_000, 11_025, 12_000, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000])
def test_an_mp3_without_a_tag_is_read_to_its_last_sample(tmp_path: Path, rate: int, counted: bool) -> None:
    samples = NOISE[: 2 * rate] if rate <= RATE else np.resize(NOISE, 2 * rate)
    found = read(tmp_path, mp3(samples, rate, counted=counted))
    assert found.rate == rate and found.notes == ()
    assert len(found.samples) / rate == pytest.approx(2.0, abs=0.2)
    assert len(found.samples) >= len(samples)


@pytest.mark.parametrize("counted", [True, False])
def test_zero_bytes_before_an_mp3_are_skipped_with_a_note(tmp_path: Path, counted: bool) -> None:
    data = mp3(NOISE, RATE, counted=counted)
    found = read(tmp_path, bytes(417) + data)
    assert np.array_equal(found.samples, read(tmp_path, data).samples)
    assert found.notes == ("417 zero bytes before the first frame are skipped",)


@pytest.mark.parametrize("missing", [1, 40, 100])
@pytest.mark.parametrize("counted", [True, False])
def test_an_mp3_whose_last_frame_is_cut_is_refused(tmp_path: Path, counted: bool, missing: int) -> None:
    with pytest.raises(audio.AudioError, match=r"frame \d+ is not whole: cut, copy it again"):
        read(tmp_path, mp3(NOISE, RATE, counted=counted)[:-missing])


def test_an_mp3_that_lacks_whole_frames_of_those_it_counts_is_refused(tmp_path: Path) -> None:
    data = mp3(NOISE, RATE, counted=True)
    at = 0
    while (frame := mpeg_frame(data[at : at + 4])) and at < len(data) // 2:
        assert frame.size
        at += frame.size
    with pytest.raises(audio.AudioError, match=r"its header counts \d+ frames, it holds \d+"):
        read(tmp_path, data[:at])


@pytest.mark.parametrize("tag", [b"TAG".ljust(128, b"\0"), b"APETAGEX".ljust(64, b"\0"), bytes(300)])
def test_tags_and_zeros_behind_an_mp3_are_no_cut(tmp_path: Path, tag: bytes) -> None:
    data = mp3(NOISE, RATE, counted=True)
    assert np.array_equal(read(tmp_path, data + tag).samples, read(tmp_path, data).samples)


PLACEHOLDERS = [0, 0x7FFF_F000, 0x7FFF_FFFF, 0x8000_0000, 0x7FFF_FFDB, 0xFFFF_FFFF, 0xFFFF_FFDA, 0x8000_0024]


@pytest.mark.parametrize("size", PLACEHOLDERS)
@pytest.mark.parametrize("total", [0, 36, 0x7FFF_FFFF, 0xFFFF_FFFF])
def test_a_wav_with_a_placeholder_for_its_length_is_read_to_its_end(tmp_path: Path, size: int, total: int) -> None:
    data = encoded(NOISE, "WAV", "PCM_16")
    whole = read(tmp_path, data).samples
    at = data.index(b"data") + 4
    struct.pack_into("<I", data, 4, total)
    struct.pack_into("<I", data, at, size)
    found = read(tmp_path, data)
    assert np.array_equal(found.samples, whole)
    assert found.notes == ("its header does not say how long it is: read to its end",)


@pytest.mark.parametrize("size", PLACEHOLDERS)
def test_an_aiff_with_a_placeholder_for_its_length_is_read_to_its_end(tmp_path: Path, size: int) -> None:
    data = encoded(NOISE, "AIFF", "PCM_16")
    whole = read(tmp_path, data).samples
    struct.pack_into(">I", data, data.index(b"COMM") + 10, size if size < 1 << 31 else 0)
    struct.pack_into(">I", data, data.index(b"SSND") + 4, size)
    found = read(tmp_path, data)
    assert np.array_equal(found.samples, whole) and found.notes


@pytest.mark.parametrize("size", [0, 0xFFFF_FFFF, 0x7FFF_F000, 0xFFFF_FFFF_FFFF_FFFF, 0x7FFF_FFFF_FFFF_FFFF])
def test_an_rf64_with_a_placeholder_for_its_length_is_read_to_its_end(tmp_path: Path, size: int) -> None:
    data = encoded(NOISE, "RF64", "PCM_16")
    whole = read(tmp_path, data).samples
    assert data[12:16] == b"ds64"
    struct.pack_into("<Q", data, 28, size)
    found = read(tmp_path, data)
    assert np.array_equal(found.samples, whole) and found.notes


def test_a_wav_that_is_really_empty_has_no_samples(tmp_path: Path) -> None:
    data = encoded(NOISE[:0], "WAV", "PCM_16") + b"LIST" + struct.pack("<I", 4) + b"INFO"
    found = read(tmp_path, data)
    assert len(found.samples) == 0 and found.notes == ()


@pytest.mark.parametrize(("kind", "missing"), [("WAV", 2), ("AIFF", 2), ("RF64", 200), ("FLAC", 1)])
def test_a_file_that_lacks_bytes_of_a_known_length_is_refused(tmp_path: Path, kind: str, missing: int) -> None:
    with pytest.raises(audio.AudioError, match=r"cut|damaged|cannot be read"):
        read(tmp_path, encoded(NOISE, kind, "PCM_16")[:-missing])


@pytest.mark.parametrize("seconds", [0.01, 0.5, 2.0])
@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("subtype", ["PCM_16", "PCM_24"])
def test_a_flac_of_unknown_length_is_read_to_its_end(
    tmp_path: Path, seconds: float, channels: int, subtype: str
) -> None:
    samples = np.stack([NOISE[: int(seconds * RATE)]] * channels, axis=1)
    data = unknown_length(encoded(samples, "FLAC", subtype))
    found = read(tmp_path, data)
    assert found.samples.shape[0] == len(samples)
    assert found.notes == ("its header does not say how long it is: read to its end",)


def unknown_length(flac: bytearray) -> bytearray:
    (fields,) = struct.unpack_from(">Q", flac, 18)
    struct.pack_into(">Q", flac, 18, fields >> 36 << 36)
    flac[26:42] = bytes(16)  # no checksum of the samples either, as in a stream
    return flac


@pytest.mark.parametrize("missing", [1, 2, 100, 20_000])
def test_a_flac_of_unknown_length_whose_last_frame_is_cut_is_refused(tmp_path: Path, missing: int) -> None:
    with pytest.raises(audio.AudioError, match="its last frame is not whole: cut, copy it again"):
        read(tmp_path, unknown_length(encoded(NOISE, "FLAC"))[:-missing])


@pytest.mark.parametrize("subtype", ["VORBIS", "OPUS"])
def test_an_ogg_without_its_end_mark_is_read_with_a_note(tmp_path: Path, subtype: str) -> None:
    data = encoded(NOISE, "OGG", subtype)
    whole = read(tmp_path, data)
    last = data.rindex(b"OggS")
    data[last + 5] &= ~4
    struct.pack_into("<I", data, last + 22, 0)
    struct.pack_into("<I", data, last + 22, ogg_crc(bytes(data[last:])))
    found = read(tmp_path, data)
    assert len(found.samples) == len(whole.samples) and whole.notes == ()
    assert "its end is not marked" in found.notes[0] and "pages are whole" in found.notes[0]


@pytest.mark.parametrize("subtype", ["VORBIS", "OPUS"])
@pytest.mark.parametrize("missing", [1, 30])
def test_an_ogg_whose_last_page_is_cut_is_refused(tmp_path: Path, subtype: str, missing: int) -> None:
    with pytest.raises(audio.AudioError, match=r"page \d+ is not whole: cut, copy it again"):
        read(tmp_path, encoded(NOISE, "OGG", subtype)[:-missing])


def ogg_crc(page: bytes) -> int:
    value = 0
    for byte in page:
        value ^= byte << 24
        for _ in range(8):
            value = (value << 1 ^ (0x04C1_1DB7 if value & 1 << 31 else 0)) & 0xFFFF_FFFF
    return value


@settings(max_examples=200, deadline=None)
@given(
    start=st.sampled_from(
        [b"RIFF", b"RF64", b"FORM", b"fLaC", b"OggS", b"ID3", b"\xff\xfb", b"\xff\xe3", b"\0\0\xff\xf3"]
    ),
    rest=st.binary(max_size=400),
)
def test_any_header_is_checked_or_refused(start: bytes, rest: bytes) -> None:
    try:
        found = checked(start + rest)
    except Cut:
        return
    assert found.notes or found.data in (start + rest, found.data[-len(start + rest) :])


@settings(max_examples=60, deadline=None)
@given(kind=st.sampled_from(["WAV", "AIFF", "RF64", "FLAC", "OGG", "MP3"]), data=st.data())
def test_a_damaged_header_is_read_or_refused_and_nothing_else(
    tmp_path_factory: pytest.TempPathFactory, kind: str, data: st.DataObject
) -> None:
    whole = encoded(NOISE[:4_800], kind)
    for _ in range(data.draw(st.integers(1, 4))):
        whole[data.draw(st.integers(0, min(len(whole), 200) - 1))] = data.draw(st.integers(0, 255))
    path = tmp_path_factory.getbasetemp() / "damaged"
    path.write_bytes(whole)
    try:
        samples, rate = audio.read(path)
    except audio.AudioError as error:
        assert str(path) in str(error)
    else:
        assert rate > 0 and samples.size <= audio.files.MAX_SAMPLES


@pytest.mark.parametrize("size", [0, 0x7FFFF000, 0xFFFFFFFF])
@pytest.mark.parametrize("channels", [1, 2])
def test_a_placeholder_before_half_a_frame_is_refused(tmp_path: Path, size: int, channels: int) -> None:
    data = encoded(np.stack([NOISE] * channels, 1), "WAV")
    struct.pack_into("<I", data, 40, size)
    with pytest.raises(audio.AudioError, match=f"its last frame has 1 of {2 * channels} bytes: cut"):
        read(tmp_path, data[: 44 + 10_001])


def test_a_padding_byte_behind_samples_of_24_bits_is_no_half_frame(tmp_path: Path) -> None:
    data = encoded(NOISE[:1001], "WAV", "PCM_24")[: 44 + 3003] + b"\0"
    struct.pack_into("<I", data, 40, 0xFFFFFFFF)
    assert len(read(tmp_path, data).samples) == 1001


@pytest.mark.parametrize("subtype", ["VORBIS", "OPUS"])
def test_an_ogg_without_its_end_mark_whose_last_page_is_damaged_is_refused(tmp_path: Path, subtype: str) -> None:
    data = encoded(NOISE, "OGG", subtype)
    data[data.rindex(b"OggS") + 5] &= ~4
    data[-1] ^= 0x55
    with pytest.raises(audio.AudioError, match=r"page \d+ is damaged: cut"):
        read(tmp_path, data)


@pytest.mark.parametrize(("kind", "missing"), [("AU", 501), ("CAF", 3), ("W64", 501), ("SVX", 501)])
def test_other_containers_of_samples_are_read_and_refused_where_they_are_cut(
    tmp_path: Path, kind: str, missing: int
) -> None:
    data = encoded(NOISE, kind)
    whole = read(tmp_path, data)
    assert (len(whole.samples), whole.rate, whole.notes) == (len(NOISE), RATE, ())
    with pytest.raises(audio.AudioError, match=r"its header declares \d+ bytes of samples, it holds \d+: cut"):
        read(tmp_path, data[:-missing])


def big_endian_wav() -> bytearray:
    file = io.BytesIO()
    soundfile.write(file, NOISE, RATE, format="WAV", endian="BIG")
    return bytearray(file.getvalue())


@pytest.mark.parametrize(
    ("kind", "mark", "form", "offset", "size"),
    [
        ("AU", b".snd", ">I", 8, 0xFFFF_FFFF),
        ("AU", b".snd", ">I", 8, 0),
        ("CAF", b"data", ">q", 4, -1),
        ("W64", b"data\xf3", "<Q", 16, 0),
        ("W64", b"data\xf3", "<Q", 16, 0xFFFF_FFFF_FFFF_FFFF),
        ("RIFX", b"data", ">I", 4, 0x7FFF_F000),
        ("RIFX", b"data", ">I", 4, 0),
        ("WAV", b"data", "<I", 4, 2_000_000_000),
    ],
)
def test_other_containers_without_a_length_are_read_to_their_end(
    tmp_path: Path, kind: str, mark: bytes, form: str, offset: int, size: int
) -> None:
    data = big_endian_wav() if kind == "RIFX" else encoded(NOISE, kind)
    whole = read(tmp_path, data)
    struct.pack_into(form, data, data.index(mark) + offset, size)
    found = read(tmp_path, data)
    assert np.array_equal(found.samples, whole.samples)
    assert found.notes == ("its header does not say how long it is: read to its end",)


@pytest.mark.parametrize("between", [b"", b"TAG".ljust(128, b"\0"), b"ID3\x03\0\0\0\0\0\x14" + bytes(20), bytes(99)])
@pytest.mark.parametrize("counted", [True, False])
def test_joined_mp3s_are_read_to_the_end_of_the_last(tmp_path: Path, counted: bool, between: bytes) -> None:
    one = mp3(NOISE, RATE, counted=counted)
    found = read(tmp_path, one + between + one)
    assert len(found.samples) / RATE == pytest.approx(4.0, abs=0.25)
    assert bool(found.notes) is counted
    assert all("read to its end" in note for note in found.notes)


def test_a_joined_mp3_whose_last_frame_is_cut_is_refused(tmp_path: Path) -> None:
    one = mp3(NOISE, RATE, counted=True)
    with pytest.raises(audio.AudioError, match=r"frame \d+ is not whole"):
        read(tmp_path, (one + one)[:-3])


def test_an_mp3_that_is_joined_with_another_kind_is_read_with_a_note(tmp_path: Path) -> None:
    other = mp3(np.resize(NOISE, 2 * 44_100), 44_100, counted=True)
    found = read(tmp_path, mp3(NOISE, RATE, counted=True) + other)
    assert len(found.samples) / RATE == pytest.approx(2.0, abs=0.2)
    assert [note for note in found.notes if "another kind of MPEG audio begins" in note] == list(found.notes) != []


@pytest.mark.parametrize("counted", [True, False])
def test_an_mp3_with_a_hole_is_refused(tmp_path: Path, counted: bool) -> None:
    data = mp3(NOISE, RATE, counted=counted)
    middle = len(data) // 2
    with pytest.raises(audio.AudioError, match=r"frame \d+ is damaged"):
        read(tmp_path, data[:middle] + b"\x55" * 700 + data[middle + 700 :])
