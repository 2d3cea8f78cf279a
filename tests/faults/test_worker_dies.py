"""Workers that are killed, hang, or fail everything; and power cuts at every step of the write path."""

from __future__ import annotations

import os
import re
import signal
from collections import Counter
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from tests.conftest import ROOT, wait_until
from tests.faults.conftest import FaultHome, is_stopped
from vvbatch import fault_points

MENDING = "pending.published"
ELSEWHERE = (
    MENDING,
    "submit.",
    "book.",
    "reject.",
    "prefer.",
)  # points that a worker which renders does not visit; other tests kill there
WRITE_PATH = [point for point in fault_points.POINTS if not point.startswith(ELSEWHERE)]
# The same steps for the second line, which is a link to the first one's file, and for the manifest.
WRITE_PATH += ["store.begin@4", "store.renamed@2", "store.folder_synced@2", "store.renamed@3", "store.folder_synced@3"]
RENDERED_ONCE = {"pending.noted", "store.renamed", "store.folder_synced", "ledger.recorded", "ledger.committed"}


def test_every_point_of_the_code_is_known_by_name() -> None:
    visited = set()
    for folder in ("vvbatch", "jobs", "workers"):
        for file in (ROOT / folder).rglob("*.py"):
            visited.update(re.findall(r'fault_points\.point\("([^"]+)"\)', file.read_text()))
    assert visited == set(fault_points.POINTS)


@pytest.mark.parametrize("point", WRITE_PATH)
def test_a_power_cut_at_any_step_is_repaired_by_the_next_start(fault_home: FaultHome, point: str) -> None:
    # One slot, and two lines that are the same: the second is served from the first one's file.
    batch = fault_home.submit("The lamp went out at midnight.", "The lamp went out at midnight.", model="solo")
    worker = fault_home.worker("solo", VVBATCH_FAULTS=f"{point}=kill")
    assert worker.wait(timeout=60) == -signal.SIGKILL, "the point was not visited"
    fault_home.worker("solo")
    view = fault_home.ended(batch)
    assert view["counts"]["done"] + view["counts"]["cached"] == 2
    fault_home.is_whole(batch)
    if point in RENDERED_ONCE:  # found by its hash
        assert {state for (state,) in fault_home.rows("SELECT state FROM takes")} == {"done"}


def test_a_power_cut_while_a_power_cut_is_repaired_is_repaired_too(fault_home: FaultHome) -> None:
    batch = fault_home.submit("The lamp went out at midnight.", model="solo")
    for point in ("store.renamed", MENDING, MENDING):
        assert fault_home.worker("solo", VVBATCH_FAULTS=f"{point}=kill").wait(timeout=60) == -signal.SIGKILL, point
    fault_home.worker("solo")
    assert fault_home.ended(batch)["counts"]["done"] == 1
    assert fault_home.rows("SELECT state FROM takes") == [("done",)]
    fault_home.is_whole(batch)


@pytest.mark.parametrize("point", ["store.temp_written", "pending.noted", "store.renamed", "ledger.recorded"])
def test_a_power_cut_that_loses_all_that_was_not_synced_is_repaired_too(fault_home: FaultHome, point: str) -> None:
    """Killing a process loses nothing that it wrote. Here what no fsync had promised is gone as well."""
    batch = fault_home.submit("The lamp went out at midnight.", "The tide came in.", model="solo")
    assert fault_home.worker("solo", VVBATCH_FAULTS=f"{point}=kill").wait(timeout=60) == -signal.SIGKILL
    fault_home.stop_server_for_good()
    for file in (fault_home.home / "redis").rglob("*.aof"):  # its last second, which began before this batch
        file.write_bytes(b"")
    for note in (fault_home.home / "pending").iterdir():
        note.write_bytes(b"")
    if point == "store.temp_written":
        for temp in fault_home.out.rglob(".tmp-*"):
            temp.write_bytes(b"\0" * 1000)
    for wav in fault_home.out.rglob("*.wav"):
        if point == "store.renamed":
            wav.rename(wav.with_name(".tmp-lost"))  # its folder was not synced
    fault_home.start_server()
    fault_home.worker("solo")
    assert fault_home.ended(batch)["counts"]["done"] == 2
    fault_home.is_whole(batch)


