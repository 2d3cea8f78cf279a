"""reject and prefer are killed at each step: the line has its old file or its new one, never none."""

from __future__ import annotations

import hashlib
import os
import signal
from pathlib import Path

import pytest

from tests.conftest import wait_until
from tests.faults.conftest import FaultHome

REJECT = (
    "store.begin", "store.linked", "store.renamed", "store.folder_synced", "reject.copied", "reject.recorded",
    "reject.committed",
)  # fmt: skip
PREFER = (
    "store.linked", "store.linked@2", "store.renamed", "prefer.copied", "store.renamed@2", "prefer.published",
    "prefer.committed", "batch.settled", "store.renamed@3", "manifest.written",
)  # fmt: skip
RENDERED = ("render.claimed", "pending.noted", "store.renamed", "ledger.recorded", "ledger.committed", "batch.settled")
TEXTS = ("The lamp went out at midnight.", "The tide came in.")


def rendered(fault_home: FaultHome) -> tuple[str, Path]:
    """A batch of two lines, with the file of the first."""
    batch = fault_home.submit(*TEXTS)
    worker = fault_home.worker()
    path = fault_home.ended(batch)["lines"][0]["path"]
    wait_until(lambda: fault_home.rows("SELECT state FROM batches") == [("done",)])
    stop(worker.pid)
    worker.wait()
    return batch, Path(path)


def stop(pid: int) -> None:
    os.kill(pid, signal.SIGTERM)


def kill_at(fault_home: FaultHome, step: str, *words: str) -> None:
    process = fault_home.shell.start("vvbatch", *words, VVBATCH_FAULTS=f"{step}=kill")
    assert process.wait(timeout=60) == -signal.SIGKILL, f"{step} was never reached"


def content(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.mark.parametrize("step", REJECT)
def test_a_killed_reject_leaves_the_old_file_and_the_next_one_gets_a_new_take(fault_home: FaultHome, step: str) -> None:
    batch, path = rendered(fault_home)
    old = content(path)
    kill_at(fault_home, step, "reject", batch, "1", "--why", "no")
    assert content(path) == old
    missing = [each for each in fault_home.shell.json("verify", batch, code=None)["problems"] if each["line"]]
    assert missing == []
    fault_home.shell("reject", batch, "1", "--why", "no")
    fault_home.worker()
    view = fault_home.ended(batch)
    assert view["counts"]["done"] == 2 and content(path) == view["lines"][0]["sha256"] != old
    fault_home.is_whole(batch)
    states = fault_home.rows("SELECT state FROM takes WHERE line_id LIKE '%-00001' ORDER BY 1")
    assert states == [("done",), ("rejected",)]


@pytest.mark.parametrize("step", RENDERED)
def test_a_worker_that_is_killed_with_a_rejected_line_leaves_the_old_file_or_the_new_one(
    fault_home: FaultHome, step: str
) -> None:
    batch, path = rendered(fault_home)
    old = content(path)
    fault_home.shell("reject", batch, "1")
    assert fault_home.worker(VVBATCH_FAULTS=f"{step}=kill").wait(timeout=60) == -signal.SIGKILL
    between = content(path)
    fault_home.worker()
    view = fault_home.ended(batch)
    assert between in (old, view["lines"][0]["sha256"]) and content(path) == view["lines"][0]["sha256"] != old
    fault_home.is_whole(batch)


def test_a_take_that_is_rejected_after_its_worker_was_killed_is_not_recorded_again(fault_home: FaultHome) -> None:
    batch = fault_home.submit(TEXTS[0])
    assert fault_home.worker(VVBATCH_FAULTS="ledger.committed=kill").wait(timeout=60) == -signal.SIGKILL
    fault_home.shell("reject", batch, "1")
    fault_home.shell("verify", batch, "--repair")
    assert fault_home.rows("SELECT state FROM lines") == [("queued",)]
    ((old,),) = fault_home.rows("SELECT sha256 FROM takes")
    fault_home.worker()
    assert fault_home.ended(batch)["lines"][0]["sha256"] != old
    fault_home.is_whole(batch)


def test_a_rejected_line_that_is_cancelled_after_its_worker_was_killed_has_its_old_file(fault_home: FaultHome) -> None:
    batch, path = rendered(fault_home)
    old = content(path)
    fault_home.shell("reject", batch, "1")
    assert fault_home.worker(VVBATCH_FAULTS="store.renamed=kill").wait(timeout=60) == -signal.SIGKILL
    assert content(path) != old, "the new take has its name, and no row"
    fault_home.shell("cancel", batch)
    fault_home.worker()
    wait_until(lambda: content(path) == old)
    fault_home.is_whole(batch)


@pytest.mark.parametrize("step", PREFER)
def test_a_killed_prefer_leaves_one_of_both_files_and_is_undone_or_completed(fault_home: FaultHome, step: str) -> None:
    batch, path = rendered(fault_home)
    first, (take,) = content(path), fault_home.rows("SELECT take_id FROM lines WHERE number = 1")[0]
    fault_home.shell("reject", batch, "1")
    fault_home.worker()
    second = fault_home.ended(batch)["lines"][0]["sha256"]
    wait_until(lambda: fault_home.rows("SELECT state FROM batches") == [("done",)])
    kill_at(fault_home, step, "prefer", take)
    assert content(path) in (first, second)
    fault_home.shell("verify", batch, "--repair", code=None)
    (recorded,) = fault_home.rows("SELECT sha256 FROM lines WHERE number = 1")[0]
    assert content(path) == recorded and recorded in (first, second)
    fault_home.shell("prefer", take)
    assert content(path) == first
    fault_home.is_whole(batch)
