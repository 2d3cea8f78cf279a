"""The queue's server, the ledger and the disk fail while lines are rendered."""

from __future__ import annotations

import json
import os
import shutil
import signal
import sqlite3
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from tests.conftest import Shell, wait_until
from tests.faults.conftest import FaultHome, is_stopped
from vvbatch.home import Home
from vvbatch.transport import server
from vvbatch.transport.server import signal_server


def test_submit_without_a_server_exits_3_and_records_nothing(
    shell: Shell, script: Callable[..., Path], home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VVBATCH_REDIS_URL", f"unix://{tmp_path}/absent.sock")
    done = shell("submit", str(script("Nobody hears this.")), "--out", str(tmp_path / "out"), code=3, timeout=30)
    assert "is not running" in done.stderr
    assert not (tmp_path / "out").exists()
    monkeypatch.delenv("VVBATCH_REDIS_URL")
    assert shell.json("ledger", "batches") == []


def test_a_server_that_goes_while_a_batch_is_submitted_is_reported_and_no_line_is_lost(fault_home: FaultHome) -> None:
    path = fault_home.folder / "going.yaml"
    path.write_text(json.dumps({"version": 1, "model": "ready", "lines": ["One line of it.", "And another one."]}))
    words = ["submit", str(path), "--out", str(fault_home.out)]
    shell = fault_home.shell.start("vvbatch", *words, VVBATCH_FAULTS="submit.recorded=stop")
    wait_until(lambda: is_stopped(shell.pid))
    fault_home.stop_server_for_good()
    os.kill(shell.pid, signal.SIGCONT)
    assert shell.wait(timeout=60) == 3
    message = shell.stdout.read()
    assert "Traceback" not in message and "server" in message and "automatically" in message
    fault_home.start_server()
    fault_home.worker()
    ((batch,),) = fault_home.rows("SELECT id FROM batches")
    assert fault_home.ended(batch)["counts"]["done"] == 2
    fault_home.is_whole(batch)


def test_a_command_that_meets_a_locked_ledger_says_so_and_changes_nothing(fault_home: FaultHome) -> None:
    batch = fault_home.submit("One line of it.")
    lock = threading.Thread(target=locked, args=(fault_home.home, 30))
    lock.start()
    wanted = [
        ["submit", str(fault_home.folder / "Faults.yaml"), "--out", str(fault_home.folder / "out2")],
        ["cancel", batch],
    ]
    for command in [fault_home.shell.start("vvbatch", *words) for words in wanted]:
        assert command.wait(timeout=90) == 3
        message = command.stdout.read()
        assert message.count("\n") < 4 and "the ledger cannot be used now: database is locked" in message
    lock.join()
    assert fault_home.rows("SELECT count(*), min(state) FROM lines") == [(1, "queued")]
    fault_home.worker()
    assert fault_home.ended(batch)["counts"]["done"] == 1
    fault_home.is_whole(batch)


def test_a_server_that_is_away_for_15_s_costs_no_line_and_no_rendering(fault_home: FaultHome) -> None:
    batch = fault_home.submit(*[f"Line {n} goes slowly." for n in range(24)])
    worker = fault_home.worker()
    fault_home.rendering(batch, 16)
    fault_home.stop_server_for_good()
    time.sleep(15)
    wait_until(lambda: fault_home.view(batch)["counts"]["done"] == 16)
    fault_home.start_server()
    assert fault_home.ended(batch)["counts"]["done"] == 24
    assert worker.poll() is None
    assert Counter(fault_home.rows("SELECT state, attempt FROM takes")) == {("done", 1): 24}
    fault_home.is_whole(batch)


def test_a_server_that_is_killed_and_started_again_continues_with_the_batch(fault_home: FaultHome) -> None:
    batch = fault_home.submit(*[f"Line {n} goes slowly." for n in range(40)])
    fault_home.worker()
    fault_home.rendering(batch, 16)
    signal_server(Home.from_environment(), signal.SIGKILL)
    assert fault_home.ended(batch)["counts"]["done"] == 40
    fault_home.is_whole(batch)


def test_a_wiped_server_is_shown_by_status_and_its_lines_come_back(fault_home: FaultHome) -> None:
    batch = fault_home.submit(*[f"Line {n} of a lost queue." for n in range(30)])
    fault_home.redis().flushall()
    assert fault_home.shell.json("status")["redis"]["lost"] == {"ready": 30}
    assert "30 lines of ready not in the queue" in fault_home.shell("status").stdout.replace("\n", " ")
    fault_home.shell("resume", batch)
    assert fault_home.shell.json("status")["redis"]["lost"] == {}
    fault_home.redis().flushall()
    fault_home.worker()
    assert fault_home.ended(batch)["counts"]["done"] == 30
    assert len(fault_home.rows("SELECT id FROM takes")) == 30
    fault_home.is_whole(batch)


def test_a_server_wiped_while_a_worker_renders_loses_neither_lines_nor_the_worker(fault_home: FaultHome) -> None:
    batch = fault_home.submit(*[f"Line {n} goes slowly." for n in range(24)])
    worker = fault_home.worker()
    fault_home.rendering(batch, 16)
    fault_home.redis().flushall()
    assert fault_home.ended(batch)["counts"]["done"] == 24
    assert Counter(fault_home.rows("SELECT state, attempt FROM takes")) == {("done", 1): 24}
    seen = fault_home.shell.json("status")["workers"]
    assert [each["alive"] for each in seen] == [True]
    assert worker.poll() is None


def test_a_ledger_that_is_locked_for_30_s_gets_its_results_afterwards(fault_home: FaultHome) -> None:
    batch = fault_home.submit(*[f"Line {n} goes slowly." for n in range(20)])
    worker = fault_home.worker()
    fault_home.rendering(batch, 16)
    locked(fault_home.home, 30)
    assert fault_home.ended(batch)["counts"]["done"] == 20
    assert worker.poll() is None
    assert Counter(state for (state,) in fault_home.rows("SELECT state FROM takes"))["done"] == 20
    once = fault_home.rows("SELECT line_id FROM takes GROUP BY line_id HAVING count(*) > 1")
    assert once == []
    fault_home.is_whole(batch)


def locked(home: Path, seconds: float) -> None:
    with closing(sqlite3.connect(home / "ledger.sqlite3", timeout=60, isolation_level=None)) as connection:
        connection.execute("BEGIN EXCLUSIVE")
        time.sleep(seconds)
        connection.execute("ROLLBACK")


def test_what_a_worker_held_when_it_was_killed_is_recorded_by_verify_repair(fault_home: FaultHome) -> None:
    batch = fault_home.submit("This one goes slowly.")
    worker = fault_home.worker()
    fault_home.rendering(batch, 1)
    lock = threading.Thread(target=locked, args=(fault_home.home, 32))
    lock.start()
    wait_until(lambda: list((fault_home.home / "pending").glob("*.json")), timeout=60)
    wait_until(lambda: list(fault_home.out.rglob(".tmp-*")), timeout=60)
    worker.kill()
    lock.join()
    assert fault_home.view(batch)["counts"]["done"] == 0
    done = fault_home.shell.json("verify", "--repair")
    assert [each["line"] for each in done["repaired"]] == [fault_home.view(batch)["lines"][0]["id"]]
    assert fault_home.view(batch)["counts"]["done"] == 1
    fault_home.is_whole(batch)


@pytest.fixture
def small_disk(fault_home: FaultHome) -> Iterator[Path]:
    """8 MB of tmpfs as the output folder."""
    fault_home.out.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", fault_home.out], check=False, capture_output=True
    )
    if mounted.returncode:
        pytest.skip("mounting a small disk needs root; a full disk is also tested by an injected ENOSPC")
    yield fault_home.out
    subprocess.run(["umount", "--lazy", fault_home.out], check=True)


