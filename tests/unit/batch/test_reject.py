"""Lines whose takes are rejected: what they keep meanwhile, which seeds come next, what is refused."""

from __future__ import annotations

import pytest

from jobs.render import next_seed
from tests.support.house import TEXTS, House, bytes_of
from tests.support.ledgers import FACTS
from vvbatch import fault_points
from vvbatch.batch.by_ear import NothingToReject
from vvbatch.batch.control import UnknownLine
from vvbatch.batch.delete import delete, examine
from vvbatch.batch.finish import end_if_complete
from vvbatch.batch.plan import seed_of_take
from vvbatch.ledger import Outcome
from vvbatch.ledger.batches import cancel_lines, retry_lines
from vvbatch.ledger.by_ear import SeedTried
from vvbatch.ledger.deletion import BatchInUse
from vvbatch.ledger.records import FirstTake
from vvbatch.ledger.schema import lines, takes
from vvbatch.ledger.states import LineState, TakeState


def test_a_rejected_line_keeps_its_file_until_another_take_with_the_next_seed_replaces_it(house: House) -> None:
    house.submit("b", *TEXTS)
    house.render()
    assert house.state("b") == "done"
    old = house.line("b")
    done = house.reject("b", "l1", why="wrong stress")
    seed = seed_of_take(1000 + sum(map(ord, TEXTS[0])), 1)
    assert (done.state, done.queued, done.lines[0].take, done.lines[0].seed) == ("rendering", 1, old.take_id, seed)
    waits = house.line("b")
    assert (waits.state, waits.path, waits.sha256, bytes_of(waits)) == ("queued", old.path, old.sha256, old.sha256)
    rejected = house.take(old.take_id)
    assert (rejected.state, rejected.rejected_by, rejected.rejected_why) == ("rejected", "ann", "wrong stress")
    assert rejected.rejected_at is not None
    house.is_whole()
    house.render()
    new = house.line("b")
    assert (new.state, new.path, house.state("b")) == ("done", old.path, "done")
    assert new.sha256 == bytes_of(new) != old.sha256
    assert house.take(new.take_id).seed == seed
    assert [take["take"] for take in new.tried] == [old.take_id]
    assert bytes_of(house.take(old.take_id)) == old.sha256, "the rejected take is still there"
    house.is_whole()


def test_the_other_lines_of_the_batch_are_not_touched(house: House) -> None:
    house.submit("b", *TEXTS)
    house.render()
    before = [house.line("b", number) for number in (2, 3)]
    house.reject("b", "l1")
    house.render()
    assert [house.line("b", number) for number in (2, 3)] == before


def test_a_line_served_from_another_batch_is_rendered_and_the_other_batch_keeps_its_file(house: House) -> None:
    house.submit("a", TEXTS[0])
    house.render()
    house.submit("b", TEXTS[0])
    before = house.line("a")
    assert (house.line("b").state, house.state("b")) == ("cached", "done")
    done = house.reject("b", "1")
    assert done.lines[0].take == before.take_id
    house.render()
    assert (house.line("b").state, house.take(house.line("b").take_id).batch_id) == ("done", "b")
    assert house.line("b").sha256 != before.sha256
    assert house.line("a") == before and bytes_of(before) == before.sha256
    house.is_whole()


def test_a_new_batch_is_served_by_the_take_that_replaced_a_rejected_one(house: House) -> None:
    house.submit("a", TEXTS[0])
    house.render()
    house.reject("a", "l1")
    house.render()
    house.submit("b", TEXTS[0])
    assert (house.line("b").state, house.line("b").take_id) == ("cached", house.line("a").take_id)


def test_a_new_batch_is_not_rendered_with_a_rejected_seed_either(house: House) -> None:
    house.submit("a", TEXTS[0])
    house.render()
    first = house.line("a")
    house.reject("a", "l1")
    house.submit("b", TEXTS[0])
    house.render("b")
    assert house.line("b").state == "done"
    assert house.line("b").sha256 != first.sha256


def test_an_equal_take_of_another_batch_with_the_rejected_seed_serves_no_line(house: House) -> None:
    """Two batches that were rendered at once have two takes that sound the same."""
    for batch in ("a", "b"):
        record_batch_only(house, batch)
    house.render_line("a-00001")
    with house.ledger.engine.begin() as connection:  # as if both had been claimed before either was done
        connection.execute(takes.update().values(key="hidden"))
    house.render_line("b-00001")
    with house.ledger.engine.begin() as connection:
        connection.execute(takes.update().values(key=f"key of {TEXTS[0]}"))
    assert house.line("a").sha256 == house.line("b").sha256
    house.reject("a", "l1")
    house.submit("c", TEXTS[0])
    assert house.line("c").state == "queued"
    house.render("c")
    assert house.line("c").sha256 != house.line("b").sha256


