"""The order in which lines enter the queue, as a pure function; and what reaches the queue from the ledger."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import hypothesis.strategies as st
from hypothesis import given

from tests.support.ledgers import add_batch, line_id, open_ledger
from vvbatch.batch.admission import TAIL_LINES_A_SLOT, WaitingLine, admission_order
from vvbatch.ledger.queues import waiting_lines


def lines_of(batch: str, *characters: int, profile: str = "draft", first: int = 0) -> list[WaitingLine]:
    numbered = enumerate(characters, start=first)
    return [WaitingLine(f"{batch}-{number:03}", batch, profile, "normal", size) for number, size in numbered]


def sizes(lines: Sequence[WaitingLine]) -> list[int]:
    return [line.characters for line in lines]


def test_a_small_batch_begins_with_its_longest_line() -> None:
    assert sizes(admission_order(lines_of("b", 10, 300, 20, 200), lambda _: 1)) == [300, 200, 20, 10]


def test_a_large_batch_follows_its_script_up_to_its_tail() -> None:
    head, tail = [5, 900, 7, 8], [10, 40, 20, 30]
    assert sizes(admission_order(lines_of("b", *head, *tail), lambda _: 1)) == [*head, 40, 30, 20, 10]


def test_lines_of_equal_length_keep_the_order_of_the_script() -> None:
    ordered = admission_order(lines_of("b", 7, 7, 9, 7), lambda _: 4)
    assert [line.id for line in ordered] == ["b-002", "b-000", "b-001", "b-003"]


def test_a_short_line_of_an_older_batch_precedes_a_long_one_of_a_newer() -> None:
    ordered = admission_order(lines_of("old", 1, 2) + lines_of("new", 900), lambda _: 16)
    assert sizes(ordered) == [2, 1, 900]


batch_sizes = st.lists(st.lists(st.integers(1, 500), max_size=40), max_size=4)


@given(batch_sizes, st.integers(1, 4), st.integers(1, 4))
def test_every_line_is_queued_once_in_its_batchs_place_and_only_the_tail_is_sorted(
    batches: list[list[int]], slots: int, other_slots: int
) -> None:
    """Lines of a batch alternate between two profiles, which have a queue each."""
    waiting = [
        line._replace(profile="odd" if number % 2 else "even")
        for index, characters in enumerate(batches)
        for number, line in enumerate(lines_of(f"batch {index}", *characters))
    ]
    available = {"even": slots, "odd": other_slots}
    ordered = admission_order(waiting, available.__getitem__)
    assert sorted(ordered) == sorted(waiting)
    assert [line.batch for line in ordered] == [line.batch for line in waiting]
    queues: dict[tuple[str, str], list[WaitingLine]] = defaultdict(list)
    scripts: dict[tuple[str, str], list[WaitingLine]] = defaultdict(list)
    for line in ordered:
        queues[line.batch, line.profile].append(line)
    for line in waiting:
        scripts[line.batch, line.profile].append(line)
    for (_, profile), queue in queues.items():
        begin = max(0, len(queue) - TAIL_LINES_A_SLOT * available[profile])
        script = scripts[queue[0].batch, profile]
        assert queue[:begin] == script[:begin]
        assert all(earlier.characters >= later.characters for earlier, later in pairwise(queue[begin:]))


def test_waiting_lines_come_in_the_order_of_admission(tmp_path: Path) -> None:
    ledger = open_ledger(tmp_path)
    add_batch(ledger, "a", ["Short.", "A line that is much longer.", "Middling line."])
    add_batch(ledger, "b", ["Gone profile.", "The profile of this line is gone."], profile="gone")
    ids = [row[0] for row in waiting_lines(ledger)]
    assert ids == [line_id("a", 2), line_id("a", 3), line_id("a", 1), line_id("b", 2), line_id("b", 1)]
    ledger.close()