def test_a_full_disk_pauses_the_queue_with_a_reason_and_room_resumes_it(
    fault_home: FaultHome, small_disk: Path
) -> None:
    first = fault_home.submit("The first line of all.", title="First")
    worker = fault_home.worker()
    fault_home.ended(first)
    older = fault_home.view(first)["lines"][0]["path"]
    filler = small_disk / "filler"
    batch = fault_home.submit(*[f"Line {n} goes slowly, slowly, slowly." for n in range(8)], title="Second")
    fault_home.rendering(batch, 8)
    fill(filler, small_disk)
    wait_until(lambda: paused(fault_home), timeout=60)
    assert "no room" in paused(fault_home)
    assert "no room" in fault_home.shell("status").stdout
    assert fault_home.view(batch)["counts"]["failed"] == 0
    fault_home.shell("verify", first)
    assert not [file for file in fault_home.out.rglob("*.wav") if str(file) != older]  # nothing half-written
    filler.unlink()
    assert fault_home.ended(batch)["counts"]["done"] == 8
    assert paused(fault_home) is None
    assert worker.poll() is None
    fault_home.is_whole(first, batch)


def fill(filler: Path, disk: Path) -> None:
    with filler.open("wb") as file:
        file.write(b"x" * max(shutil.disk_usage(disk).free - 4096, 0))


