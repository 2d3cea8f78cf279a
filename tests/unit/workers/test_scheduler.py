"""The batching policy as a pure function: by example, and for any order of events."""

from __future__ import annotations

import hypothesis.strategies as st
from hypothesis import given
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from workers.scheduler import Scheduler

ALLOWED_S = 10.0


def started(scheduler: Scheduler, *line_ids: str, now: float = 0.0) -> list[str]:
    """Lines whose jobs ask for a slot at once; returns those that get one."""
    for line_id in line_ids:
        scheduler.add(line_id)
        scheduler.wait_for_slot(line_id, ALLOWED_S)
    return admitted(scheduler, now)


def admitted(scheduler: Scheduler, now: float = 0.0) -> list[str]:
    found = []
    while (line_id := scheduler.next_for_slot(now)) is not None:
        found.append(line_id)
    return found


def test_lines_get_the_slots_in_the_order_in_which_they_asked() -> None:
    scheduler = Scheduler(2)
    assert started(scheduler, "a", "b", "c", "d") == ["a", "b"]
    scheduler.remove("b")
    assert admitted(scheduler) == ["c"]
    scheduler.remove("a")
    scheduler.remove("c")
    assert admitted(scheduler) == ["d"]


def test_a_line_with_another_take_waits_behind_the_lines_that_waited_before() -> None:
    scheduler = Scheduler(1)
    assert started(scheduler, "a", "b") == ["a"]
    scheduler.wait_for_slot("a", ALLOWED_S)
    assert admitted(scheduler) == ["b"]


def test_a_line_that_waits_for_its_verdict_frees_its_slot_but_not_its_memory() -> None:
    scheduler = Scheduler(2)
    started(scheduler, "a", "b")
    assert not scheduler.has_room()
    scheduler.wait_for_verdict("a")
    scheduler.wait_for_verdict("b")
    assert scheduler.has_room()
    assert started(scheduler, "c", "d") == ["c", "d"]
    scheduler.wait_for_verdict("c")
    assert not scheduler.has_room(), "four lines are in flight"
    scheduler.remove("a")
    assert scheduler.has_room()


def test_a_reserved_slot_is_kept_for_what_somebody_waits_for() -> None:
    scheduler = Scheduler(3, reserved=1)
    assert started(scheduler, "a", "b") == ["a", "b"]
    assert not scheduler.has_room(interactive=False) and scheduler.has_room()
    scheduler.add("speech", interactive=True)
    scheduler.wait_for_slot("speech", ALLOWED_S)
    assert admitted(scheduler) == ["speech"]
    assert not scheduler.has_room()
    scheduler.remove("a")
    assert scheduler.has_room(interactive=False), "the slots of batches are free for a batch"


def test_a_server_that_ends_gives_its_slot_back_and_a_single_slot_is_never_kept() -> None:
    scheduler = Scheduler(2, reserved=1)
    started(scheduler, "a")
    assert not scheduler.has_room(interactive=False)
    scheduler.reserved = 0
    assert scheduler.has_room(interactive=False)
    assert Scheduler(1, reserved=1).has_room(interactive=False)


def test_interactive_lines_get_a_free_slot_before_those_that_waited_longer() -> None:
    scheduler = Scheduler(1)
    assert started(scheduler, "a", "b") == ["a"]
    scheduler.add("speech", interactive=True)
    scheduler.wait_for_slot("speech", ALLOWED_S)
    scheduler.remove("a")
    assert admitted(scheduler) == ["speech"]


def test_a_suspect_waits_until_nothing_is_in_flight_and_then_renders_alone() -> None:
    scheduler = Scheduler(4)
    started(scheduler, "a")
    assert scheduler.must_wait(suspect=True)
    assert not scheduler.has_room(), "nothing may overtake it"
    scheduler.remove("a")
    assert scheduler.has_room()
    assert not scheduler.must_wait(suspect=True)
    scheduler.add("suspect", suspect=True)
    assert not scheduler.has_room()
    scheduler.remove("suspect")
    assert scheduler.has_room()
    assert started(scheduler, "b", "c") == ["b", "c"]


def test_a_suspect_that_was_cancelled_while_it_waited_keeps_no_other_line_waiting() -> None:
    scheduler = Scheduler(4)
    started(scheduler, "a")
    assert scheduler.must_wait(suspect=True)
    scheduler.remove("a")
    assert not scheduler.must_wait(suspect=False)
    assert started(scheduler, "b", "c") == ["b", "c"]
    assert scheduler.has_room()


def test_a_cancelled_line_frees_its_place_in_every_stage() -> None:
    scheduler = Scheduler(1)
    started(scheduler, "listening")
    scheduler.wait_for_verdict("listening")
    assert started(scheduler, "rendering", "waiting") == ["rendering"]
    for line_id in ("waiting", "listening", "rendering"):
        scheduler.remove(line_id)
    assert scheduler == Scheduler(1)


def test_a_take_is_late_after_its_time_in_a_slot_and_not_after_its_time_in_the_queue() -> None:
    scheduler = Scheduler(1)
    started(scheduler, "a", "b", now=100.0)
    assert scheduler.late(110.0) == []
    assert scheduler.late(110.1) == ["a"]
    scheduler.remove("a")
    assert admitted(scheduler, now=200.0) == ["b"]
    assert scheduler.late(209.0) == []


