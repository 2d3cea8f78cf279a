from __future__ import annotations

import hashlib
import struct
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import soundfile
import yaml
from hypothesis import given
from hypothesis import strategies as st

from tests.conftest import ROOT
from tests.support.sounds import RATE, pitch_of, speechlike, write_wav
from vvbatch.engine.contract import FRAME, Manner
from vvbatch.home import Home
from vvbatch.profiles import bundled
from vvbatch.voices import InvalidVoice, Library, UnknownVoice, VoiceError
from vvbatch.voices.library import manner_of, wav_frames
from vvbatch.voices.manifest import folded, name_problem

SAMPLES = ROOT.parent / "shared" / "voices"
BUNDLED = ("carter", "alice", "frank", "maya")


def put(folder: Path, name: str, pitch_hz: float = 120.0, **fields: object) -> dict[str, object]:
    """A voice's file in the folder; returns its manifest entry."""
    file = write_wav(folder / f"{name}.wav", speechlike(1.0, pitch_hz))
    sha256 = hashlib.sha256(file.read_bytes()).hexdigest()
    return {"name": name, "file": file.name, "sha256": sha256, **fields}


def write_manifest(folder: Path, *entries: dict[str, object]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "manifest.yaml").write_text(yaml.safe_dump({"voices": list(entries)}, allow_unicode=True))


@pytest.fixture
def own(tmp_path: Path) -> Path:
    write_manifest(tmp_path / "own", put(tmp_path / "own", "mara"))
    return tmp_path / "own"


@pytest.fixture
def library(own: Path) -> Library:
    return Library([own, bundled("voices")])


def test_every_bundled_voice_resolves_and_the_first_is_the_default() -> None:
    library = Library([bundled("voices")])
    assert library.names() == ["default", *BUNDLED]
    assert [library.resolve(name).name for name in ("default", *BUNDLED)] == ["carter", *BUNDLED]


@pytest.mark.parametrize("name", BUNDLED)
def test_a_bundled_voice_is_a_levelled_whole_prompt_with_its_provenance(name: str) -> None:
    library = Library([bundled("voices")])
    samples, rate = soundfile.read(library.resolve(name).path)
    assert rate == RATE and samples.ndim == 1 and len(samples) % FRAME == 0
    assert 8.0 <= len(samples) / rate <= 15.0
    assert 20 * np.log10(np.sqrt(np.mean(samples**2))) == pytest.approx(-25.0, abs=0.01)
    assert 20 * np.log10(np.abs(samples).max()) <= -1.0
    assert abs(samples.mean()) < 1e-4
    entry = library.find(name).entry
    assert entry.license == "Apache-2.0" and entry.language and entry.gender and entry.manner
    assert {"engine", "model_sha256", "voice", "text", "made_by"} <= set(entry.provenance)


def test_the_bundled_voices_differ_in_pitch_and_are_small() -> None:
    folder = bundled("voices")
    pitches = sorted(pitch_of(soundfile.read(folder / f"{name}.wav")[0]) for name in BUNDLED)
    assert all(higher / lower > 1.05 for lower, higher in pairwise(pitches)), pitches
    assert all((folder / f"{name}.wav").stat().st_size <= 700_000 for name in BUNDLED)


def test_default_is_the_first_bundled_voice_even_with_own_voices(library: Library) -> None:
    assert library.resolve("default").name == "carter"


def test_an_own_voice_is_used_before_a_bundled_one_of_its_name(tmp_path: Path) -> None:
    write_manifest(tmp_path, put(tmp_path, "Alice"))
    assert Library([tmp_path, bundled("voices")]).resolve("alice").path == tmp_path / "Alice.wav"


@pytest.mark.parametrize("name", ["MARA", "Mara", "mara"])
def test_case_does_not_count(library: Library, name: str) -> None:
    assert library.resolve(name).name == "mara"


def test_unicode_form_does_not_count(tmp_path: Path) -> None:
    write_manifest(tmp_path, put(tmp_path, "Zoë"))
    assert Library([tmp_path]).resolve("zoe\u0308").name == "Zoë"


@given(st.text(max_size=20))
def test_folding_a_folded_name_changes_nothing(name: str) -> None:
    assert folded(folded(name)) == folded(name)


def test_the_error_of_an_unknown_voice_has_similar_and_all_names(library: Library) -> None:
    with pytest.raises(
        UnknownVoice, match=r"unknown voice 'alise', did you mean 'alice'.*there is default, mara, carter"
    ) as caught:
        library.resolve("alise")
    assert len(caught.value.args) == 2


