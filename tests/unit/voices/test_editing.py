from __future__ import annotations

import hashlib
import threading
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.conftest import ROOT
from tests.support.sounds import RATE, pitch_of, speechlike, write_wav
from vvbatch.engine.contract import FRAME, Manner
from vvbatch.profiles import bundled
from vvbatch.voices import InvalidVoice, Library, UnknownVoice, VoiceError
from vvbatch.voices.decode import COMPLETE, decode, excerpted
from vvbatch.voices.editing import NameTaken, add_variant, import_voice, put, remove
from vvbatch.voices.manifest import Entry, folded, name_problem
from vvbatch.voices.overview import listing, variants_of
from vvbatch.voices.vary import Change, at_tempo

WHEN = datetime(2026, 5, 2, 12, tzinfo=UTC)
SAMPLES = ROOT.parent / "shared" / "voices"


def library(folder: Path) -> Library:
    return Library([folder, bundled("voices")])


def imported(folder: Path, source: Path, name: str = "mara", **fields: str) -> Entry:
    return import_voice(folder, source, decode(source), {"name": name, **fields}, WHEN, library(folder))


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return write_wav(tmp_path / "Mara's own.wav", speechlike(5.0, 180.0), subtype="PCM_24")


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home"


def test_an_imported_voice_resolves_and_has_its_provenance_licence_and_consent(source: Path, home: Path) -> None:
    imported(home, source, language="en-GB", gender="female", license="own", consent="Mara, by mail")
    voice = library(home).resolve("MARA")
    data, rate = soundfile.read(voice.path)
    assert rate == RATE and len(data) % FRAME == 0 and soundfile.info(voice.path).subtype == "PCM_16"
    assert voice.sha256 == hashlib.sha256(voice.path.read_bytes()).hexdigest()
    entry = library(home).find("mara").entry
    assert (entry.language, entry.gender, entry.license, entry.consent) == ("en-GB", "female", "own", "Mara, by mail")
    assert entry.provenance["source"] == "Mara's own.wav"
    assert entry.provenance["source_sha256"] == hashlib.sha256(source.read_bytes()).hexdigest()
    assert entry.provenance["made_at"] == "2026-05-02T12:00:00+00:00"
    assert voice.manner.pitch > 0


def test_the_same_recording_gives_the_same_file_wherever_it_is_imported(source: Path, tmp_path: Path) -> None:
    first, second = (imported(tmp_path / place, source) for place in ("here", "there"))
    assert first.sha256 == second.sha256


@pytest.mark.parametrize("ending", ["wav", "flac", "mp3", "ogg"])
def test_a_format_of_libsndfile_is_imported(ending: str, tmp_path: Path, home: Path) -> None:
    source = tmp_path / f"voice.{ending}"
    soundfile.write(source, speechlike(3.0, 180.0, rate=44_100), 44_100)
    imported(home, source)
    samples, rate = soundfile.read(library(home).resolve("mara").path)
    assert len(samples) / rate == pytest.approx(3.0, abs=0.4)
    assert pitch_of(samples) == pytest.approx(180.0, rel=0.03)


def write_by_ffmpeg(path: Path, samples: np.ndarray, codec: str, options: dict[str, str] | None = None) -> Path:
    import av

    rate = 48_000
    with av.open(str(path), "w", options=options) as container:
        stream = container.add_stream(codec, rate=rate, layout="mono")
        assert isinstance(stream, av.AudioStream)
        frame = av.AudioFrame.from_ndarray(samples[None].astype(np.float32), format="fltp", layout="mono")
        frame.sample_rate = rate
        for packet in [*stream.encode(frame), *stream.encode(None)]:
            container.mux(packet)
    return path


@pytest.mark.parametrize(("ending", "codec"), [("m4a", "aac"), ("aac", "aac"), ("webm", "libopus")])
def test_a_format_of_ffmpeg_is_imported(ending: str, codec: str, tmp_path: Path, home: Path) -> None:
    pytest.importorskip("av")
    source = write_by_ffmpeg(tmp_path / f"voice.{ending}", speechlike(3.0, 180.0, rate=48_000), codec)
    imported(home, source)
    samples, rate = soundfile.read(library(home).resolve("mara").path)
    assert len(samples) / rate == pytest.approx(3.0, abs=0.4)
    assert pitch_of(samples) == pytest.approx(180.0, rel=0.03)


