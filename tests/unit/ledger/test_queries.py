from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from tests.support.documents import batch_heads, batch_totals, batch_view
from tests.support.ledgers import Clock, add_batch, begin, fail, line_id, planned, render
from vvbatch.ledger import CachedTake, Ledger, NewBatch
from vvbatch.ledger.batches import cancel_lines, record_batch, retry_lines, set_batch_state, settle_batch
from vvbatch.ledger.listings import Filter, list_lines
from vvbatch.ledger.queries import UnknownBatch, find_batch, line_ids, open_batches

KEYS = ["batch", "script", "state", "counts", "out", "eta_s", "lines", "kind", "created_at", "ended_at"]
TWO_PROFILES = [("x" * 100, "draft"), ("x" * 100, "draft"), ("y" * 100, "7b"), ("y" * 200, "7b")]
COUNTS = ["total", "done", "cached", "failed", "queued", "rendering", "cancelled"]


def test_a_view_has_the_keys_that_others_rely_on_in_their_order(ledger: Ledger) -> None:
    add_batch(ledger, "book-1", ["One.", "Two."])
    view = batch_view(ledger, "book-1")
    assert list(view) == KEYS
    assert list(view["counts"]) == COUNTS
    assert view["counts"] == dict.fromkeys(COUNTS, 0) | {"total": 2, "queued": 2}
    assert view["lines"][0] == {
        "id": "l1", "state": "queued", "profile": "draft", "path": None, "sha256": None, "take": None, "score": None,
        "chosen": None, "tried": [], "qc": [], "error": None, "trouble": None, "troubles": {},
        "role": "line", "part_of": None, "part": None, "script_line": None, "script_column": None,
    }  # fmt: skip


def test_a_batch_is_queued_until_something_begins_and_rendering_from_then_on(ledger: Ledger) -> None:
    add_batch(ledger, "b", ["One.", "Two."])
    assert batch_view(ledger, "b")["state"] == "queued"
    claim, _ = begin(ledger, "b", 1)
    assert batch_view(ledger, "b")["state"] == "rendering"
    assert ledger.put_back(claim, (), rolls=0)
    assert batch_view(ledger, "b")["state"] == "rendering"  # a take of it was made


def test_a_kept_take_shows_its_file_and_its_checks(ledger: Ledger, clock: Clock) -> None:
    add_batch(ledger, "b", ["One.", "Two."])
    take = render(ledger, "b", 2, clock)
    line = batch_view(ledger, "b")["lines"][1]
    assert (line["state"], line["take"], line["path"]) == ("done", take, "/out/a.wav")
    assert line["qc"][1] == {"name": "dc_offset", "value": 0.001, "limit": 0.01, "ok": True, "weight": 1.0}
    assert [check["name"] for check in line["qc"]] == ["finite", "dc_offset", "peak_dbfs"]


def test_a_failed_line_shows_its_last_take_and_the_reason(ledger: Ledger) -> None:
    add_batch(ledger, "b", ["One."])
    fail(ledger, "b", 1, "first")
    retry_lines(ledger, "b")
    last = fail(ledger, "b", 1, "silence 1.0 (limit 0.8)")
    line = batch_view(ledger, "b")["lines"][0]
    assert (line["take"], line["error"]) == (last, "silence 1.0 (limit 0.8)")
    assert line["qc"] == [{"name": "silence", "value": 1.0, "limit": 0.8, "ok": False, "weight": 1.0}]


def test_a_cached_line_shows_the_checks_of_the_take_that_it_was_made_of(ledger: Ledger, clock: Clock) -> None:
    add_batch(ledger, "b", ["One."])
    take = render(ledger, "b", 1, clock)
    again = NewBatch("c", "t", "c.yaml", "f", None, "normal", "/out")
    record_batch(ledger, again, [planned(1, "One.", "b")])
    claim = ledger.claim(line_id("c", 1), "w1")
    assert claim is not None
    assert claim.cached == CachedTake(take, "/out/a.wav", "a" * 64)
    assert ledger.keep_cached(claim, claim.cached, "/out/c.wav", lambda: None)
    view = batch_view(ledger, "c")
    assert view["lines"][0]["state"] == "cached"
    assert len(view["lines"][0]["qc"]) == 3
    assert (view["lines"][0]["take"], view["lines"][0]["path"]) == (take, "/out/c.wav")


def test_eta_follows_the_characters_left_at_the_batchs_own_pace(ledger: Ledger, clock: Clock) -> None:
    add_batch(ledger, "b", ["x" * 100, "y" * 300, "z" * 50])
    assert batch_view(ledger, "b")["eta_s"] is None
    render(ledger, "b", 1, clock, took_s=10.0)  # 10 characters a second
    assert batch_view(ledger, "b")["eta_s"] == 35
    begin(ledger, "b", 2)
    assert batch_view(ledger, "b")["eta_s"] == 35  # what is being rendered is not done yet