@pytest.mark.parametrize("name", ["../own/mara", "mara.wav", "", "\0", "x" * 10_000, "/etc/passwd"])
def test_a_name_is_never_a_path(library: Library, name: str) -> None:
    with pytest.raises(UnknownVoice):
        library.resolve(name)


def test_upstreams_demo_names_work_for_files_without_a_manifest(own: Path) -> None:
    write_wav(own / "en-Alice_woman.wav", speechlike(1.0))
    voice = Library([own]).resolve("en-Alice_woman")
    assert voice.path == own / "en-Alice_woman.wav"
    assert voice.manner == manner_of(voice.sha256)


def test_a_file_at_another_rate_is_refused_with_the_command_that_converts_it(own: Path) -> None:
    write_wav(own / "en-Alice_woman.wav", speechlike(1.0, rate=16_000), 16_000)
    with pytest.raises(InvalidVoice, match=r"16,000 Hz.*vvbatch voices import .* --name en-Alice_woman"):
        Library([own]).resolve("en-Alice_woman")


def test_a_stereo_file_is_refused(own: Path) -> None:
    write_wav(own / "two.wav", np.stack([speechlike(1.0)] * 2, axis=1))
    with pytest.raises(InvalidVoice, match=r"2 channel\(s\)"):
        Library([own]).resolve("two")


def test_a_changed_file_is_refused(library: Library, own: Path) -> None:
    write_wav(own / "mara.wav", speechlike(1.0, 130.0))
    with pytest.raises(InvalidVoice, match=r"mara\.wav has changed"):
        library.resolve("mara")


def test_a_missing_file_is_refused_with_the_remedy(library: Library, own: Path) -> None:
    (own / "mara.wav").unlink()
    with pytest.raises(InvalidVoice, match=r"mara\.wav is not there: restore it"):
        library.resolve("mara")


@pytest.mark.parametrize("size", [0, 0xFFFF_FFFF, 0x7FFF_F000])
def test_a_loose_file_with_a_placeholder_for_its_length_is_a_voice(own: Path, size: int) -> None:
    data = bytearray(write_wav(own / "piped.wav", speechlike(1.0)).read_bytes())
    struct.pack_into("<I", data, data.index(b"data") + 4, size)
    (own / "piped.wav").write_bytes(data)
    assert wav_frames(own / "piped.wav") == (24_000, 24_000, 24_000, 1)
    assert Library([own]).resolve("piped").sha256 == hashlib.sha256(data).hexdigest()


def test_a_truncated_file_is_refused_with_declared_and_actual_frames(own: Path) -> None:
    whole = write_wav(own / "half.wav", speechlike(1.0)).read_bytes()
    (own / "half.wav").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(
        InvalidVoice, match=r"cut short: its header declares 24,000 frames \(1\.00 s\), 11,989 are there"
    ):
        Library([own]).resolve("half")


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "it ends too early"),
        (b"RIFF", "not a PCM WAV"),
        (b"fLaC" + b"\0" * 100, "does not start with RIFF"),
        (b"RIFF\x24\0\0\0WAVE", "not a PCM WAV"),
        (b"RIFF\x24\0\0\0WAVEdata\x04\0\0\0\0\0\0\0", "data chunk before fmt chunk"),
    ],
)
def test_a_file_that_is_not_a_wav_is_refused_with_the_reason(own: Path, data: bytes, reason: str) -> None:
    (own / "odd.wav").write_bytes(data)
    with pytest.raises(InvalidVoice, match=reason):
        Library([own]).resolve("odd")


def test_a_header_without_audio_is_refused(own: Path) -> None:
    whole = write_wav(own / "empty.wav", speechlike(1.0)).read_bytes()
    (own / "empty.wav").write_bytes(whole[:44])
    with pytest.raises(InvalidVoice, match="0 are there"):
        Library([own]).resolve("empty")


@given(st.binary(max_size=200))
def test_any_bytes_after_a_wav_start_are_accepted_or_refused(
    tmp_path_factory: pytest.TempPathFactory, tail: bytes
) -> None:
    folder = tmp_path_factory.mktemp("odd")
    (folder / "odd.wav").write_bytes(b"RIFF\x24\0\0\0WAVE" + tail)
    with pytest.raises(InvalidVoice):
        Library([folder]).resolve("odd")


