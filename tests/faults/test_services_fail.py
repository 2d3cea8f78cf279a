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
from tests.faults.conftest import Night, is_stopped
from vvbatch.home import Home
from vvbatch.transport import server
from vvbatch.transport.server import signal_server


def test_submit_without_a_server_exits_3_and_records_nothing(
    shell: Shell, script: Callable[..., Path], home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VVBATCH_REDIS_URL", f"unix://{tmp_path}/absent.sock")
    done = shell("submit", str(script("Nobody hears this.")), "--out", str(tmp_path / "out"), code=3, timeout=30)
    assert "does not answer" in done.stderr
    assert not (tmp_path / "out").exists()
    monkeypatch.delenv("VVBATCH_REDIS_URL")
    assert shell.json("ledger", "batches") == []


def test_a_server_that_goes_while_a_batch_is_submitted_is_told_and_no_line_is_lost(night: Night) -> None:
    path = night.folder / "going.yaml"
    path.write_text(json.dumps({"version": 1, "model": "ready", "lines": ["One line of it.", "And another one."]}))
    words = ["submit", str(path), "--out", str(night.out)]
    shell = night.shell.start("vvbatch", *words, VVBATCH_FAULTS="submit.recorded=stop")
    wait_until(lambda: is_stopped(shell.pid))
    night.stop_server_for_good()
    os.kill(shell.pid, signal.SIGCONT)
    assert shell.wait(timeout=60) == 3
    message = shell.stdout.read()
    assert "Traceback" not in message and "server" in message and "automatically" in message
    night.start_server()
    night.worker()
    ((batch,),) = night.rows("SELECT id FROM batches")
    assert night.ended(batch)["counts"]["done"] == 2
    night.is_whole(batch)


def test_a_command_that_meets_a_locked_ledger_says_so_and_changes_nothing(night: Night) -> None:
    batch = night.submit("One line of it.")
    lock = threading.Thread(target=locked, args=(night.home, 30))
    lock.start()
    wanted = [["submit", str(night.folder / "Night.yaml"), "--out", str(night.folder / "out2")], ["cancel", batch]]
    for command in [night.shell.start("vvbatch", *words) for words in wanted]:
        assert command.wait(timeout=90) == 3
        message = command.stdout.read()
        assert message.count("\n") < 4 and "the ledger cannot be used now: database is locked" in message
    lock.join()
    assert night.rows("SELECT count(*), min(state) FROM lines") == [(1, "queued")]
    night.worker()
    assert night.ended(batch)["counts"]["done"] == 1
    night.is_whole(batch)


def test_a_server_that_is_away_for_15_s_costs_no_line_and_no_rendering(night: Night) -> None:
    batch = night.submit(*[f"Line {n} goes slowly." for n in range(24)])
    worker = night.worker()
    night.rendering(batch, 16)
    night.stop_server_for_good()
    time.sleep(15)
    wait_until(lambda: night.view(batch)["counts"]["done"] == 16)
    night.start_server()
    assert night.ended(batch)["counts"]["done"] == 24
    assert worker.poll() is None
    assert Counter(night.rows("SELECT state, attempt FROM takes")) == {("done", 1): 24}
    night.is_whole(batch)


def test_a_server_that_is_killed_and_started_again_goes_on_with_the_batch(night: Night) -> None:
    batch = night.submit(*[f"Line {n} goes slowly." for n in range(40)])
    night.worker()
    night.rendering(batch, 16)
    signal_server(Home.from_environment(), signal.SIGKILL)
    assert night.ended(batch)["counts"]["done"] == 40
    night.is_whole(batch)


def test_a_wiped_server_is_told_by_status_and_its_lines_come_back(night: Night) -> None:
    batch = night.submit(*[f"Line {n} of a lost queue." for n in range(30)])
    night.redis().flushall()
    assert night.shell.json("status")["redis"]["lost"] == {"ready": 30}
    assert "30 lines of ready are missing in the queue" in night.shell("status").stdout.replace("\n", " ")
    night.shell("resume", batch)
    assert night.shell.json("status")["redis"]["lost"] == {}
    night.redis().flushall()
    night.worker()
    assert night.ended(batch)["counts"]["done"] == 30
    assert len(night.rows("SELECT id FROM takes")) == 30
    night.is_whole(batch)


def test_a_server_wiped_while_a_worker_renders_loses_neither_lines_nor_the_worker(night: Night) -> None:
    batch = night.submit(*[f"Line {n} goes slowly." for n in range(24)])
    worker = night.worker()
    night.rendering(batch, 16)
    night.redis().flushall()
    assert night.ended(batch)["counts"]["done"] == 24
    assert Counter(night.rows("SELECT state, attempt FROM takes")) == {("done", 1): 24}
    seen = night.shell.json("status")["workers"]
    assert [each["alive"] for each in seen] == [True]
    assert worker.poll() is None


def test_a_ledger_that_is_locked_for_30_s_gets_its_results_afterwards(night: Night) -> None:
    batch = night.submit(*[f"Line {n} goes slowly." for n in range(20)])
    worker = night.worker()
    night.rendering(batch, 16)
    locked(night.home, 30)
    assert night.ended(batch)["counts"]["done"] == 20
    assert worker.poll() is None
    assert Counter(state for (state,) in night.rows("SELECT state FROM takes"))["done"] == 20
    once = night.rows("SELECT line_id FROM takes GROUP BY line_id HAVING count(*) > 1")
    assert once == []
    night.is_whole(batch)


def locked(home: Path, seconds: float) -> None:
    with closing(sqlite3.connect(home / "ledger.sqlite3", timeout=60, isolation_level=None)) as connection:
        connection.execute("BEGIN EXCLUSIVE")
        time.sleep(seconds)
        connection.execute("ROLLBACK")


def test_what_a_worker_held_when_it_was_killed_is_recorded_by_verify_repair(night: Night) -> None:
    batch = night.submit("This one goes slowly.")
    worker = night.worker()
    night.rendering(batch, 1)
    lock = threading.Thread(target=locked, args=(night.home, 32))
    lock.start()
    wait_until(lambda: list((night.home / "pending").glob("*.json")), timeout=60)
    wait_until(lambda: list(night.out.rglob(".tmp-*")), timeout=60)
    worker.kill()
    lock.join()
    assert night.view(batch)["counts"]["done"] == 0
    done = night.shell.json("verify", "--repair")
    assert [each["line"] for each in done["repaired"]] == [night.view(batch)["lines"][0]["id"]]
    assert night.view(batch)["counts"]["done"] == 1
    night.is_whole(batch)


@pytest.fixture
def small_disk(night: Night) -> Iterator[Path]:
    """8 MB of tmpfs as the output folder."""
    night.out.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", night.out], check=False, capture_output=True
    )
    if mounted.returncode:
        pytest.skip("mounting a small disk needs root; a full disk is also tested by an injected ENOSPC")
    yield night.out
    subprocess.run(["umount", "--lazy", night.out], check=True)


