"""What people do in mid-render, and what they, or an engine, bring that is wrong."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest
import yaml

from tests.conftest import Shell, wait_until
from tests.faults.conftest import FaultHome
from vvbatch.ledger.batches import cancel_lines
from vvbatch.ledger.records import earlier, utc_now
from vvbatch.profiles import bundled

HOSTILE_NAMES = ["../../escape", "a/b", "..", ".", "x" * 300, "nul\x00", "line\nbreak", "-rf", "CON", "ü̈"]


def test_the_same_script_from_two_shells_at_the_same_instant_is_rendered_once(fault_home: FaultHome) -> None:
    path = fault_home.folder / "same.yaml"
    path.write_text(json.dumps({"version": 1, "model": "ready", "lines": [f"Line {n} of it." for n in range(50)]}))
    words = [sys.executable, "-m", "vvbatch", "submit", str(path), "--out", str(fault_home.out), "--json"]
    shells = [subprocess.Popen(words, stdout=subprocess.PIPE, text=True) for _ in range(4)]
    batches = {json.loads(shell.communicate(timeout=60)[0])["batch"] for shell in shells}
    assert len(batches) == 1
    fault_home.worker()
    fault_home.worker()
    assert fault_home.ended(*batches)["counts"]["done"] == 50
    assert len(fault_home.rows("SELECT id FROM takes")) == 50
    fault_home.is_whole(*batches)


@pytest.mark.timeout(600)
@pytest.mark.parametrize("workers", [2, 4])
def test_two_and_four_workers_render_each_of_2000_lines_once(fault_home: FaultHome, workers: int) -> None:
    for _ in range(workers):
        fault_home.worker()
    batch = fault_home.submit(*[f"Line {n}." for n in range(2000)])
    assert fault_home.ended(batch, timeout=560)["counts"]["done"] == 2000
    assert len(fault_home.rows("SELECT id FROM takes")) == 2000
    assert len(fault_home.rows("SELECT DISTINCT worker FROM takes")) == workers
    fault_home.is_whole(batch)


@pytest.mark.parametrize("whole", [False, True], ids=["a line", "a batch"])
def test_what_is_cancelled_leaves_the_engine_within_two_steps_and_stays_cancelled(
    fault_home: FaultHome, whole: bool
) -> None:
    steps = fault_home.folder / "steps"
    batch = fault_home.submit("Alpha goes slowly, slowly.", "Beta goes slowly, slowly.")
    fault_home.worker(READY_STEPS=str(steps))
    fault_home.rendering(batch, 2)
    line = fault_home.view(batch)["lines"][0]["id"]
    before = steps.read_text().count("step ")
    from contextlib import closing

    from vvbatch.home import Home
    from vvbatch.ledger import Ledger

    with closing(Ledger(Home.from_environment().ledger_url)) as ledger:
        assert len(cancel_lines(ledger, batch, None if whole else line)) == 1 + whole
        at = last_step(steps)
    wait_until(lambda: "cancelled" in steps.read_text())
    view = fault_home.ended(batch)
    assert (view["counts"]["cancelled"], view["counts"]["done"]) == ((2, 0) if whole else (1, 1))
    words = [each for each in steps.read_text().splitlines() if each.startswith("cancelled")]
    assert len(words) == 1 + whole
    assert all(before <= at <= int(word.split()[-1]) <= at + 2 for word in words)
    takes = Counter(state for (state,) in fault_home.rows("SELECT state FROM takes"))
    assert takes == ({"cancelled": 2} if whole else {"cancelled": 1, "done": 1})
    wait_until(lambda: not fault_home.rows("SELECT id FROM batches WHERE ended_at IS NULL"))
    fault_home.is_whole(batch)


def last_step(steps: Path) -> int:
    return int([each for each in steps.read_text().splitlines() if each.startswith("step")][-1].split()[1])


def test_nothing_new_starts_one_second_after_pause_and_a_cancelled_batch_stays_so(fault_home: FaultHome) -> None:
    batch = fault_home.submit(*[f"Line {n} goes slowly, slowly." for n in range(48)])
    fault_home.worker()
    fault_home.rendering(batch, 16)
    fault_home.shell("pause", batch)
    paused = earlier(utc_now(), -1)
    fault_home.rendering(batch, 0)
    time.sleep(1.5)
    assert fault_home.rows(f"SELECT id FROM takes WHERE created_at > '{paused}'") == []
    fault_home.shell("resume", batch)
    fault_home.rendering(batch, 16)
    fault_home.shell("cancel", batch)
    view = fault_home.ended(batch)
    assert view["state"] == "cancelled"
    time.sleep(4)  # a reconciler looks twice
    assert fault_home.view(batch)["counts"] == view["counts"]
    fault_home.is_whole(batch)


def test_sigterm_finishes_what_is_in_flight_and_the_rest_is_rendered_by_the_next_worker(fault_home: FaultHome) -> None:
    batch = fault_home.submit(*[f"Line {n} is spoken slowly." for n in range(40)])
    worker = fault_home.worker()
    fault_home.rendering(batch, 16)
    worker.send_signal(signal.SIGTERM)
    assert worker.wait(timeout=60) == 0
    counts = fault_home.view(batch)["counts"]
    assert (counts["done"] % 16, counts["rendering"]) == (0, 0)
    assert counts["queued"] == 40 - counts["done"] > 0
    fault_home.worker()
    assert fault_home.ended(batch)["counts"]["done"] == 40
    assert Counter(fault_home.rows("SELECT state, attempt FROM takes")) == {("done", 1): 40}
    fault_home.is_whole(batch)


def test_a_second_sigterm_puts_the_lines_in_flight_back(fault_home: FaultHome) -> None:
    batch = fault_home.submit(*[f"Line {n} goes slowly, slowly, slowly." for n in range(10)])
    worker = fault_home.worker()
    fault_home.rendering(batch, 10)
    worker.send_signal(signal.SIGTERM)
    time.sleep(1.2)
    worker.send_signal(signal.SIGTERM)
    assert worker.wait(timeout=60) == 0
    assert fault_home.view(batch)["counts"]["queued"] == 10
    fault_home.worker()
    assert fault_home.ended(batch)["counts"]["done"] == 10
    assert Counter(fault_home.rows("SELECT state, attempt FROM takes")) == {("cancelled", 1): 10, ("done", 2): 10}
    fault_home.is_whole(batch)


def test_a_cancelled_line_is_not_brought_back_by_the_death_of_its_worker_or_of_the_server(
    fault_home: FaultHome,
) -> None:
    batch = fault_home.submit(*[f"Line {n} goes slowly, slowly." for n in range(4)])
    worker = fault_home.worker()
    fault_home.rendering(batch, 4)
    os.kill(worker.pid, signal.SIGSTOP)  # it cannot hear of it
    fault_home.shell("cancel", batch, "--line", fault_home.view(batch)["lines"][0]["id"])
    worker.kill()
    fault_home.redis().flushall()
    fault_home.worker()
    view = fault_home.ended(batch)
    assert [line["state"] for line in view["lines"]] == ["cancelled", "done", "done", "done"]
    fault_home.is_whole(batch)


@pytest.mark.parametrize("sound", ["nan", "inf", "clipped", "empty", "silent"])
def test_an_engine_whose_audio_is_not_speech_leaves_no_file_and_a_reason(fault_home: FaultHome, sound: str) -> None:
    fault_home.worker()
    batch = fault_home.submit(f"This one is {sound} throughout.", "And this one is good.")
    view = fault_home.ended(batch)
    assert [line["state"] for line in view["lines"]] == ["failed", "done"]
    check = {"nan": "finite", "inf": "finite", "clipped": "clipping", "empty": "not_empty", "silent": "level"}[sound]
    assert check in view["lines"][0]["error"]
    trouble = "engine" if sound in ("nan", "inf", "empty") else "qc"
    assert fault_home.rows("SELECT trouble FROM lines WHERE state = 'failed'") == [(trouble,)]
    fault_home.is_whole(batch)


@pytest.mark.parametrize("what", ["vanished", "truncated", "changed", "another folder's"])
def test_a_voice_that_is_not_what_was_planned_fails_its_line_with_the_reason(fault_home: FaultHome, what: str) -> None:
    manifest = yaml.safe_load((bundled("voices") / "manifest.yaml").read_text())
    source = bundled("voices") / manifest["voices"][0]["file"]
    voice = fault_home.home / "voices" / "mine.wav"
    voice.parent.mkdir(exist_ok=True)
    voice.write_bytes(source.read_bytes())
    path = fault_home.folder / "voices.yaml"
    lines = [{"text": "Said with my own voice.", "voice": "mine"}, {"text": "And with another one."}]
    path.write_text(json.dumps({"version": 1, "model": "ready", "lines": lines}))
    batch = fault_home.shell.json("submit", str(path), "--out", str(fault_home.out))["batch"]
    data = voice.read_bytes()
    voice.unlink()
    if what == "truncated":
        voice.write_bytes(data[:-1000])
    elif what == "changed":
        voice.write_bytes(data[:-2] + b"\x01\x02")
    elif what == "another folder's":
        voice.symlink_to("/etc/hostname")
    fault_home.worker()
    view = fault_home.ended(batch)
    assert [line["state"] for line in view["lines"]] == ["failed", "done"]
    assert "mine" in view["lines"][0]["error"]
    assert fault_home.rows("SELECT trouble FROM lines WHERE state = 'failed'") == [("input",)]
    assert len(fault_home.rows("SELECT id FROM takes")) == 2  # it is not tried again


def test_a_worker_without_its_model_ends_at_once_and_the_jobs_stay_queued(
    fault_home: FaultHome, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("HF_HOME", str(tmp_path / "no-models"))
    batch = fault_home.submit("Nobody can say this yet.", model="1.5b", options=["--wait-for-model"])
    worker = fault_home.shell.start("workers", "1.5b")
    assert worker.wait(timeout=120) == 3
    assert "cannot start" in worker.stdout.read()
    assert fault_home.view(batch)["counts"]["queued"] == 1
    assert fault_home.shell.json("status")["redis"]["waiting"] == {"1.5b": 1}


@pytest.mark.parametrize("name", HOSTILE_NAMES)
def test_a_hostile_id_or_title_is_refused_or_stays_inside_the_output_folder(fault_home: FaultHome, name: str) -> None:
    path = fault_home.folder / "hostile.yaml"
    script = {"version": 1, "title": name, "model": "ready", "lines": [{"id": name, "text": "Some words here."}]}
    path.write_text(json.dumps(script))
    done = fault_home.shell("submit", str(path), "--out", str(fault_home.out), "--json", code=None)
    assert done.returncode in (0, 2), done.stderr
    assert "Traceback" not in done.stderr
    if done.returncode == 0:
        fault_home.worker()
        view = fault_home.ended(json.loads(done.stdout)["batch"])
        assert [line["state"] for line in view["lines"]] == ["done"]
        assert Path(view["lines"][0]["path"]).resolve().is_relative_to(fault_home.out.resolve())
    outside = {file for file in fault_home.folder.rglob("*.wav") if not file.is_relative_to(fault_home.out)}
    assert not outside


@pytest.mark.parametrize("linked", ["chapter", "batch"])
def test_a_link_that_leads_out_of_the_output_folder_is_not_followed(fault_home: FaultHome, linked: str) -> None:
    configs = fault_home.folder / "configs" / "ready.yaml"
    configs.write_text(configs.read_text() + "retries: {resource: 1}\n")
    batch = fault_home.submit("The lamp went out at midnight.")
    elsewhere = fault_home.folder / "elsewhere"
    elsewhere.mkdir()
    if linked == "batch":
        (fault_home.out / batch).symlink_to(elsewhere)
    else:
        (fault_home.out / batch).mkdir()
        (fault_home.out / batch / "chapter-01").symlink_to(elsewhere)
    worker = fault_home.worker()
    view = fault_home.ended(batch)
    assert view["counts"]["failed"] == 1
    assert "leads out of" in view["lines"][0]["error"]
    wait_until(lambda: fault_home.view(batch)["state"] == "failed")
    time.sleep(3)  # a worker looks for batches that want their manifest
    assert list(elsewhere.iterdir()) == []
    assert worker.poll() is None


YAMLS = {
    "a bomb of aliases": "a: &a [x,x,x,x,x,x,x,x,x]\n"
    + "\n".join(f"{chr(98 + n)}: &{chr(98 + n)} [{','.join(['*' + chr(97 + n)] * 9)}]" for n in range(12)),
    "an object tag": "lines: !!python/object/apply:os.system ['touch owned']",
    "deep nesting": "lines: " + "[" * 20_000,
    "a huge number": "version: " + "9" * 10_000 + "\nlines: [a]",
    "not text": "\x00\x01\x02",
    "a duplicate key": "version: 1\nversion: 2\nlines: [a]",
    "a recursive alias": "lines: &a [*a]",
}
CSVS = {
    "an open quote": 'id,text\n1,"never closed\n' + "x" * 100_000,
    "a huge cell": "id,text\n1," + "x" * 5_000_000,
    "NUL": "id,text\n1,a\x00b",
    "no text column": "id,voice\n1,carter",
    "more cells than columns": "id,text\n1,a,b,c,d",
    "a formula": "id,text\n=cmd|' /C calc'!A0,hello there",
}


@pytest.mark.parametrize("name", [*YAMLS, *CSVS])
def test_a_hostile_script_is_one_clear_error_in_bounded_memory(
    shell: Shell, home: Path, tmp_path: Path, name: str
) -> None:
    path = tmp_path / ("hostile.yaml" if name in YAMLS else "hostile.csv")
    path.write_text((YAMLS | CSVS)[name], encoding="utf-8")
    limited = f"import resource; resource.setrlimit(resource.RLIMIT_AS, ({3 << 30}, {3 << 30}))"
    code = (
        f"{limited}\nimport sys; sys.argv = ['vvbatch', 'check', {str(path)!r}]\nfrom vvbatch.cli import main; main()"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 2, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    assert "hostile" in done.stderr
    assert not (Path.cwd() / "owned").exists()
    assert not (tmp_path / "owned").exists()


@pytest.mark.parametrize("point", ["store.linked", "store.renamed", "store.folder_synced"])
def test_a_submit_that_dies_while_it_links_cached_files_leaves_no_stray(
    fault_home: FaultHome, monkeypatch: pytest.MonkeyPatch, point: str
) -> None:
    fault_home.worker()
    first = fault_home.submit("One line of it.", "And another one.", title="First")
    fault_home.ended(first)
    monkeypatch.setenv("VVBATCH_FAULTS", f"{point}=kill")
    with pytest.raises(AssertionError, match="exit -9"):
        fault_home.submit("One line of it.", "And another one.", title="Second")
    monkeypatch.delenv("VVBATCH_FAULTS")
    (second,) = [batch for (batch,) in fault_home.rows("SELECT id FROM batches") if batch != first]
    assert fault_home.ended(second)["counts"]["cached"] == 2
    fault_home.is_whole(first, second)