def test_the_engine_rests_while_more_takes_than_slots_wait_for_verdicts() -> None:
    scheduler = Scheduler(2)
    started(scheduler, "a", "b")
    for line_id in ("a", "b"):
        scheduler.wait_for_verdict(line_id)
    assert not scheduler.should_step(), "no line occupies a slot"
    started(scheduler, "c", "d")
    assert scheduler.should_step()
    scheduler.wait_for_verdict("c")
    assert not scheduler.should_step()
    scheduler.wait_for_slot("a", ALLOWED_S)
    assert scheduler.should_step()


def test_the_engine_works_on_while_no_line_is_kept_from_a_free_slot() -> None:
    """The queue is empty: resting would make nothing faster."""
    scheduler = Scheduler(3)
    started(scheduler, "a", "b", "c")
    for line_id in ("a", "b", "c"):
        scheduler.wait_for_verdict(line_id)
    started(scheduler, "d", "e")
    scheduler.wait_for_verdict("d")
    assert scheduler.has_room() and len(scheduler.listening) > scheduler.slots
    assert scheduler.should_step()


class AnyOrder(RuleBasedStateMachine):
    """Whatever order the events come in, as the worker lets them happen."""

    def __init__(self) -> None:
        super().__init__()
        self.scheduler = Scheduler(3)
        self.suspects: set[str] = set()
        self.asked: list[str] = []  # that wait for a slot, in order
        self.count = 0

    @precondition(lambda self: self.scheduler.has_room())
    @rule(suspect=st.booleans())
    def take_a_line(self, suspect: bool) -> None:
        if self.scheduler.must_wait(suspect=suspect):
            assert suspect and self.scheduler.in_flight
            return
        self.count += 1
        line_id = f"line {self.count}"
        self.scheduler.add(line_id, suspect=suspect)
        if suspect:
            self.suspects.add(line_id)
        self.ask(line_id)

    def ask(self, line_id: str) -> None:
        self.scheduler.wait_for_slot(line_id, ALLOWED_S)
        self.asked = [one for one in self.asked if one != line_id] + [line_id]

    @rule(now=st.floats(0, 1000))
    def give_a_slot(self, now: float) -> None:
        line_id = self.scheduler.next_for_slot(now)
        if line_id is None:
            assert not self.asked or len(self.scheduler.rendering) == 3
        else:
            assert line_id == self.asked.pop(0)
            assert line_id not in self.scheduler.late(now)
            assert line_id in self.scheduler.late(now + 2 * ALLOWED_S)

    def some(self, data: st.DataObject, lines: set[str]) -> str | None:
        return data.draw(st.sampled_from(sorted(lines))) if lines else None

    @rule(data=st.data())
    def a_take_is_rendered(self, data: st.DataObject) -> None:
        if line_id := self.some(data, set(self.scheduler.rendering)):
            self.scheduler.wait_for_verdict(line_id)

    @rule(data=st.data())
    def a_take_failed_and_another_is_wanted(self, data: st.DataObject) -> None:
        if line_id := self.some(data, set(self.scheduler.rendering) | self.scheduler.listening):
            self.ask(line_id)

    @rule(data=st.data())
    def a_line_ends(self, data: st.DataObject) -> None:
        if line_id := self.some(data, self.scheduler.in_flight):
            self.scheduler.remove(line_id)
            self.asked = [one for one in self.asked if one != line_id]

    @invariant()
    def no_more_takes_are_rendered_than_there_are_slots(self) -> None:
        assert len(self.scheduler.rendering) <= 3

    @invariant()
    def no_more_than_two_lines_for_each_slot_are_in_flight(self) -> None:
        assert len(self.scheduler.in_flight) <= 6

    @invariant()
    def a_suspect_is_alone(self) -> None:
        if self.suspects & self.scheduler.in_flight:
            assert len(self.scheduler.in_flight) == 1
            assert not self.scheduler.has_room()

    @invariant()
    def every_line_is_in_one_stage(self) -> None:
        waiting = [line_id for line_id, _ in self.scheduler.waiting]
        stages = [*waiting, *self.scheduler.rendering, *self.scheduler.listening]
        assert sorted(stages) == sorted(self.scheduler.in_flight)
        assert waiting == self.asked

    @invariant()
    def the_engine_rests_only_for_lines_that_it_keeps_out(self) -> None:
        if self.scheduler.rendering and not self.scheduler.should_step():
            assert not self.scheduler.has_room()
            assert len(self.scheduler.rendering) < 3
            assert self.scheduler.listening

    @invariant()
    def something_can_always_happen(self) -> None:
        if not self.scheduler.in_flight:
            assert self.scheduler.has_room()


TestAnyOrder = AnyOrder.TestCase


@given(slots=st.integers(1, 20), lines=st.integers(1, 60))
def test_every_slot_is_filled_while_lines_wait(slots: int, lines: int) -> None:
    scheduler = Scheduler(slots)
    assert len(started(scheduler, *[f"line {number}" for number in range(lines)])) == min(slots, lines)