def test_a_full_disk_pauses_the_queue_with_a_reason_and_room_resumes_it(night: Night, small_disk: Path) -> None:
    first = night.submit("The first line of all.", title="First")
    worker = night.worker()
    night.ended(first)
    older = night.view(first)["lines"][0]["path"]
    filler = small_disk / "filler"
    batch = night.submit(*[f"Line {n} goes slowly, slowly, slowly." for n in range(8)], title="Second")
    night.rendering(batch, 8)
    fill(filler, small_disk)
    wait_until(lambda: paused(night), timeout=60)
    assert "no room" in paused(night)
    assert "no room" in night.shell("status").stdout
    assert night.view(batch)["counts"]["failed"] == 0
    night.shell("verify", first)
    assert not [file for file in night.out.rglob("*.wav") if str(file) != older]  # nothing half-written
    filler.unlink()
    assert night.ended(batch)["counts"]["done"] == 8
    assert paused(night) is None
    assert worker.poll() is None
    night.is_whole(first, batch)


def fill(filler: Path, disk: Path) -> None:
    with filler.open("wb") as file:
        file.write(b"x" * max(shutil.disk_usage(disk).free - 4096, 0))


def paused(night: Night) -> str | None:
    rows = night.rows("SELECT reason FROM queues")
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
def test_a_disk_that_fails_a_write_costs_one_more_try_and_no_file(night: Night, point: str, error: str) -> None:
    batch = night.submit("The lamp went out at midnight.")
    worker = night.worker(VVBATCH_FAULTS=f"{point}={error}")
    view = night.ended(batch)
    assert view["counts"]["done"] == 1
    assert worker.poll() is None
    assert sorted(night.rows("SELECT attempt, state FROM takes")) == [(1, "failed"), (2, "done")]
    assert night.rows("SELECT trouble FROM lines") == [("resource",)]
    night.is_whole(batch)


