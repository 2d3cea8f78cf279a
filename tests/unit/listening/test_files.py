"""Reports on audio files, and the command `vvbatch qc` that prints them."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
from click.testing import CliRunner

from bench.voicelike import syllables
from vvbatch import audio
from vvbatch.cli import main
from vvbatch.engine.contract import SAMPLE_RATE
from vvbatch.listening.files import Expected, FileJson, reports
from vvbatch.profiles import QcLimits

TEXT = "The lamp went out at midnight, and no sailor came."
SPEECH = syllables(3.2, [7])


def report_of(*paths: Path) -> list[FileJson]:
    return [report.as_json() for report in reports(paths, Expected(QcLimits(), TEXT))]


def written(path: Path, samples: np.ndarray) -> Path:
    path.write_bytes(audio.wav_bytes(audio.to_pcm16(samples), SAMPLE_RATE))
    return path


def test_a_report_has_the_keys_of_the_json_contract(tmp_path: Path) -> None:
    (report,) = report_of(written(tmp_path / "a.wav", audio.bring_to_peak(SPEECH)[0]))
    assert list(report) == ["file", "ok", "checks", "not_checked"]
    assert report["ok"] is True
    assert all(list(check) == ["name", "value", "limit", "ok", "weight"] for check in report["checks"])


def test_a_stereo_file_and_an_unreadable_file_fail_a_check_of_their_own(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "stereo.wav", np.stack([SPEECH, SPEECH], axis=1), SAMPLE_RATE)
    (tmp_path / "text.wav").write_text("no audio")
    stereo, text = report_of(tmp_path / "stereo.wav", tmp_path / "text.wav")
    assert [check["name"] for check in stereo["checks"] if not check["ok"]] == ["channels"]
    assert [check["name"] for check in text["checks"]] == ["readable"]
    assert "text.wav: not a WAV" in text["error"]


def test_the_exit_code_of_qc_is_1_when_a_check_fails_and_2_for_a_usage_error(tmp_path: Path) -> None:
    good = written(tmp_path / "good.wav", SPEECH)
    cut = written(tmp_path / "cut.wav", SPEECH[: SAMPLE_RATE * 2])
    run = CliRunner().invoke
    passed = run(main, ["qc", str(good), "--text", TEXT, "--no-listen", "--json"])
    assert (passed.exit_code, json.loads(passed.stdout)[0]["ok"]) == (0, True)
    both = run(main, ["qc", str(good), str(cut), "--no-listen"])
    assert both.exit_code == 1
    assert "end_level" in both.stdout
    assert "failed" in both.stdout
    assert "not checked: words (--no-listen)" in both.stdout
    for usage in ([], [str(tmp_path / "gone.wav")], [str(good), "--model", "none"], [str(good), "--voice", "none"]):
        assert run(main, ["qc", *usage]).exit_code == 2


def test_without_the_extra_qc_reports_what_was_not_checked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    good = written(tmp_path / "good.wav", SPEECH)
    monkeypatch.setitem(sys.modules, "faster_whisper", None)
    monkeypatch.delitem(sys.modules, "vvbatch.listening.words", raising=False)
    by_default = CliRunner().invoke(main, ["qc", str(good), "--json"])
    assert by_default.exit_code == 0
    assert "pip install 'vvbatch[qc]'" in json.loads(by_default.stdout)[0]["not_checked"]["words"]
    required = CliRunner().invoke(main, ["qc", str(good), "--listen"])
    assert required.exit_code == 3
    assert "pip install 'vvbatch[qc]'" in required.output
