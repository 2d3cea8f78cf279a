"""Takes that are preferred: rejected ones, candidates, and what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.house import TEXTS, House, bytes_of
from vvbatch.batch.by_ear import NotPreferable
from vvbatch.errors import InputError
from vvbatch.ledger.recovery import reopen
from vvbatch.ledger.schema import takes


def test_a_rejected_take_is_preferred_again_and_its_rejection_taken_back(house: House) -> None:
    house.submit("b", TEXTS[0])
    house.render()
    first = house.line("b")
    house.reject("b", "l1", why="hm")
    house.render()
    second = house.line("b")
    done = house.prefer(first.take_id[:10])
    assert (done.take, done.before, done.taken_back, done.state) == (first.take_id, second.take_id, True, "done")
    now = house.line("b")
    assert (now.state, now.take_id, now.path, bytes_of(now)) == ("done", first.take_id, first.path, first.sha256)
    old, other = house.take(first.take_id), house.take(second.take_id)
    assert (old.state, old.rejected_why, old.chosen) == ("done", None, "preferred by ann")
    assert (other.state, other.chosen) == ("superseded", f"not kept: ann preferred {first.take_id}")
    house.is_whole()
    house.prefer(second.take_id)
    assert house.line("b").sha256 == bytes_of(house.line("b")) == second.sha256
    house.is_whole()
    house.submit("c", TEXTS[0])
    assert house.line("c").take_id == second.take_id


def test_a_candidate_whose_audio_was_kept_is_preferred(house: House) -> None:
    house.submit("b", TEXTS[0], takes=3, keep=True)
    house.render()
    kept = house.line("b")
    other = next(take for take in house.takes_of("b") if take.id != kept.take_id)
    done = house.prefer(other.id)
    assert (done.taken_back, done.before) == (False, kept.take_id)
    assert house.line("b").sha256 == bytes_of(house.line("b")) == other.sha256
    assert {each["take"] for each in house.line("b").tried} == {take.id for take in house.takes_of("b")} - {other.id}
    manifest = (house.out / "b" / "manifest.json").read_text()
    assert other.sha256 in manifest and kept.sha256 not in manifest
    house.is_whole()
    assert house.prefer(other.id).state == "done", "again: nothing changes"


def test_a_take_is_preferred_while_its_line_waits(house: House) -> None:
    house.submit("b", TEXTS[0])
    house.render()
    first = house.line("b")
    house.reject("b", "l1")
    done = house.prefer(first.take_id)
    assert (done.before, done.taken_back, house.state("b")) == (None, True, "done")
    assert house.ledger.claim("b-00001", "w") is None
    house.is_whole()


def test_what_cannot_be_preferred_is_refused(house: House) -> None:
    house.submit("b", TEXTS[0], takes=3)
    house.render()
    lost = next(take for take in house.takes_of("b") if take.state == "superseded")
    with pytest.raises(NotPreferable, match=f"the audio of take {lost.id} is gone"):
        house.prefer(lost.id)
    with house.ledger.engine.begin() as connection:
        connection.execute(takes.update().where(takes.c.id == lost.id).values(state="failed_qc", error="silence"))
    with pytest.raises(NotPreferable, match=f"take {lost.id} is failed_qc: silence"):
        house.prefer(lost.id)
    with pytest.raises(InputError, match="unknown take 'nosuch'"):
        house.prefer("nosuch")


def test_a_lost_file_of_a_rejected_take_is_not_looked_for_after_a_repair(house: House) -> None:
    house.submit("a", TEXTS[0])
    house.render()
    house.submit("b", TEXTS[0])
    house.reject("b", "l1")  # the take of a's line
    house.render()
    Path(house.line("a").path).unlink()
    reopen(house.ledger, "a", ["l1"])
    house.render()
    assert house.line("a").take_id == house.line("b").take_id
    house.is_whole()