def test_a_power_cut_between_a_submits_row_and_its_jobs_loses_no_line(
    fault_home: FaultHome, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VVBATCH_FAULTS", "submit.recorded=kill")
    with pytest.raises(AssertionError, match="exit -9"):
        fault_home.submit("One line of it.", "And another one.")
    monkeypatch.delenv("VVBATCH_FAULTS")
    fault_home.worker()
    (batch,) = fault_home.rows("SELECT id FROM batches")[0]
    assert fault_home.ended(batch)["counts"]["done"] == 2
    fault_home.is_whole(batch)


def test_a_line_that_kills_its_worker_is_quarantined_and_its_companions_are_not_blamed(fault_home: FaultHome) -> None:
    poison = "This line is a killer."
    batch = fault_home.submit(*[f"Companion number {n} is here." for n in range(5)], poison, *["A last one, slowly."])
    for _ in range(12):
        worker = fault_home.worker()
        wait_until(lambda worker=worker: worker.poll() is not None or not open_lines(fault_home), timeout=60)
        if worker.poll() is None:
            break
    view = fault_home.ended(batch)
    assert (view["counts"]["done"], view["counts"]["failed"]) == (6, 1)
    (failed,) = [line for line in view["lines"] if line["state"] == "failed"]
    assert "quarantined: its worker died 3 times while rendering it alone" in failed["error"]
    crashes = dict(fault_home.rows("SELECT text, crashes FROM lines"))
    assert crashes.pop(poison) == 3
    assert set(crashes.values()) == {0}
    fault_home.is_whole(batch)


def open_lines(fault_home: FaultHome) -> list[object]:
    return fault_home.rows("SELECT id FROM lines WHERE state IN ('queued', 'rendering')")


@pytest.mark.parametrize(("word", "code"), [("segfault", -signal.SIGSEGV), ("memory", 1)])
def test_a_line_that_ends_its_worker_otherwise_is_quarantined_too(fault_home: FaultHome, word: str, code: int) -> None:
    batch = fault_home.submit(f"This one is for {word}.")
    for _ in range(3):
        assert fault_home.worker().wait(timeout=90) == code
    fault_home.worker()
    view = fault_home.ended(batch)
    assert "its worker died 3 times" in view["lines"][0]["error"]


def test_a_line_at_which_the_engine_raises_ends_the_worker_only_while_no_one_knows_whose_it_was(
    fault_home: FaultHome,
) -> None:
    batch = fault_home.submit(*[f"Companion number {n} is here." for n in range(5)], "This one raises something.")
    for _ in range(2):  # in company
        assert fault_home.worker().wait(timeout=60) == 1
    worker = fault_home.worker()
    view = fault_home.ended(batch)
    assert [line["state"] for line in view["lines"]] == ["done"] * 5 + ["failed"]
    assert "index out of range in self" in view["lines"][5]["error"]
    assert worker.poll() is None
    assert fault_home.rows("SELECT trouble, crashes FROM lines WHERE state = 'failed'") == [("engine", 0)]
    fault_home.is_whole(batch)


def test_a_device_on_which_every_step_raises_takes_its_worker_out_and_quarantines_no_line(
    fault_home: FaultHome,
) -> None:
    batch = fault_home.submit(*[f"Line number {n} of the fault_home." for n in range(10)])
    codes = [fault_home.worker(READY_BROKEN="raises").wait(timeout=90) for _ in range(3)]
    assert codes == [1, 1, 4]
    assert fault_home.view(batch)["counts"]["failed"] == 0
    fault_home.worker()
    assert fault_home.ended(batch)["counts"]["done"] == 10
    assert fault_home.rows("SELECT max(crashes) FROM lines") == [(0,)]
    fault_home.is_whole(batch)


def test_a_worker_that_fails_everything_is_taken_out_and_its_lines_go_to_another(fault_home: FaultHome) -> None:
    batch = fault_home.submit(*[f"Line number {n} of the fault_home." for n in range(40)])
    broken = fault_home.worker(READY_BROKEN="fails")
    assert broken.wait(timeout=60) == 4
    counts = fault_home.view(batch)["counts"]
    assert (counts["failed"], counts["queued"]) == (0, 40)
    fault_home.worker()
    assert fault_home.ended(batch)["counts"]["done"] == 40
    failed = fault_home.rows("SELECT line_id FROM takes WHERE state = 'failed'")
    assert len(failed) == 3
    assert {trouble for (trouble,) in fault_home.rows("SELECT trouble FROM lines WHERE trouble IS NOT NULL")} == {
        "engine"
    }
    fault_home.is_whole(batch)


@pytest.mark.parametrize(("how", "times"), [("hangs", 2), ("holds", 1), ("spins", 1)])
def test_a_step_that_hangs_is_ended_from_outside_and_the_line_quarantined_as_timed_out(
    fault_home: FaultHome, how: str, times: int
) -> None:
    """In a C call, in one that holds the interpreter's lock, and in Python."""
    configs = fault_home.folder / "configs" / "ready.yaml"
    configs.write_text(configs.read_text() + f"retries: {{timeout: {times - 1}}}\n")
    batch = fault_home.submit(f"This one {how} on.")
    for _ in range(times):
        assert fault_home.worker().wait(timeout=60) == -signal.SIGKILL
    fault_home.worker()
    view = fault_home.ended(batch)
    assert f"made no progress {times} times" in view["lines"][0]["error"]
    assert fault_home.rows("SELECT trouble FROM lines") == [("timeout",)]
    assert not list((fault_home.home / "pulse").glob("*.hung"))


def test_a_worker_that_hangs_is_ended_also_when_no_one_reads_what_is_said_of_it(fault_home: FaultHome) -> None:
    """Its terminal was closed, or its disk is full: the watchdog's last words must not keep it from its work."""
    batch = fault_home.submit("This one hangs on.")
    worker = fault_home.shell.start("tests.support.ready", "ready")
    assert worker.stdout
    fault_home.rendering(batch, 1)
    worker.stdout.close()
    assert worker.wait(timeout=60) == -signal.SIGKILL
    assert list((fault_home.home / "pulse").glob("*.hung"))


def test_a_take_that_never_ends_is_given_up_when_the_time_for_its_text_is_over(fault_home: FaultHome) -> None:
    configs = fault_home.folder / "configs" / "ready.yaml"
    impatient = "patience: {step_s: 1, step_s_per_char: 0, take_s_per_char: 0.1}"
    configs.write_text(configs.read_text().replace("patience: {step_s: 4, step_s_per_char: 0}", impatient))
    worker = fault_home.worker()
    batch = fault_home.submit("An endless one.", "This one goes slowly, but has the characters for its time.")
    view = fault_home.ended(batch)
    assert [line["state"] for line in view["lines"]] == ["failed", "done"]
    assert "not ready after" in view["lines"][0]["error"]
    assert fault_home.rows("SELECT trouble, troubles FROM lines WHERE state = 'failed'") == [
        ("timeout", '{"timeout":2}')
    ]
    assert worker.poll() is None
    fault_home.is_whole(batch)


@pytest.mark.parametrize(
    ("point", "takes"),
    [
        ("store.begin@2", [(1, "crashed"), (2, "done")]),  # before it writes the file
        ("pending.noted", [(1, "done")]),  # the file is complete: found by its hash, and recorded by the other
    ],
)
def test_a_worker_that_was_thought_dead_and_finishes_late_changes_nothing(
    fault_home: FaultHome, point: str, takes: list[tuple[int, str]]
) -> None:
    batch = fault_home.submit("One line, said twice.")
    late = fault_home.worker(VVBATCH_FAULTS=f"{point}=stop")
    fault_home.rendering(batch, 1)
    wait_until(lambda: is_stopped(late.pid))
    fault_home.worker()
    view = fault_home.ended(batch)
    before = Path(view["lines"][0]["path"]).stat()
    os.kill(late.pid, signal.SIGCONT)
    wait_until(lambda: not list(fault_home.out.rglob(".tmp-*")))
    late.send_signal(signal.SIGTERM)
    assert late.wait(timeout=60) == 0
    after = Path(view["lines"][0]["path"]).stat()
    assert (before.st_ino, before.st_mtime_ns) == (after.st_ino, after.st_mtime_ns)
    assert sorted(fault_home.rows("SELECT attempt, state FROM takes")) == takes
    fault_home.is_whole(batch)


def test_a_worker_whose_clock_is_ten_minutes_ahead_writes_nothing_twice(fault_home: FaultHome) -> None:
    fault_home.worker(READY_AHEAD_S="600")
    fault_home.worker()
    batch = fault_home.submit(*[f"Line {n} is spoken slowly." for n in range(64)])
    assert fault_home.ended(batch)["counts"]["done"] == 64
    assert Counter(fault_home.rows("SELECT state, attempt FROM takes")) == {("done", 1): 64}
    by_worker = fault_home.rows("SELECT worker, max(created_at) FROM takes GROUP BY worker")
    first, second = sorted(datetime.fromisoformat(at) for _, at in by_worker)
    assert second - first > timedelta(minutes=9), "the clock was not wrong"
    fault_home.is_whole(batch)


def test_a_killed_worker_of_slow_lines_is_replaced_and_each_is_done_at_its_second_attempt(
    fault_home: FaultHome,
) -> None:
    batch = fault_home.submit(*[f"Line {n} goes slowly." for n in range(12)])
    worker = fault_home.worker()
    fault_home.rendering(batch, 12)
    worker.kill()
    fault_home.worker()
    again = "SELECT count(*) FROM takes WHERE attempt = 2"
    wait_until(lambda: fault_home.rows(again) == [(12,)], timeout=30)  # what is promised; `make recovery` measures it
    assert fault_home.ended(batch)["counts"]["done"] == 12
    assert Counter(fault_home.rows("SELECT state, attempt FROM takes")) == {("crashed", 1): 12, ("done", 2): 12}
    fault_home.is_whole(batch)
