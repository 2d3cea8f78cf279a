"""What a poll of `vvbatch top` reads, and what it costs."""

from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy import event

from tests.support.large_ledger import large_ledger
from tests.support.ledgers import Clock, add_batch, begin, fail, good, open_ledger, planned, render
from vvbatch.ledger import Ledger, NewBatch
from vvbatch.ledger.batches import cancel_lines, record_batch, retry_lines, set_batch_state
from vvbatch.ledger.queries import batch_heads, seconds
from vvbatch.ledger.queues import pause_queue
from vvbatch.ledger.recovery import worker_started
from vvbatch.ledger.schema import takes
from vvbatch.top import cells
from vvbatch.top.page import Wanted
from vvbatch.top.reader import Reader
from vvbatch.top.slices import LINES_A_POLL, SIZE, Key, Slices, read_groups
from vvbatch.top.snapshot import Batch, Snapshot


def of(seen: Snapshot, name: str) -> Batch:
    return next(batch for batch in seen.batches if batch.name == name)


def settled(reader: Reader) -> Snapshot:
    """The first poll after which all lines are counted."""
    while reader.poll().counting:
        pass
    return reader.last


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def ledger(tmp_path: Path, clock: Clock) -> Ledger:
    ledger = open_ledger(tmp_path, clock)
    add_batch(ledger, "saga", [f"Line {n} of the saga." for n in range(1, 7)])
    for number in (1, 2):
        clock.advance(1)
        render(ledger, "saga", number, clock)
    fail(ledger, "saga", 3)
    begin(ledger, "saga", 4)
    return ledger


def test_a_poll_counts_lines_and_expects_the_end_as_status_does(ledger: Ledger) -> None:
    seen = Reader(ledger).poll()
    batch, head = of(seen, "saga"), batch_heads(ledger, ["saga"])[0]
    assert batch.counts == {name: count for name, count in head.counts.items() if count and name != "total"}
    assert (batch.state, batch.counted, batch.total, batch.ready, batch.failed, batch.left) == (
        *("rendering", True, 6, 2, 1, 3),
    )
    assert batch.ends_at is not None and head.eta_s
    assert batch.ends_at - seconds(ledger.now()) == head.eta_s


def test_a_poll_reads_workers_with_slots_and_their_own_speed(ledger: Ledger) -> None:
    worker_started(ledger, "w1", "draft", "here", 1, {"device": "cpu", "dtype": "float32", "slots": 4})
    worker_started(ledger, "w2", "draft", "there", 1, {"device": "cuda"})
    first, second = Reader(ledger).poll().workers
    assert (first.name, first.device, first.slots, first.rendering, second.slots) == ("w1", "cpu", 4, 1, None)
    # Two takes of 4 s of audio in 2 s each; the failed one took no time.
    assert first.speed == pytest.approx(2.0)
    assert (second.speed, second.takes, second.memory_bytes) == (None, 0, None)


def test_queues_have_what_waits_by_priority_and_what_is_held(ledger: Ledger, clock: Clock) -> None:
    for name, priority, count in (("urgent", "high", 3), ("later", "low", 2), ("held", "normal", 5)):
        new = NewBatch(name, name, "x.yaml", name, "draft", priority, "/out")
        record_batch(ledger, new, [planned(n, "Text.", name) for n in range(1, count + 1)])
    set_batch_state(ledger, "held", "paused", only_from=("open",))
    pause_queue(ledger, "1.5b", "paused by hand")
    paused, draft = settled(Reader(ledger)).queues
    assert (draft.profile, draft.waiting) == ("draft", {"high": 3, "normal": 2, "low": 2})
    assert (draft.rendering, draft.held, draft.paused) == (1, 5, None)
    assert (paused.profile, paused.total, paused.paused) == ("1.5b", 0, "paused by hand")


def test_takes_and_failures_are_the_newest_first(ledger: Ledger, clock: Clock) -> None:
    reader = Reader(ledger)
    seen = reader.poll()
    assert [take.line for take in seen.takes] == ["l3", "l2", "l1"]
    assert [(failure.line, failure.error) for failure in seen.failures] == [("l3", "silence 1.0 (limit 0.8)")]
    clock.advance(5)
    fail(ledger, "saga", 5, "too short")
    seen = reader.poll()
    assert [take.line for take in seen.takes] == ["l5", "l3", "l2", "l1"]
    assert [failure.line for failure in seen.failures] == ["l5", "l3"]
    retry_lines(ledger, "saga", "l5")
    assert [failure.line for failure in reader.poll().failures] == ["l3"]


def test_a_take_that_is_committed_late_is_not_missed(ledger: Ledger, clock: Clock) -> None:
    reader = Reader(ledger)
    reader.poll()
    claim, take = begin(ledger, "saga", 5)
    clock.advance(-2)  # it ended before the newest that is known
    assert ledger.keep_take(claim, take, good(), lambda: None)
    assert {row.line for row in reader.poll().takes} == {"l1", "l2", "l3", "l5"}


def test_a_batch_that_ends_and_is_retried_is_counted_again(ledger: Ledger) -> None:
    from vvbatch.batch.finish import end_if_complete

    reader = Reader(ledger)
    reader.poll()
    cancel_lines(ledger, "saga")
    end_if_complete(ledger, "saga")
    assert (of(reader.poll(), "saga").state, of(reader.last, "saga").left) == ("failed", 0)
    assert of(reader.last, "saga").counts == {"done": 2, "failed": 1, "cancelled": 3}
    retry_lines(ledger, "saga")
    assert (of(reader.poll(), "saga").state, of(reader.last, "saga").counts["queued"]) == ("rendering", 4)