def test_eta_of_a_long_line_goes_down_while_it_is_rendered(ledger: Ledger, clock: Clock) -> None:
    add_batch(ledger, "b", ["x" * 100, "y" * 900])
    begin(ledger, "b", 2)
    render(ledger, "b", 1, clock, took_s=10.0)
    assert batch_view(ledger, "b")["eta_s"] == 80, "of 90 s, 10 s are over"
    clock.advance(50)
    assert batch_view(ledger, "b")["eta_s"] == 30
    clock.advance(500)
    assert batch_view(ledger, "b")["eta_s"] == 1, "0 is for a batch that has ended"


def test_eta_is_that_of_the_slower_profile_and_one_without_a_take_is_as_fast_as_the_other(
    ledger: Ledger, clock: Clock
) -> None:
    lines = [planned(n, text, "b", profile) for n, (text, profile) in enumerate(TWO_PROFILES, start=1)]
    record_batch(ledger, NewBatch("b", "t", "b.yaml", "f", None, "normal", "/out"), lines)
    render(ledger, "b", 1, clock, took_s=10.0)
    assert batch_view(ledger, "b")["eta_s"] == 30  # 300 characters of the other profile, 100 of this one
    render(ledger, "b", 3, clock, took_s=40.0)
    assert batch_view(ledger, "b")["eta_s"] == 80  # 200 characters at 2.5 a second


def test_time_in_which_no_one_worked_does_not_slow_the_pace(ledger: Ledger, clock: Clock) -> None:
    add_batch(ledger, "b", ["x" * 100, "y" * 100, "z" * 100])
    render(ledger, "b", 1, clock, took_s=10.0)
    clock.advance(8 * 3600)
    render(ledger, "b", 2, clock, took_s=10.0)
    assert batch_view(ledger, "b")["eta_s"] == 10


def test_lines_rendered_side_by_side_share_their_time(ledger: Ledger, clock: Clock) -> None:
    add_batch(ledger, "b", ["x" * 100] * 4)
    from tests.support.ledgers import good

    opened = [begin(ledger, "b", number) for number in (1, 2)]
    clock.advance(10)
    for claim, take in opened:
        ledger.keep_take(claim, take, good(wall_s=10), lambda: None)
    assert batch_view(ledger, "b")["eta_s"] == 10  # 200 characters took 10 s
    assert batch_totals(ledger, "b") == {
        "takes": 2, "audio_s": 8.0, "rendered_s": 8.0, "wall_s": 10.0, "speed": 0.8, "failed": 0,
        "began_at": "2026-03-01T22:00:00.000000Z",
    }  # fmt: skip


def test_a_paused_batch_has_no_eta_and_an_ended_one_has_zero(ledger: Ledger, clock: Clock) -> None:
    add_batch(ledger, "b", ["x" * 100, "y" * 100])
    render(ledger, "b", 1, clock)
    set_batch_state(ledger, "b", "paused", only_from=("open",))
    view = batch_view(ledger, "b")
    assert (view["state"], view["eta_s"]) == ("paused", None)
    set_batch_state(ledger, "b", "open", only_from=("paused",))
    render(ledger, "b", 2, clock)
    settle_batch(ledger, "b")
    view = batch_view(ledger, "b")
    assert (view["state"], view["eta_s"]) == ("done", 0)


@pytest.mark.parametrize(
    ("end", "state"),
    [
        (lambda ledger: render(ledger, "b", 2), "done"),
        (lambda ledger: fail(ledger, "b", 2), "failed"),
        (lambda ledger: cancel_lines(ledger, "b"), "cancelled"),
    ],
)
def test_a_batch_with_nothing_left_to_do_shows_its_final_state_before_it_is_recorded(
    ledger: Ledger, clock: Clock, end: Callable[[Ledger], object], state: str
) -> None:
    add_batch(ledger, "b", ["One.", "Two."])
    render(ledger, "b", 1, clock)
    end(ledger)
    view = batch_view(ledger, "b")
    assert (view["state"], view["eta_s"]) == (state, 0)
    assert settle_batch(ledger, "b") == state
    assert batch_view(ledger, "b")["state"] == state


def test_a_batch_is_found_by_a_unique_beginning_and_the_newest_by_the_word_last(ledger: Ledger, clock: Clock) -> None:
    for name in ("alpha-1", "alpha-2", "beta-1"):
        add_batch(ledger, name, ["One."])
        clock.advance(1)
    assert find_batch(ledger, "alpha-1") == "alpha-1"
    assert find_batch(ledger, "b") == "beta-1"
    assert find_batch(ledger, "last") == "beta-1"
    assert batch_view(ledger, "be")["batch"] == "beta-1"


