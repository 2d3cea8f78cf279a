"""Submitting again: the open batch's priority changes, and so does the queue that its waiting lines are in."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import redis

from tests.support.ledgers import open_ledger, planned
from vvbatch.batch.plan import Plan
from vvbatch.batch.submit import submit
from vvbatch.home import Home
from vvbatch.ledger.records import BatchKind
from vvbatch.ledger.states import INTERACTIVE, PRIORITIES
from vvbatch.transport import queue, server


def jobs(connection: redis.Redis, name: str) -> list[str]:
    return [
        job_id.rpartition("-")[0] for job_id in queue.queues_of("draft", connection)[PRIORITIES.index(name)].job_ids
    ]


@pytest.fixture
def connection(home: Path) -> Iterator[redis.Redis]:
    with server.own_server(Home.from_environment()):
        yield server.connect(Home.from_environment())


def test_lines_that_are_put_at_the_front_keep_their_order(connection: redis.Redis) -> None:
    queue.enqueue(connection, [("b-1", "draft", "high")])
    queue.enqueue(connection, [("a-1", "draft", "high"), ("a-2", "draft", "high")], at_front=True)
    assert jobs(connection, "high") == ["a-1", "a-2", "b-1"]


def test_submitting_again_with_another_priority_moves_the_waiting_lines_to_its_queue(
    connection: redis.Redis, tmp_path: Path
) -> None:
    ledger = open_ledger(tmp_path)
    plan = Plan("t", "s.yaml", None, (planned(1, "One.", "a"), planned(2, "Two.", "a")))
    first = submit(plan, ledger, connection, tmp_path / "out", "low")
    ids = [f"{first.id}-00001", f"{first.id}-00002"]
    assert (first.created, jobs(connection, "low"), jobs(connection, "high")) == (True, ids, [])
    edited = replace(plan, lines=(plan.lines[0], replace(plan.lines[1], pause_after_s=2.0)))
    again = submit(edited, ledger, connection, tmp_path / "out", "high")
    assert (again.id, again.created, again.old_priority, again.pauses_changed) == (first.id, False, "low", 1)
    assert (jobs(connection, "low"), jobs(connection, "high")) == ([], ids)
    kept = submit(edited, ledger, connection, tmp_path / "out")
    assert (kept.priority, kept.old_priority, kept.pauses_changed) == ("high", None, 0)


def test_the_longest_line_of_a_batch_goes_first_but_not_before_an_urgent_one(
    connection: redis.Redis, tmp_path: Path
) -> None:
    ledger = open_ledger(tmp_path)
    texts = ("Short.", "A line that is as long as two or three others.", "Middling line.")
    plan = Plan("t", "s.yaml", None, tuple(planned(number, text, "t") for number, text in enumerate(texts, start=1)))
    batch = submit(plan, ledger, connection, tmp_path / "out")
    spoken = Plan("s", "s.txt", None, (planned(1, "Hm.", "s"),))
    speech = submit(spoken, ledger, connection, tmp_path / "out", INTERACTIVE, kind=BatchKind.SPEECH)
    urgent = submit(replace(plan, title="u"), ledger, connection, tmp_path / "out", "high")
    order = [line for name in PRIORITIES for line in jobs(connection, name)]
    assert order == [
        f"{speech.id}-00001",
        *(f"{each.id}-{number:05}" for each in (urgent, batch) for number in (2, 3, 1)),
    ]
    ledger.close()


def test_two_who_ask_for_the_same_speech_get_a_line_each(connection: redis.Redis, tmp_path: Path) -> None:
    """The chunks of one line are taken off a list: two listeners would each hear a half. And who leaves cancels it."""
    ledger = open_ledger(tmp_path)
    plan = Plan("s", "TEXT", None, (planned(1, "Hm.", "s"),))
    both = (plan, plan.streamed())
    made = [submit(each, ledger, connection, tmp_path / "out", kind=BatchKind.SPEECH).id for each in (*both, *both)]
    assert len(set(made)) == 4
    ledger.close()
