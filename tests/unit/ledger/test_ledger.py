from __future__ import annotations

from tests.support.documents import batch_view
from tests.support.ledgers import Clock, add_batch, begin, fail, good, line_id, planned, render
from vvbatch.ledger import Ledger, NewBatch
from vvbatch.ledger.batches import record_batch, retry_lines, set_batch_state, settle_batch
from vvbatch.ledger.queries import cached_takes
from vvbatch.ledger.recovery import abandon
from vvbatch.profiles import Retries


def again(ledger: Ledger, batch: str, of: str) -> None:
    """A batch with the same line, and so the same key, as the first line of another."""
    new = NewBatch(batch, "t", "s.yaml", f"fingerprint {batch}", None, "normal", "/out")
    record_batch(ledger, new, [planned(1, "One.", of)])


def test_retrying_lines_of_a_paused_batch_leaves_it_paused(ledger: Ledger) -> None:
    add_batch(ledger, "b", ["One.", "Two."])
    fail(ledger, "b", 1)
    set_batch_state(ledger, "b", "paused", only_from=("open",))
    assert retry_lines(ledger, "b") == 1
    assert batch_view(ledger, "b")["state"] == "paused"
    assert ledger.claim(line_id("b", 1), "w1") is None


def test_retrying_lines_of_an_ended_batch_opens_it_again(ledger: Ledger) -> None:
    add_batch(ledger, "b", ["One."])
    fail(ledger, "b", 1)
    assert settle_batch(ledger, "b") == "failed"
    assert retry_lines(ledger, "b") == 1
    assert batch_view(ledger, "b")["state"] == "rendering"
    render(ledger, "b", 1)
    assert settle_batch(ledger, "b") == "done"


def test_of_several_takes_with_one_key_the_newest_serves_as_cache(ledger: Ledger, clock: Clock) -> None:
    """The older one's file may be gone: that is why it was rendered again."""
    add_batch(ledger, "b", ["One."])
    render(ledger, "b", 1, clock, path="/out/old.wav")
    for batch in ("c", "d"):
        again(ledger, batch, of="b")
    newest = render(ledger, "c", 1, clock, path="/out/new.wav")
    line = planned(1, "One.", "b")
    assert cached_takes(ledger, [line])[line.key].take_id == newest
    claim = ledger.claim(line_id("d", 1), "w1")
    assert claim is not None
    assert claim.cached is not None
    assert claim.cached.path == "/out/new.wav"


def test_a_late_result_of_a_worker_that_was_given_up_changes_nothing(ledger: Ledger) -> None:
    add_batch(ledger, "b", ["One."])
    late, take = begin(ledger, "b", 1, worker="slow")
    assert abandon(ledger, "slow", {"draft": Retries()}) == [(line_id("b", 1), "b")]
    published: list[str] = []
    kept = render(ledger, "b", 1)
    assert not ledger.keep_take(late, take, good(path="/out/late.wav"), lambda: published.append("late"))
    assert published == []
    line = batch_view(ledger, "b")["lines"][0]
    assert (line["take"], line["path"]) == (kept, "/out/a.wav")
    with ledger.engine.connect() as connection:
        rows = connection.exec_driver_sql(
            "SELECT state, (SELECT count(*) FROM qc_results WHERE take_id = id) FROM takes"
        )
        assert sorted(map(tuple, rows)) == [("crashed", 0), ("done", 3)]


def test_an_ended_take_is_ended_once(ledger: Ledger) -> None:
    add_batch(ledger, "b", ["One."])
    _, take = begin(ledger, "b", 1)
    ledger.close_takes([(take, good())])
    ledger.close_takes([(take, good())])