def test_a_seed_that_is_rejected_elsewhere_while_a_line_is_rendered_with_it_is_not_kept(house: House) -> None:
    record_batch_only(house, "a")
    record_batch_only(house, "b")

    def meanwhile() -> None:
        house.render_line("a-00001")
        house.reject("a", "l1")

    assert house.render_line("b-00001", meanwhile).how == "queued"
    assert house.line("b").path is None
    house.render("b")
    assert (house.line("b").state, house.line("b").sha256 != house.line("a").sha256) == ("done", True)
    house.is_whole()


def test_a_take_that_is_rejected_before_it_serves_another_line_leaves_its_seed_unused_there(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    record_batch_only(house, "a")
    record_batch_only(house, "b")
    house.render_line("a-00001")

    def at(point: str) -> None:
        if point == "render.claimed":
            house.reject("a", "l1")

    with monkeypatch.context() as patched:
        patched.setattr(fault_points, "point", at)
        assert house.render_line("b-00001").how == "done"
    assert house.line("b").sha256 != house.line("a").sha256
    assert len(house.takes_of("b")) == 1, "the rejected seed was not rendered either"


def test_a_take_that_was_recorded_and_rejected_is_not_recorded_again_from_its_note(house: House) -> None:
    """Its worker died after it had recorded the take, before it removed the note."""
    house.submit("b", TEXTS[0])
    pending = house.context.pending
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(pending, "forget", lambda note: None)
        house.render()
    house.reject("b", "l1")
    assert pending.replay(house.ledger, pending.notes(), orphaned=True) == []
    assert (house.line("b").state, list(pending.notes())) == ("queued", [])
    house.is_whole()
    house.render()
    assert [take.state for take in house.takes_of("b")] == ["rejected", "done"]


@pytest.mark.parametrize("state", ["queued", "rendering", "failed"])
def test_a_batch_whose_rejected_take_is_the_file_of_another_batch_is_not_deleted(house: House, state: str) -> None:
    house.submit("a", TEXTS[0])
    house.render()
    house.submit("b", TEXTS[0])
    house.reject("b", "l1")
    if state != "queued":
        claim = house.ledger.claim("b-00001", "w")
        assert claim
        if state == "failed":
            house.ledger.release(claim, LineState.FAILED, "bad")
            end_if_complete(house.ledger, "b")
    before = house.line("b")
    with pytest.raises(BatchInUse, match="batch a has the take of line l1 of b until that line has another"):
        delete(house.ledger, examine(house.ledger, "a"))
    assert (house.line("b"), house.state("a")) == (before, "done")
    retry_lines(house.ledger, "b")
    cancel_lines(house.ledger, "b")
    delete(house.ledger, examine(house.ledger, "a"))
    assert bytes_of(house.line("b")) == before.sha256


def record_batch_only(house: House, batch: str) -> None:
    house.submit(batch, TEXTS[0])


def test_candidates_count_as_tried(house: House) -> None:
    house.submit("b", TEXTS[0], takes=3)
    house.render()
    used = {take.seed for take in house.takes_of("b")}
    assert len(used) == 3
    done = house.reject("b", "l1")
    assert done.lines[0].seed not in used
    house.render()
    assert len({take.seed for take in house.takes_of("b")}) == 6


def test_a_seed_can_be_given_and_one_that_was_tried_is_refused(house: House) -> None:
    house.submit("b", *TEXTS[:2])
    house.render()
    with pytest.raises(SeedTried, match=f"line l1 was rendered with seed {house.takes_of('b')[0].seed} before"):
        house.reject("b", "l2", "l1", seed=house.takes_of("b")[0].seed)
    assert house.state("b") == "done" and house.line("b", 2).state == "done"
    assert house.reject("b", "l1", seed=77).lines[0].seed == 77
    house.render()
    assert house.take(house.line("b").take_id).seed == 77
    with pytest.raises(SeedTried):
        house.reject("b", "l1", seed=77)
    house.reject("b", "l1")
    house.render()
    house.submit("c", TEXTS[0])
    assert house.line("c").take_id == house.line("b").take_id


def test_a_refused_seed_leaves_no_copies_of_the_other_lines(house: House) -> None:
    house.submit("b", *TEXTS)
    house.render()
    with pytest.raises(SeedTried, match="line l3 was"):
        house.reject("b", "l1", "l2", "l3", seed=house.take(house.line("b", 3).take_id).seed)
    house.is_whole()


def stopped_once(house: House, batch: str) -> None:
    """The worker stops with two takes of the line."""
    claim = house.ledger.claim(f"{batch}-00001", "w", FirstTake(FACTS, next_seed))
    assert claim
    second = house.ledger.open_take(claim, next_seed(claim, 1), FACTS)
    assert second
    stopped = Outcome(TakeState.CANCELLED, error="the worker stopped")
    house.ledger.put_back(second, [(claim.take, stopped), (second.take, stopped)], rolls=2)


def test_seeds_that_were_tried_after_cancelled_ones_are_not_tried_again_for_a_line_that_they_served(
    house: House,
) -> None:
    house.submit("a", TEXTS[0], takes=4)
    stopped_once(house, "a")
    house.render()
    house.submit("b", TEXTS[0], takes=4)
    assert house.line("b").state == "cached"
    used = {take.seed for take in house.takes_of("a")}
    assert len(used) == 6
    assert house.reject("b", "l1").lines[0].seed not in used


def test_a_seed_that_was_cancelled_can_be_given(house: House) -> None:
    house.submit("b", TEXTS[0], takes=4)
    stopped_once(house, "b")
    house.render()
    first = house.takes_of("b")[0].seed
    assert house.reject("b", "l1", seed=first).lines[0].seed == first


def test_a_line_that_waits_already_is_queued_once_and_may_get_another_seed(house: House) -> None:
    house.submit("b", TEXTS[0])
    house.render()
    first = house.reject("b", "l1", why="too slow")
    again = house.reject("b", "l1", why="much too slow", seed=5)
    assert (again.lines[0].take, again.lines[0].seed) == (None, 5)
    assert house.take(first.lines[0].take or "").rejected_why == "too slow"
    house.render()
    assert [take.seed for take in house.takes_of("b")][1:] == [5]


@pytest.mark.parametrize(
    ("word", "found"),
    [
        ("intro", ["intro~1", "intro~2"]),
        ("intro~2", ["intro~2"]),
        ("in", ["intro~1", "intro~2"]),
        ("3", ["storm"]),
        ("4", ["4"]),
        ("sto", ["storm"]),
    ],
)
def test_a_line_is_named_by_its_id_its_number_or_the_beginning_of_its_id(
    house: House, word: str, found: list[str]
) -> None:
    house.submit("b", "One.", "Two.", "Three and a bit.", "Four and some.", "Five and more.")
    names = [("intro~1", "intro"), ("intro~2", "intro"), ("storm", None), ("x", None), ("4", None)]
    with house.ledger.engine.begin() as connection:
        for number, (name, whole) in enumerate(names, start=1):
            mine = lines.c.number == number
            connection.execute(lines.update().where(mine).values(line=name, part_of=whole))
    house.render()
    assert [line.id for line in house.reject("b", word).lines] == found


def test_a_chapter_is_rejected_as_a_whole(house: House) -> None:
    house.submit("b", *TEXTS)
    house.render()
    assert [line.id for line in house.reject("b", chapter=1).lines] == ["l1", "l2"]


def test_what_cannot_be_rejected_is_refused_by_name_and_nothing_changes(house: House) -> None:
    house.submit("b", *TEXTS)
    house.render_line("b-00001")
    with pytest.raises(UnknownLine, match="has no line 'l9'"):
        house.reject("b", "l1", "l9")
    with pytest.raises(UnknownLine, match="'l' begins several lines of b: l1, l2, l3"):
        house.reject("b", "l")
    with pytest.raises(UnknownLine, match="no chapter 7: it has 1 to 2"):
        house.reject("b", chapter=7)
    with pytest.raises(NothingToReject, match="line l2 is queued and has no take"):
        house.reject("b", "l1", "l2")
    assert house.line("b").state == "done"


def test_cancelling_a_line_that_was_rejected_leaves_it_its_old_take(house: House) -> None:
    house.submit("a", TEXTS[0])
    house.render()
    house.submit("b", *TEXTS[:2])
    house.render()
    house.reject("b", "l1", "l2")
    cancel_lines(house.ledger, "b")
    end_if_complete(house.ledger, "b")
    assert [house.line("b", number).state for number in (1, 2)] == ["cached", "done"]
    assert house.state("b") == "done"
    house.is_whole()


def test_a_line_whose_next_takes_all_fail_keeps_its_file_and_is_retried_with_new_seeds(house: House) -> None:
    house.submit("b", TEXTS[0])
    house.render()
    old = house.line("b")
    house.reject("b", "l1")
    claim = house.ledger.claim("b-00001", "w")
    assert claim
    house.ledger.release(claim, LineState.FAILED, "bad")
    end_if_complete(house.ledger, "b")
    failed = house.line("b")
    assert (failed.state, failed.path, bytes_of(failed)) == ("failed", old.path, old.sha256)
    retry_lines(house.ledger, "b")
    house.render()
    assert house.line("b").state == "done" and house.line("b").sha256 != old.sha256