def test_pages_are_sorted_and_filtered(ledger: Ledger) -> None:
    def lines(**wanted: object) -> list[str]:
        page = Reader(ledger).poll(Wanted("saga", **wanted)).page  # type: ignore[arg-type]
        return [line.name for line in page.lines]

    assert lines() == ["l1", "l2", "l3", "l4", "l5", "l6"]
    assert lines(order="state") == ["l3", "l4", "l5", "l6", "l1", "l2"]
    assert lines(words="failed") == ["l3"]
    assert lines(words="LINE 5") == ["l5"]
    assert lines(words="100%") == []
    assert lines(words="silence") == ["l3"]
    assert lines(first=4) == ["l5", "l6"]


def test_a_page_has_text_score_and_seed_of_the_kept_or_the_last_take(ledger: Ledger) -> None:
    with ledger.transaction() as connection:
        connection.execute(takes.update().where(takes.c.state == "done").values(score=0.75))
    done, _, failed, _, queued, _ = Reader(ledger).poll(Wanted("saga")).page.lines
    assert (done.text, done.seed, done.path, done.score) == ("Line 1 of the saga.", 5, "/out/a.wav", 0.75)
    assert (failed.seed, failed.error, failed.path) == (5, "silence 1.0 (limit 0.8)", None)
    assert (queued.seed, queued.score, queued.take) == (None, None, None)


def test_a_ledger_that_is_moved_away_is_named_and_read_again_when_it_is_back(ledger: Ledger, tmp_path: Path) -> None:
    reader = Reader(ledger)
    before = reader.poll()
    file, elsewhere = tmp_path / "ledger.sqlite3", tmp_path / "elsewhere"
    file.rename(elsewhere)
    gone = reader.poll()
    assert gone.error is not None and str(file) in gone.error and "No such file" in gone.error
    assert gone.batches == before.batches
    assert not file.exists()
    elsewhere.rename(file)
    render(ledger, "saga", 5)
    back = reader.poll()
    assert (back.error, of(back, "saga").ready) == (None, 3)


def test_a_ledger_that_cannot_be_read_is_an_error_in_the_snapshot(ledger: Ledger) -> None:
    reader = Reader(ledger)
    before = reader.poll()
    with ledger.transaction() as connection:
        connection.exec_driver_sql("ALTER TABLE takes RENAME TO elsewhere")
    broken = reader.poll()
    assert (broken.error, broken.takes) == ("no such table: takes", before.takes)
    with ledger.transaction() as connection:
        connection.exec_driver_sql("ALTER TABLE elsewhere RENAME TO takes")
    assert reader.poll().error is None


def test_slices_of_a_large_batch_are_read_in_turn_until_all_are_counted(tmp_path: Path) -> None:
    ledger = open_ledger(tmp_path)
    add_batch(ledger, "long", ["A line."] * (3 * SIZE + 10))
    slices, polls = Slices(), 0
    with ledger.engine.connect() as connection:
        while slices.counting or not polls:
            slices.read(connection, {"long": None}, [], most=SIZE)
            polls += 1
    assert polls == 4
    assert slices.known["long"].counts() == {"queued": 3 * SIZE + 10}
    cancel_lines(ledger, "long", f"l{2 * SIZE + 1}")
    with ledger.engine.connect() as connection:
        slices.read(connection, {"long": None}, [Key("long", 2)], most=SIZE)
    assert slices.known["long"].counts()["cancelled"] == 1


def test_many_small_batches_are_read_with_one_query(ledger: Ledger) -> None:
    for number in range(20):
        add_batch(ledger, f"b{number}", ["One.", "Two."])
    ran: list[str] = []
    event.listen(ledger.engine, "before_cursor_execute", lambda *args: ran.append(args[2]))
    with ledger.engine.connect() as connection:
        found = read_groups(connection, [Key(f"b{number}", 0) for number in range(20)])
    assert len([sql for sql in ran if sql.startswith("SELECT")]) == 1
    assert {group.size for groups in found.values() for group in groups.values()} == {2}


@pytest.mark.slow
def test_a_poll_reads_as_few_rows_of_a_large_ledger_as_of_a_small_one(tmp_path: Path) -> None:
    """SQLite counts its steps. A loop over the lines of a poll takes about 20 steps a line; one over all of them
    would take a million."""
    ledger = large_ledger(tmp_path, open_lines=20_000, ended_batches=50)
    steps = 0

    def count() -> int:
        nonlocal steps
        steps += 100
        return 0

    event.listen(ledger.engine, "checkout", lambda raw, *_: raw.set_progress_handler(count, 100))
    ledger.engine.dispose()
    reader, most, polls = Reader(ledger), 0, 0
    reader.poll()
    while polls < 40 or reader.last.counting:
        steps = 0
        reader.poll(Wanted("saga") if polls % 2 else None)
        most, polls = max(most, steps), polls + 1
    assert of(reader.last, "saga").counts == {"done": 9500, "failed": 500, "rendering": 32, "queued": 9968}
    assert 0 < most < LINES_A_POLL * 60


def test_an_id_without_room_keeps_the_end_that_tells_it_from_others() -> None:
    assert cells.batch_id("vol-a-1a2b3c4d", 14).plain == "vol-a-1a2b3c4d"
    assert cells.batch_id("the-lighthouse-1a2b3c4d", 14).plain == "the-…-1a2b3c4d"
    assert all(cells.batch_id("the-lighthouse-1a2b3c4d", width).cell_len <= width for width in range(11, 24))