@pytest.mark.slow
@pytest.mark.parametrize("share", [0.3, 0.5, 0.9, 0.999])
@pytest.mark.parametrize("subtype", ["VORBIS", "OPUS"])
def test_a_truncated_ogg_is_refused(tmp_path: Path, subtype: str, share: float) -> None:
    source = tmp_path / "voice.ogg"
    soundfile.write(source, speechlike(5.0, rate=48_000), 48_000, format="OGG", subtype=subtype)
    assert decode(source).duration_s == pytest.approx(5.0, abs=0.01)
    source.write_bytes(source.read_bytes()[: int(source.stat().st_size * share)])
    with pytest.raises(InvalidVoice, match=r"cut, copy it again|cannot be read as audio"):
        decode(source)


def test_an_empty_file_and_a_picture_are_refused_with_different_reasons(tmp_path: Path) -> None:
    (tmp_path / "empty.wav").touch()
    with pytest.raises(InvalidVoice, match="it is empty"):
        decode(tmp_path / "empty.wav")
    (tmp_path / "picture.wav").write_bytes(b"\x89PNG\r\n\x1a\n")
    with pytest.raises(InvalidVoice, match="is not a recording: WAV, FLAC, MP3, Ogg, AIFF, AU, CAF, M4A"):
        decode(tmp_path / "picture.wav")


@pytest.mark.parametrize("missing", [1, 5, 60, 300])
@pytest.mark.parametrize(("ending", "codec"), [("m4a", "aac"), ("aac", "aac"), ("webm", "libopus")])
def test_a_recording_whose_last_frame_is_cut_is_refused(tmp_path: Path, ending: str, codec: str, missing: int) -> None:
    pytest.importorskip("av")
    options = {"movflags": "faststart"} if ending == "m4a" else {}
    source = write_by_ffmpeg(tmp_path / f"voice.{ending}", speechlike(3.0, rate=48_000), codec, options)
    assert decode(source).duration_s == pytest.approx(3.0, abs=0.1)
    source.write_bytes(source.read_bytes()[:-missing])
    with pytest.raises(InvalidVoice, match="cut, copy it again"):
        decode(source)


def test_a_live_webm_without_sizes_is_read_and_refused_where_it_is_cut(tmp_path: Path) -> None:
    pytest.importorskip("av")
    source = write_by_ffmpeg(tmp_path / "voice.webm", speechlike(3.0, rate=48_000), "libopus", {"live": "1"})
    assert decode(source).duration_s == pytest.approx(3.0, abs=0.1)
    source.write_bytes(source.read_bytes()[:-50])
    with pytest.raises(InvalidVoice, match=r"its element at byte [\d,]+ is not whole: cut, copy it again"):
        decode(source)


def test_aac_behind_and_before_a_tag_is_read(tmp_path: Path) -> None:
    pytest.importorskip("av")
    source = write_by_ffmpeg(tmp_path / "voice.aac", speechlike(2.0, rate=48_000), "aac")
    plain = decode(source)
    source.write_bytes(b"ID3\x04\0\0\0\0\0\x0a" + bytes(10) + source.read_bytes() + b"TAG".ljust(128, b"\0"))
    assert decode(source).duration_s == plain.duration_s


def test_a_truncated_m4a_is_refused(tmp_path: Path) -> None:
    pytest.importorskip("av")
    talk = speechlike(5.0, rate=48_000)
    for place in ("start", "end"):
        options = {"movflags": "faststart"} if place == "start" else {}
        source = write_by_ffmpeg(tmp_path / f"{place}.m4a", talk, "aac", options)
        source.write_bytes(source.read_bytes()[: source.stat().st_size // 2])
        with pytest.raises(InvalidVoice, match=rf"{place}\.m4a: its box '\w+' has [\d,]+ bytes"):
            decode(source)
    assert COMPLETE < 1.0


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "it is empty"),
        (b"just some text, no audio at all", "is not a recording"),
        (b"RIFF\x24\0\0\0WAVE", "."),
        (b"\0\0\0\x18ftypM4A " + b"\0" * 100, "decoded|audio"),
        (b"ID3\x04\0\0\0\0\0\0" + b"\0" * 500, "audio"),
    ],
)
def test_a_file_without_audio_is_refused_with_its_name_and_the_reason(data: bytes, reason: str, tmp_path: Path) -> None:
    source = tmp_path / "odd.bin"
    source.write_bytes(data)
    with pytest.raises(InvalidVoice, match=reason) as caught:
        decode(source)
    assert "odd.bin" in str(caught.value)