# Root is not held by modes; root without this capability is.
BOUND_BY_MODES = ["setpriv", "--bounding-set", "-dac_override"] if os.geteuid() == 0 else []


@pytest.mark.parametrize("where", ["before", "mid-render"])
def test_an_output_folder_whose_mode_was_turned_read_only_is_waited_for(night: Night, where: str) -> None:
    batch = night.submit("This one goes slowly, slowly, slowly.")
    folder = night.out / batch / "chapter-01"
    folder.mkdir(parents=True)
    if where == "before":
        folder.chmod(0o500)
    worker = night.shell.start("tests.support.ready", "ready", before=BOUND_BY_MODES)
    if where == "mid-render":
        night.rendering(batch, 1)
        folder.chmod(0o500)
    try:
        wait_until(lambda: night.rows("SELECT troubles FROM lines WHERE trouble = 'resource'"))
        ((error,),) = night.rows("SELECT error FROM lines")
        assert "Permission denied" in error and str(night.out) in error
        assert not list(night.out.rglob("*.wav"))
    finally:
        folder.chmod(0o700)
    assert night.ended(batch)["counts"]["done"] == 1
    assert worker.poll() is None
    night.is_whole(batch)


def test_a_disk_that_was_turned_read_only_in_mid_render_is_waited_for(night: Night, small_disk: Path) -> None:
    first = night.submit("The first line of all.", title="First")
    worker = night.worker()
    night.ended(first)
    batch = night.submit("This one goes slowly, slowly, slowly.", title="Second")
    night.rendering(batch, 1)
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    try:
        wait_until(lambda: night.rows("SELECT troubles FROM lines WHERE trouble = 'resource'"))
        ((error,),) = night.rows("SELECT error FROM lines WHERE trouble = 'resource'")
        assert "Read-only file system" in error
        assert night.view(batch)["counts"]["failed"] == 0
        night.shell("verify", first)
    finally:
        subprocess.run(["mount", "-o", "remount,rw", str(small_disk)], check=True)
    assert night.ended(batch)["counts"]["done"] == 1
    assert worker.poll() is None
    night.is_whole(first, batch)


def test_an_output_folder_that_cannot_be_made_fails_its_lines_with_the_reason_at_last(night: Night) -> None:
    configs = night.folder / "configs" / "ready.yaml"
    configs.write_text(configs.read_text() + "retries: {resource: 2}\n")
    batch = night.submit("The lamp went out at midnight.")
    shutil.rmtree(night.out)
    night.out.write_text("a file, where a folder was")
    night.worker()
    view = night.ended(batch)
    assert view["counts"]["failed"] == 1
    assert "cannot be written" in view["lines"][0]["error"]
    assert night.rows("SELECT trouble, troubles FROM lines") == [("resource", '{"resource":3}')]
    assert night.rows("SELECT count(*) FROM takes") == [(0,)]
    assert server.EmbeddedServer(Home.from_environment()).is_up()
