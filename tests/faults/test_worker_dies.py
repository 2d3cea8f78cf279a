"""Workers that are killed, hang, or fail everything; and power cuts at every step of the write path."""

from __future__ import annotations

import os
import re
import signal
from collections import Counter
from pathlib import Path

import pytest

from tests.conftest import ROOT, wait_until
from tests.faults.conftest import Night
from vvbatch import faults

WRITE_PATH = [point for point in faults.POINTS if not point.startswith("submit.")]
RENDERED_ONCE = {"pending.noted", "store.renamed", "store.folder_synced", "ledger.recorded", "ledger.committed"}


def test_every_point_of_the_code_is_known_by_name():
    visited = set()
    for folder in ("vvbatch", "jobs", "workers"):
        for file in (ROOT / folder).rglob("*.py"):
            visited.update(re.findall(r'faults\.point\("([^"]+)"\)', file.read_text()))
    assert visited == set(faults.POINTS)


@pytest.mark.parametrize("point", WRITE_PATH)
def test_a_power_cut_at_any_step_is_mended_by_the_next_start(night: Night, point: str):
    # One slot, and two lines that are the same: the second is served from the first one's file.
    batch = night.submit("The lamp went out at midnight.", "The lamp went out at midnight.", model="solo")
    worker = night.worker("solo", VVBATCH_FAULTS=f"{point}=kill")
    assert worker.wait(timeout=60) == -signal.SIGKILL, "the point was not visited"
    night.worker("solo")
    view = night.ended(batch)
    assert view["counts"]["done"] + view["counts"]["cached"] == 2
    night.is_whole(batch)
    if point in RENDERED_ONCE:  # found by its hash
        assert {state for (state,) in night.rows("SELECT state FROM takes")} == {"done"}


def test_a_power_cut_between_a_submits_row_and_its_jobs_loses_no_line(night: Night, monkeypatch):
    monkeypatch.setenv("VVBATCH_FAULTS", "submit.recorded=kill")
    with pytest.raises(AssertionError, match="exit -9"):
        night.submit("One line of it.", "And another one.")
    monkeypatch.delenv("VVBATCH_FAULTS")
    night.worker()
    (batch,) = night.rows("SELECT id FROM batches")[0]
    assert night.ended(batch)["counts"]["done"] == 2
    night.is_whole(batch)


def test_a_line_that_kills_its_worker_is_quarantined_and_its_companions_are_not_blamed(night: Night):
    poison = "This line is a killer."
    batch = night.submit(*[f"Companion number {n} is here." for n in range(5)], poison, *["A last one, slowly."])
    for _ in range(12):
        worker = night.worker()
        wait_until(lambda worker=worker: worker.poll() is not None or not open_lines(night), timeout=60)
        if worker.poll() is None:
            break
    view = night.ended(batch)
    assert (view["counts"]["done"], view["counts"]["failed"]) == (6, 1)
    (failed,) = [line for line in view["lines"] if line["state"] == "failed"]
    assert "quarantined: its worker died 3 times while rendering it alone" in failed["error"]
    crashes = dict(night.rows("SELECT text, crashes FROM lines"))
    assert crashes.pop(poison) == 3
    assert set(crashes.values()) == {0}
    night.is_whole(batch)


def open_lines(night: Night) -> list[object]:
    return night.rows("SELECT id FROM lines WHERE state IN ('queued', 'rendering')")


@pytest.mark.parametrize("word", ["segfault", "memory"])
def test_a_line_that_ends_its_worker_otherwise_is_quarantined_too(night: Night, word: str):
    batch = night.submit(f"This one is for {word}.")
    for _ in range(3):
        assert night.worker().wait(timeout=90) not in (0, 3)
    night.worker()
    view = night.ended(batch)
    assert "its worker died 3 times" in view["lines"][0]["error"]


def test_a_worker_that_fails_everything_is_taken_out_and_its_lines_go_to_another(night: Night):
    batch = night.submit(*[f"Line number {n} of the night." for n in range(40)])
    broken = night.worker(READY_BROKEN="1")
    assert broken.wait(timeout=60) == 4
    counts = night.view(batch)["counts"]
    assert (counts["failed"], counts["queued"]) == (0, 40)
    night.worker()
    assert night.ended(batch)["counts"]["done"] == 40
    failed = night.rows("SELECT line_id FROM takes WHERE state = 'failed'")
    assert len(failed) == 3
    assert {trouble for (trouble,) in night.rows("SELECT trouble FROM lines WHERE trouble IS NOT NULL")} == {"engine"}
    night.is_whole(batch)


def test_a_hang_in_a_c_call_is_ended_from_outside_and_the_line_quarantined_as_timed_out(night: Night):
    batch = night.submit("This one hangs.")
    for _ in range(2):
        assert night.worker().wait(timeout=60) == -signal.SIGKILL
    night.worker()
    view = night.ended(batch)
    assert "made no progress 2 times" in view["lines"][0]["error"]
    assert night.rows("SELECT trouble FROM lines") == [("timeout",)]
    assert not list((night.home / "pulse").glob("*.hung"))


def test_a_worker_that_was_thought_dead_and_finishes_late_changes_nothing(night: Night):
    batch = night.submit("One line, said twice.")
    late = night.worker(VVBATCH_FAULTS="store.begin@2=stop")  # before it writes the file
    night.rendering(batch, 1)
    stopped(late.pid)
    night.worker()
    view = night.ended(batch)
    before = Path(view["lines"][0]["path"]).stat()
    os.kill(late.pid, signal.SIGCONT)
    wait_until(lambda: not list(night.out.rglob(".tmp-*")))
    late.send_signal(signal.SIGTERM)
    assert late.wait(timeout=60) == 0, late.stdout.read()
    after = Path(view["lines"][0]["path"]).stat()
    assert (before.st_ino, before.st_mtime_ns) == (after.st_ino, after.st_mtime_ns)
    assert sorted(night.rows("SELECT attempt, state FROM takes")) == [(1, "crashed"), (2, "done")]
    night.is_whole(batch)


def stopped(pid: int) -> None:
    wait_until(lambda: Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "T")


def test_a_worker_whose_clock_is_ten_minutes_ahead_writes_nothing_twice(night: Night):
    night.worker(READY_AHEAD_S="600")
    night.worker()
    batch = night.submit(*[f"Line {n} is spoken slowly." for n in range(64)])
    assert night.ended(batch)["counts"]["done"] == 64
    assert Counter(night.rows("SELECT state, attempt FROM takes")) == {("done", 1): 64}
    assert len(night.rows("SELECT DISTINCT worker FROM takes")) == 2
    night.is_whole(batch)


def test_a_killed_worker_of_slow_lines_is_replaced_and_each_is_done_at_its_second_attempt(night: Night):
    batch = night.submit(*[f"Line {n} goes slowly." for n in range(12)])
    worker = night.worker()
    night.rendering(batch, 12)
    worker.kill()
    night.worker()
    assert night.ended(batch)["counts"]["done"] == 12
    assert Counter(night.rows("SELECT state, attempt FROM takes")) == {("crashed", 1): 12, ("done", 2): 12}
    night.is_whole(batch)