@pytest.mark.parametrize("word", ["alpha", "a"])
def test_an_ambiguous_beginning_names_the_batches_it_could_be(ledger: Ledger, word: str) -> None:
    for name in ("alpha-1", "alpha-2"):
        add_batch(ledger, name, ["One."])
    with pytest.raises(UnknownBatch, match=r"alpha-1, alpha-2|alpha-2, alpha-1"):
        find_batch(ledger, word)


def test_a_whole_id_wins_over_longer_ones_that_begin_with_it(ledger: Ledger, clock: Clock) -> None:
    add_batch(ledger, "a", ["One."])
    for number in range(12):
        clock.advance(1)
        add_batch(ledger, f"a{number}", ["One."])
    assert find_batch(ledger, "a") == "a"


def test_an_unknown_batch_names_near_ones_and_the_newest(ledger: Ledger, clock: Clock) -> None:
    with pytest.raises(UnknownBatch, match="no batch yet"):
        find_batch(ledger, "last")
    for name in ("lighthouse-1a2b", "moon-3c4d"):
        add_batch(ledger, name, ["One."])
        clock.advance(1)
    with pytest.raises(
        UnknownBatch, match=r"did you mean lighthouse-1a2b\?; the newest are moon-3c4d, lighthouse-1a2b"
    ):
        find_batch(ledger, "lighthuose-1a2b")


@pytest.mark.parametrize("word", ["", "%", "_", "LIGHT", "li%"])
def test_a_batch_is_not_found_by_wildcards_or_another_case(ledger: Ledger, word: str) -> None:
    add_batch(ledger, "lighthouse-1", ["One."])
    with pytest.raises(UnknownBatch):
        find_batch(ledger, word)


def test_heads_come_in_the_order_asked_for_and_only_open_batches_are_open(ledger: Ledger, clock: Clock) -> None:
    for name in ("a", "b"):
        add_batch(ledger, name, ["One."])
    render(ledger, "a", 1, clock)
    settle_batch(ledger, "a")
    assert [head["batch"] for head in batch_heads(ledger, ["b", "a"])] == ["b", "a"]
    assert open_batches(ledger, ["a", "b"]) == ["b"]
    assert line_ids(ledger, "b") == ["l1"]
    assert line_id("b", 1) == "b-00001"


def test_a_line_in_parts_is_named_by_its_own_id_or_that_of_a_part(ledger: Ledger) -> None:
    parts = [replace(planned(n, "One.", "b"), line=f"intro~{n}", part_of="intro", part=n) for n in (1, 2, 3)]
    other = replace(planned(4, "Two.", "b"), line="intro-2")
    record_batch(ledger, NewBatch("b", "T", "b.yaml", "f", None, None, "/out"), [*parts, other])
    assert line_ids(ledger, "b") == ["intro", "intro~1", "intro~2", "intro~3", "intro-2"]
    assert cancel_lines(ledger, "b", "intro~2") == [line_id("b", 2)]
    assert cancel_lines(ledger, "b", "intro") == [line_id("b", 1), line_id("b", 3)]
    assert retry_lines(ledger, "b", "intro") == 3
    assert batch_view(ledger, "b")["counts"]["queued"] == 4
    assert [row.line for row in list_lines(ledger, Filter(batch="b", line="intro"))] == [
        "intro~1",
        "intro~2",
        "intro~3",
    ]


def test_a_batch_that_waits_has_the_pace_of_its_profile_after_what_is_queued_before_it(
    ledger: Ledger, clock: Clock
) -> None:
    add_batch(ledger, "old", ["x" * 100])
    assert batch_view(ledger, "old")["eta_s"] is None  # nothing was rendered yet
    render(ledger, "old", 1, clock, took_s=10.0)
    settle_batch(ledger, "old")
    for batch, lines in (("first", 2), ("second", 1), ("held", 5)):
        clock.advance(1)
        add_batch(ledger, batch, ["y" * 100] * lines)
    set_batch_state(ledger, "held", "paused", only_from=("open",))
    clock.advance(1)
    add_batch(ledger, "urgent", ["z" * 100])
    with ledger.engine.begin() as connection:
        connection.exec_driver_sql("UPDATE batches SET priority = 'high' WHERE id = 'urgent'")
    etas = {batch: batch_view(ledger, batch)["eta_s"] for batch in ("urgent", "first", "second", "held")}
    assert etas == {"urgent": 10, "first": 30, "second": 40, "held": None}