def paused(fault_home: FaultHome) -> str | None:
    rows = fault_home.rows("SELECT reason FROM queues")
    return rows[0][0] if rows else None


@pytest.mark.parametrize(
    ("point", "error"),
    [
        ("store.temp_opened", "EROFS"),
        ("store.temp_written", "ENOSPC"),
        ("store.temp_written", "EIO"),
        ("store.renamed", "EIO"),
        ("store.renamed", "ENOSPC"),
        ("store.folder_synced", "EIO"),
    ],
)
def test_a_disk_that_fails_a_write_costs_one_more_try_and_no_file(
    fault_home: FaultHome, point: str, error: str
) -> None:
    batch = fault_home.submit("The lamp went out at midnight.")
    worker = fault_home.worker(VVBATCH_FAULTS=f"{point}={error}")
    view = fault_home.ended(batch)
    assert view["counts"]["done"] == 1
    assert worker.poll() is None
    assert sorted(fault_home.rows("SELECT attempt, state FROM takes")) == [(1, "failed"), (2, "done")]
    assert fault_home.rows("SELECT trouble FROM lines") == [("resource",)]
    fault_home.is_whole(batch)


# Root is not held by modes; root without this capability is.
BOUND_BY_MODES = ["setpriv", "--bounding-set", "-dac_override"] if os.geteuid() == 0 else []


@pytest.mark.parametrize("where", ["before", "mid-render"])
def test_an_output_folder_whose_mode_was_turned_read_only_is_waited_for(fault_home: FaultHome, where: str) -> None:
    batch = fault_home.submit("This one goes slowly, slowly, slowly.")
    folder = fault_home.out / batch / "chapter-01"
    folder.mkdir(parents=True)
    if where == "before":
        folder.chmod(0o500)
    worker = fault_home.shell.start("tests.support.ready", "ready", before=BOUND_BY_MODES)
    if where == "mid-render":
        fault_home.rendering(batch, 1)
        folder.chmod(0o500)
    try:
        wait_until(lambda: fault_home.rows("SELECT troubles FROM lines WHERE trouble = 'resource'"))
        ((error,),) = fault_home.rows("SELECT error FROM lines")
        assert "Permission denied" in error and str(fault_home.out) in error
        assert not list(fault_home.out.rglob("*.wav"))
    finally:
        folder.chmod(0o700)
    assert fault_home.ended(batch)["counts"]["done"] == 1
    assert worker.poll() is None
    fault_home.is_whole(batch)


def test_a_disk_that_was_turned_read_only_in_mid_render_is_waited_for(fault_home: FaultHome, small_disk: Path) -> None:
    first = fault_home.submit("The first line of all.", title="First")
    worker = fault_home.worker()
    fault_home.ended(first)
    batch = fault_home.submit("This one goes slowly, slowly, slowly.", title="Second")
    fault_home.rendering(batch, 1)
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    try:
        wait_until(lambda: fault_home.rows("SELECT troubles FROM lines WHERE trouble = 'resource'"))
        ((error,),) = fault_home.rows("SELECT error FROM lines WHERE trouble = 'resource'")
        assert "Read-only file system" in error
        assert fault_home.view(batch)["counts"]["failed"] == 0
        fault_home.shell("verify", first)
    finally:
        subprocess.run(["mount", "-o", "remount,rw", str(small_disk)], check=True)
    assert fault_home.ended(batch)["counts"]["done"] == 1
    assert worker.poll() is None
    fault_home.is_whole(first, batch)


def test_an_output_folder_that_cannot_be_made_fails_its_lines_with_the_reason_at_last(fault_home: FaultHome) -> None:
    configs = fault_home.folder / "configs" / "ready.yaml"
    configs.write_text(configs.read_text() + "retries: {resource: 2}\n")
    batch = fault_home.submit("The lamp went out at midnight.")
    shutil.rmtree(fault_home.out)
    fault_home.out.write_text("a file, where a folder was")
    fault_home.worker()
    view = fault_home.ended(batch)
    assert view["counts"]["failed"] == 1
    assert "cannot be written" in view["lines"][0]["error"]
    assert fault_home.rows("SELECT trouble, troubles FROM lines") == [("resource", '{"resource":3}')]
    assert fault_home.rows("SELECT count(*) FROM takes") == [(0,)]
    assert server.EmbeddedServer(Home.from_environment()).is_up()
