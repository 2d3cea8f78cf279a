"""Whatever bytes come, a script or an audio file is read or refused with one of the project's own errors."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tools import fuzz
from tools.fuzz import sound
from vvbatch import audio
from vvbatch.script import parse
from vvbatch.script.model import ScriptError
from vvbatch.voices import InvalidVoice
from vvbatch.voices.decode import decode
from vvbatch.voices.library import refuse_unfit

FUZZ = settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
PIECES = st.sampled_from(
    [
        "version: 1\n",
        "lines:\n",
        "  - ",
        "text: ",
        "mara: ",
        "[",
        "]",
        "{",
        "}",
        "&a ",
        "*a",
        "!!python/object:os.system ",
        '"',
        "'",
        "\t",
        "\n",
        "\r\n",
        ",",
        ";",
        "id",
        "\ufeff",
        "\x00",
        "dialogue:\n",
        "seed: 9e99",
        "takes: -1",
        "cfg_scale: .nan",
        "9999999999999999999",
        "Speaker 1: ",
        "ü",
        "\u202e",
        "  ",
        "#",
    ]
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("fuzz")


def read_script(path: Path, data: bytes) -> None:
    path.write_bytes(data)
    try:
        parse(path)
    except ScriptError as error:
        assert path.name in str(error)


@FUZZ
@given(data=st.binary(max_size=400), kind=st.sampled_from(["yaml", "csv", "txt"]))
def test_any_bytes_as_a_script(folder: Path, data: bytes, kind: str) -> None:
    read_script(folder / f"fuzz.{kind}", data)


@FUZZ
@given(pieces=st.lists(PIECES, max_size=40), kind=st.sampled_from(["yaml", "csv", "txt"]))
def test_any_order_of_a_scripts_pieces(folder: Path, pieces: list[str], kind: str) -> None:
    read_script(folder / f"pieces.{kind}", "".join(pieces).encode())


SEEDS = list(fuzz.seeds())
SOUNDS = [
    sound("WAV", "PCM_16"),
    sound("WAV", "FLOAT"),
    sound("FLAC", "PCM_16"),
    sound("OGG", "VORBIS"),
    sound("AIFF", "PCM_16"),
]


@FUZZ
@given(
    data=st.sampled_from(SOUNDS),
    cut=st.floats(0, 1),
    changes=st.lists(st.tuples(st.integers(0, 200), st.integers(0, 255)), max_size=8),
)
def test_a_sound_file_with_changed_and_missing_bytes(
    folder: Path, data: bytes, cut: float, changes: list[tuple[int, int]]
) -> None:
    changed = bytearray(data)
    for place, value in changes:
        changed[place % len(changed)] = value
    path = folder / "fuzz.wav"
    path.write_bytes(bytes(changed[: int(len(changed) * (1 - cut))]))
    try:
        samples, rate = audio.read(path)
    except audio.AudioError as error:
        assert path.name in str(error)
    else:
        assert rate > 0 and samples.size <= audio.files.MAX_SAMPLES
    try:
        refuse_unfit(path)
    except InvalidVoice as error:
        assert path.name in str(error)


def test_the_fuzzers_seeds_get_through_their_readers(folder: Path) -> None:
    """Else it would only see the first checks."""
    answers = [fuzz.one_input(bytes([fuzz.KINDS.index(kind)]) + content, folder) for kind, content in fuzz.seeds()]
    assert answers.count("read") >= 20, answers


@FUZZ
@given(number=st.integers(0, 2**32 - 1), place=st.integers(0, 100))
def test_an_input_changed_by_what_its_format_is_made_of(folder: Path, number: int, place: int) -> None:
    kind, content = SEEDS[place % len(SEEDS)]
    data = bytes([fuzz.KINDS.index(kind)]) + content
    for step in range(3):
        data = fuzz.changed(data, 4096, number + step)
        fuzz.one_input(data, folder)


def test_a_recording_whose_codec_no_one_knows_is_refused(folder: Path) -> None:
    path = folder / "unknown.mka"
    path.write_bytes(fuzz.packed("matroska", "aac").replace(b"A_AAC", b"A_XXX"))
    with pytest.raises(InvalidVoice, match="sample rate"):
        decode(path)