def test_truncated_wav_and_flac_are_refused(tmp_path: Path) -> None:
    for ending in ("wav", "flac"):
        source = tmp_path / f"half.{ending}"
        soundfile.write(source, speechlike(3.0), RATE)
        source.write_bytes(source.read_bytes()[: source.stat().st_size // 2])
        with pytest.raises(InvalidVoice, match="half"):
            decode(source)


def test_a_header_without_audio_a_folder_and_nothing_are_refused(tmp_path: Path, source: Path) -> None:
    (tmp_path / "header.wav").write_bytes(source.read_bytes()[:44])
    for name in ("header.wav", ".", "not there.wav", "nul\0.wav"):
        with pytest.raises(InvalidVoice):
            prepared = decode(tmp_path / name)
            import_voice(tmp_path / "home", tmp_path / name, prepared, {"name": "x"}, WHEN, library(tmp_path / "home"))


STARTS = [b"RIFF", b"fLaC", b"OggS", b"\0\0\0\x18ftypM4A ", b"\x1a\x45\xdf\xa3", b"\xff\xf1", b""]


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(start=st.sampled_from(STARTS), tail=st.binary(max_size=300))
def test_any_bytes_are_decoded_or_refused(tmp_path: Path, start: bytes, tail: bytes) -> None:
    (tmp_path / "odd").write_bytes(start + tail)
    try:
        assert len(decode(tmp_path / "odd").samples) > 0
    except InvalidVoice as error:
        assert "odd" in str(error)


def test_a_recording_that_is_too_quiet_or_short_is_refused_with_its_name(tmp_path: Path, home: Path) -> None:
    source = write_wav(tmp_path / "silent.wav", np.zeros(RATE))
    with pytest.raises(InvalidVoice, match=r"silent\.wav: it is silent"):
        imported(home, source)
    assert not list(home.glob("*.wav"))


@pytest.mark.parametrize("name", ["Carter", "../x", "default", "a b", ""])
def test_a_name_that_is_taken_or_unsafe_is_refused(name: str, source: Path, home: Path) -> None:
    with pytest.raises(NameTaken):
        imported(home, source, name)


def test_names_are_unique_ignoring_case_and_unicode_form(source: Path, home: Path) -> None:
    imported(home, source, "Zoë")
    for name in ("zoë", "ZOE\u0308"):
        with pytest.raises(NameTaken):
            imported(home, source, name)


@given(st.text(min_size=1, max_size=70))
def test_a_safe_name_is_one_plain_file_name(name: str) -> None:
    if name_problem(name) is None:
        assert Path(f"{name}.wav").name == f"{name}.wav" and len(f"{name}-12345678.wav".encode()) <= 255
        assert folded(name) != "default"


def test_an_import_does_not_overwrite_a_file_without_an_entry(source: Path, home: Path) -> None:
    loose = write_wav(home / "en-Alice_woman.wav", speechlike(2.0, rate=16_000), 16_000)
    before = loose.read_bytes()
    imported(home, loose, "en-Alice_woman")
    voice = library(home).resolve("en-Alice_woman")
    assert loose.read_bytes() == before and voice.path != loose
    assert library(home).names().count("en-Alice_woman") == 1


def test_an_excerpt_begins_at_the_given_second(tmp_path: Path) -> None:
    source = write_wav(tmp_path / "two.wav", np.concatenate([speechlike(3.0, 100.0), speechlike(3.0, 200.0)]))
    whole = decode(source)
    part = excerpted(whole, 3.0, 2.0)
    assert (part.start_s, part.duration_s) == (3.0, 2.0)
    assert part.sha256 == whole.sha256
    assert pitch_of(part.samples) == pytest.approx(200.0, rel=0.03)
    with pytest.raises(InvalidVoice, match=r"from 9 s on is empty: there are 6\.00 s"):
        excerpted(whole, 9.0, None)


def test_voices_added_at_the_same_time_are_all_listed(home: Path) -> None:
    samples = speechlike(1.0).astype(np.float32)[: 7 * FRAME]
    names = [f"voice-{number}" for number in range(8)]
    threads = [threading.Thread(target=put, args=(home, samples, {"name": name}, library(home))) for name in names]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(library(home).names()[1:9]) == names


def test_two_imports_of_one_name_at_once_leave_one(source: Path, home: Path) -> None:
    recording, old = decode(source), library(home)
    assert old.names()
    import_voice(home, source, recording, {"name": "mara"}, WHEN, old)
    with pytest.raises(NameTaken):
        import_voice(home, source, recording, {"name": "Mara"}, WHEN, old)  # the library was read before


def test_a_folder_that_cannot_be_written_is_named_in_the_error(source: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(VoiceError, match="cannot be"):
        imported(tmp_path / "file" / "voices", source)


def test_removing_a_voice_removes_its_file(source: Path, home: Path) -> None:
    entry = imported(home, source)
    assert remove(home, "MARA") == home / entry.file
    assert not list(home.glob("*.wav"))
    with pytest.raises(UnknownVoice):
        library(home).resolve("mara")
    with pytest.raises(VoiceError, match="lists no voice 'mara'"):
        remove(home, "mara")


def test_a_variant_is_a_voice_of_its_own_with_its_hash_and_changes(home: Path) -> None:
    shelf = library(home)
    for label, change in {"part": Change(start_s=2.0, length_s=4.0), "loud": Change(gain_db=4.0)}.items():
        entry = add_variant(home, shelf.find("carter"), label, change, WHEN, shelf)
        assert entry.variant_of == "carter" and entry.license == "Apache-2.0"
        assert change.as_provenance().items() <= entry.provenance.items()
    origin, part, loud = (library(home).resolve(name) for name in ("carter", "carter-part", "carter-loud"))
    assert len({origin.sha256, part.sha256, loud.sha256}) == 3
    assert soundfile.info(part.path).duration == pytest.approx(4.0, abs=0.4)
    levels = [np.sqrt(np.mean(soundfile.read(voice.path)[0] ** 2)) for voice in (origin, loud)]
    assert 20 * np.log10(levels[1] / levels[0]) == pytest.approx(4.0, abs=0.3)
    assert [found.name for found in variants_of(library(home), "Carter")] == ["carter-part", "carter-loud"]
    with pytest.raises(NameTaken):
        add_variant(home, library(home).find("carter"), "LOUD", Change(gain_db=1.0), WHEN, library(home))


@pytest.mark.slow
def test_speed_and_pitch_of_a_variant_change_alone(home: Path) -> None:
    pytest.importorskip("av")
    shelf = library(home)
    add_variant(home, shelf.find("carter"), "fast", Change(speed=1.25), WHEN, shelf)
    add_variant(home, shelf.find("carter"), "high", Change(pitch=4.0), WHEN, shelf)
    plain, fast, high = (library(home).resolve(name) for name in ("carter", "carter-fast", "carter-high"))
    sounds = [soundfile.read(voice.path)[0] for voice in (plain, fast, high)]
    lengths, pitches = [len(sound) for sound in sounds], [pitch_of(sound) for sound in sounds]
    assert lengths[0] / lengths[1] == pytest.approx(1.25, rel=0.03)
    assert lengths[2] == pytest.approx(lengths[0], rel=0.03)
    assert pitches[1] == pytest.approx(pitches[0], rel=0.04)
    assert pitches[2] / pitches[0] == pytest.approx(2 ** (4 / 12), rel=0.05)
    assert (fast.manner.rate, high.manner.pitch) == (1.25, 4.0)


@pytest.mark.parametrize("tempo", [0.5, 0.8, 1.5, 3.9])
def test_tempo_keeps_every_second_in_proportion(tempo: float) -> None:
    pytest.importorskip("av")
    samples = speechlike(2.0).astype(np.float32)
    assert len(samples) / len(at_tempo(samples, tempo)) == pytest.approx(tempo, rel=0.03)


def test_the_listing_has_every_voice_and_its_error(source: Path, home: Path) -> None:
    entry = imported(home, source)
    write_wav(home / entry.file, speechlike(1.0))
    rows = {row.name: row for row in listing(library(home))}
    assert set(rows) == {"mara", "carter", "alice", "frank", "maya"}
    assert "has changed" in str(rows["mara"].error) and rows["carter"].error is None
    assert rows["carter"].default and not rows["alice"].default
    assert (rows["carter"].duration_s or 0) > 8 and rows["carter"].manner == Manner(1.0, 0.0)


@pytest.mark.skipif(not SAMPLES.is_dir(), reason="the sample voices are not here")
def test_upstreams_sample_voices_are_imported(home: Path) -> None:
    for source in sorted(SAMPLES.glob("*.wav")):
        imported(home, source, source.stem)
        samples, rate = soundfile.read(library(home).resolve(source.stem).path)
        assert rate == RATE and len(samples) / rate == pytest.approx(soundfile.info(source).duration, abs=1.5)