def test_a_link_out_of_the_folder_is_refused(own: Path, tmp_path: Path) -> None:
    write_wav(tmp_path / "secret.wav", speechlike(1.0))
    (own / "link.wav").symlink_to(tmp_path / "secret.wav")
    with pytest.raises(InvalidVoice, match="links out of its voice folder"):
        Library([own]).resolve("link")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"file": "../mara.wav"}, "not a file of the manifest's own folder"),
        ({"file": "/etc/passwd"}, "not a file of the manifest's own folder"),
        ({"name": "a/b"}, "'/' cannot stand in it"),
        ({"name": "default"}, "first bundled voice"),
        ({"sha256": "abc"}, "sha256|pattern"),
        ({"colour": "red"}, "colour"),
        ({"manner": {"rate": 9}}, "rate"),
    ],
)
def test_a_wrong_manifest_is_refused_with_the_file_and_the_place(
    own: Path, change: dict[str, object], message: str
) -> None:
    entry = put(own, "mara")
    write_manifest(own, entry | change)
    with pytest.raises(VoiceError, match=message) as caught:
        Library([own]).resolve("mara")
    assert "manifest.yaml" in str(caught.value)


@pytest.mark.parametrize("text", ["voices: 3", "- a", "voices: [", "\t", "a: !!python/object:os.system {}", "\x00"])
def test_a_manifest_of_another_structure_is_refused(own: Path, text: str) -> None:
    (own / "manifest.yaml").write_text(text)
    with pytest.raises(VoiceError, match=r"manifest\.yaml"):
        Library([own]).resolve("mara")


def test_two_names_that_differ_only_in_case_are_refused(own: Path) -> None:
    write_manifest(own, put(own, "mara"), put(own, "Mara"))
    with pytest.raises(VoiceError, match="twice"):
        Library([own]).names()


def test_an_empty_manifest_and_a_missing_folder_hold_no_voices(tmp_path: Path) -> None:
    (tmp_path / "manifest.yaml").write_text("")
    assert Library([tmp_path / "not there", tmp_path]).names() == []


@pytest.mark.parametrize(
    "name",
    ["", "a/b", "a\\b", "..", ".hidden", "-x", "a b", "con", "NUL.wav", "COM1", "x" * 65, "a\0", "🙂", "Default", "a."],
)
def test_unsafe_names_are_refused(name: str) -> None:
    assert name_problem(name)


@pytest.mark.parametrize("name", ["a", "en-Alice_woman", "Zoë", "声", "mara-2", "v1.5", "console"])
def test_safe_names_are_accepted(name: str) -> None:
    assert name_problem(name) is None


def test_manners_from_hashes_are_repeatable_and_mostly_different() -> None:
    hashes = [hashlib.sha256(str(n).encode()).hexdigest() for n in range(60)]
    manners = [manner_of(one) for one in hashes]
    assert manners == [manner_of(one) for one in hashes]
    assert len({(manner.rate, manner.pitch) for manner in manners}) > 40
    assert all(0.85 <= manner.rate <= 1.15 and abs(manner.pitch) <= 6 for manner in manners)


def test_a_manner_in_the_manifest_is_used(own: Path) -> None:
    write_manifest(own, put(own, "mara", manner={"rate": 1.1, "pitch": -2}))
    assert Library([own]).resolve("mara").manner == Manner(1.1, -2.0)


@pytest.mark.slow
def test_looking_voices_up_imports_neither_torch_nor_audio_libraries() -> None:
    heavy = "torch onnxruntime soxr soundfile av scipy matplotlib transformers"
    code = (
        "import sys; from vvbatch.voices import Library; from vvbatch.profiles import bundled; "
        "Library([bundled('voices')]).resolve('default'); "
        f"print([name for name in {heavy!r}.split() if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.skipif(not SAMPLES.is_dir(), reason="the sample voices are not here")
def test_upstreams_sample_voices_of_24_khz_are_accepted() -> None:
    library = Library([SAMPLES])
    for name in ("en-Carter_man", "en-Frank_man", "en-Maya_woman"):
        assert library.resolve(name).name == name
    with pytest.raises(InvalidVoice, match="16,000 Hz"):
        library.resolve("en-Alice_woman")


def test_a_projects_own_voices_come_first_if_it_has_a_manifest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("VVBATCH_HOME", str(tmp_path / "home"))
    home = Home.from_environment()
    put(Path("voices"), "alice")
    assert Library.of(home).resolve("alice").path.parent == bundled("voices")
    write_manifest(Path("voices"), put(Path("voices"), "alice"))
    assert Library.of(home).resolve("alice").path == tmp_path / "voices" / "alice.wav"


def test_a_derived_manner_follows_the_gender() -> None:
    hashes = [hashlib.sha256(str(n).encode()).hexdigest() for n in range(60)]
    assert all(manner_of(one, "female").pitch > 0 for one in hashes)
    assert len({manner_of(one, "male").pitch for one in hashes}) == 7
