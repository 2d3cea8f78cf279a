"""Readers of the ledger's order: each row once, however late it appears and however seldom they read."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.ledgers import Clock
from vvbatch.ledger import feed
from vvbatch.ledger.feed import LATE_S, Place, Tail
from vvbatch.ledger.records import earlier


@dataclass(frozen=True)
class Row:
    place: Place


class Rows:
    """A table in memory."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.begun = self.clock()
        self.rows: list[Row] = []
        self.tail = Tail(self.after, self.clock)

    def after(self, place: Place, limit: int) -> list[Row]:
        return sorted((row for row in self.rows if row.place > place), key=lambda row: row.place)[:limit]

    def record(self, name: str, late_s: float = 0.0) -> None:
        at = max(self.begun, earlier(self.clock(), late_s))
        self.rows.append(Row(Place(at, name)))

    def read(self) -> list[str]:
        names = [row.place.id for row in self.tail.page()]
        while self.tail.behind:
            names += [row.place.id for row in self.tail.page()]
        return names


@pytest.mark.parametrize("pause_s", [0.0, LATE_S + 1, 3600.0])
def test_no_row_is_missed_however_long_a_reader_pauses(pause_s: float) -> None:
    table = Rows()
    for name in ("a", "b", "c"):
        table.record(name)
        table.clock.advance(pause_s)
        assert table.read() == [name]
    assert table.read() == []


def test_a_row_that_appears_after_younger_ones_is_read_once() -> None:
    table = Rows()
    table.clock.advance(60)
    table.record("young")
    assert table.read() == ["young"]
    table.record("late", late_s=LATE_S)
    assert table.read() == ["late"]
    assert table.read() == []


def test_many_rows_are_read_in_pages_with_other_rows_in_between(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feed, "PAGE", 3)
    table = Rows()
    for number in range(7):
        table.record(f"{number}")
        table.clock.advance(1)
    assert [row.place.id for row in table.tail.page()] == ["0", "1", "2"]
    assert table.tail.behind
    table.record("late", late_s=6.5)  # before the place that was reached
    assert table.read() == ["3", "4", "5", "6"]
    assert table.read() == ["late"]
    assert table.read() == []


def test_what_was_read_is_forgotten_when_nothing_can_appear_before_it() -> None:
    table = Rows()
    for number in range(100):
        table.record(f"{number}")
        table.clock.advance(1)
        table.read()
    assert len(table.tail.seen) <= LATE_S + 1


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("record"), st.floats(0, LATE_S)),
        st.tuples(st.just("wait"), st.floats(0, 30)),
        st.tuples(st.just("page"), st.just(0.0)),
    ),
    max_size=60,
)


@given(STEPS)
def test_each_row_is_read_once_in_any_order_of_writing_and_reading(steps: list[tuple[str, float]]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(feed, "PAGE", 3)
        table = Rows()
        read: list[str] = []
        for number, (what, seconds) in enumerate(steps):
            if what == "record":
                table.record(f"{number}", seconds)
            elif what == "wait":
                table.clock.advance(seconds)
            else:
                read += [row.place.id for row in table.tail.page()]
        read += table.read() + table.read()
        assert sorted(read) == sorted(row.place.id for row in table.rows)
