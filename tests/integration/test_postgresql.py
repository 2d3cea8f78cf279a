"""The ledger on a PostgreSQL server: only where VVBATCH_TEST_POSTGRES names one that may make databases.

VVBATCH_TEST_POSTGRES=postgresql+psycopg://me@localhost/postgres pytest tests/integration/test_postgresql.py
"""

from __future__ import annotations

import io
import os
import secrets
from collections.abc import Iterator

import pytest
from sqlalchemy import create_engine, make_url

from tests.support.documents import (
    batch_totals,
    batch_view,
    failures,
    list_batches,
    list_lines,
    list_takes,
    metrics,
    overview,
)
from tests.support.ledgers import Clock, add_batch, fail, render
from tests.unit.ledger.test_database import ONE_LINE, run_writers, shape
from tests.unit.ledger.test_same_work import race
from vvbatch.ledger import Ledger, LedgerError, schema
from vvbatch.ledger.export import TABLES, export
from vvbatch.ledger.listings import Filter
from vvbatch.ledger.migrations import MIGRATIONS
from vvbatch.ledger.queues import pause_queue
from vvbatch.ledger.recovery import worker_started
from vvbatch.ledger.sql import QueryError, query

SERVER = os.environ.get("VVBATCH_TEST_POSTGRES")
pytestmark = pytest.mark.skipif(not SERVER, reason="VVBATCH_TEST_POSTGRES is not set")


@pytest.fixture
def url() -> Iterator[str]:
    """A database of its own."""
    name = f"vvbatch_test_{secrets.token_hex(4)}"
    admin = create_engine(SERVER or "", isolation_level="AUTOCOMMIT")
    with admin.connect() as connection:
        connection.exec_driver_sql(f"CREATE DATABASE {name}")
        yield make_url(SERVER or "").set(database=name).render_as_string(hide_password=False)
        connection.exec_driver_sql(f"DROP DATABASE {name} WITH (FORCE)")
    admin.dispose()


def test_the_migrations_make_exactly_the_schema_that_the_code_uses(url: str) -> None:
    Ledger(url).close()
    migrated = shape(create_engine(url))
    again = create_engine(url)
    schema.metadata.drop_all(again)
    for table in schema.metadata.tables.values():
        for index in table.indexes:  # the schema names the condition of a partial index for SQLite only
            index.dialect_options["postgresql"]["where"] = index.dialect_options["sqlite"]["where"]
    schema.metadata.create_all(again)
    again.dispose()
    assert migrated == shape(create_engine(url))


@pytest.mark.parametrize("version", range(1, len(MIGRATIONS) + 1))
def test_an_earlier_version_is_brought_up_to_date_with_its_data(url: str, version: int) -> None:
    engine = create_engine(url)
    with engine.begin() as connection:
        schema.schema_version.create(connection)
        connection.execute(schema.schema_version.insert().values(version=version))
        for step in MIGRATIONS[:version]:
            step(connection)
        connection.exec_driver_sql(ONE_LINE)
    engine.dispose()
    ledger = Ledger(url)
    assert batch_view(ledger, "b")["lines"][0]["id"] == "l1"
    pause_queue(ledger, "draft", "writable")
    ledger.close()


def test_all_that_is_read_from_sqlite_is_read_from_here(url: str) -> None:
    clock = Clock()
    ledger = Ledger(url, clock)
    add_batch(ledger, "book-1", ["One.", "Two.", "Three."])
    take = render(ledger, "book-1", 1, clock)
    fail(ledger, "book-1", 2)
    worker_started(ledger, "w1", "draft", "host", 1, {"device": "cpu"})
    view = batch_view(ledger, "book")
    assert (view["counts"]["done"], view["counts"]["failed"], view["eta_s"]) == (1, 1, 3)
    assert view["lines"][0]["qc"][1] == {"name": "dc_offset", "value": 0.001, "limit": 0.01, "ok": True, "weight": 1.0}
    assert view["lines"][1]["qc"][0]["ok"] is False
    assert overview(ledger)["queues"][0]["waiting"] == 1
    assert [each["take"] for each in list_takes(ledger, Filter(voice="carter", state="done"))] == [take]
    assert list_takes(ledger, Filter(voice="carte")) == []
    assert len(list_lines(ledger, Filter(voice="carter", sort="duration_s:desc"))) == 3
    assert list_batches(ledger, Filter())[0]["batch"] == "book-1"
    assert metrics(ledger, Filter())[0]["done"] == 1
    assert batch_totals(ledger, "book-1")["audio_s"] == 4.0
    assert failures(ledger, "book-1", 5)[0]["line"] == "l2"
    for table in TABLES:
        of_regression = table in ("nights", "verdicts", "baselines")
        assert (export(ledger, table, "jsonl", io.StringIO()) > 0) is not of_regression
    ledger.close()


def test_a_query_reads_and_nothing_else(url: str) -> None:
    ledger = Ledger(url)
    add_batch(ledger, "b", ["One.", "Two.", "Three."])
    answer = query(url, "SELECT line FROM lines ORDER BY number", 2, 5)
    assert (answer.columns, answer.rows, answer.cut) == (["line"], [("l1",), ("l2",)], True)
    assert query(url, "SELECT line FROM lines WHERE line LIKE '%9'", 2, 5).columns == ["line"]
    for sql in (
        "DELETE FROM lines",
        "SELECT pg_catalog.set_config('x.y', '1', false); DELETE FROM lines",
        "DROP TABLE takes",
    ):
        with pytest.raises(QueryError):
            query(url, sql, 10, 5)
    for sql in ("SELECT 1; COMMIT; DELETE FROM qc_results", "COMMIT; DELETE FROM qc_results"):
        with pytest.raises(QueryError, match="multiple commands"):
            query(url, sql, 10, 5)
    with pytest.raises(QueryError, match="only reads"):
        query(url, "UPDATE lines SET state = 'done'", 10, 5)
    with pytest.raises(QueryError, match=r"stopped after 0\.3 s"):
        query(url, "SELECT pg_sleep(20)", 10, 0.3)
    assert len(query(url, "SELECT n FROM generate_series(1, 100000000) AS n", 5, 30).rows) == 5
    assert batch_view(ledger, "b")["counts"]["queued"] == 3
    ledger.close()


def test_a_server_that_does_not_answer_is_a_ledger_that_cannot_be_opened() -> None:
    with pytest.raises(LedgerError, match="cannot be opened") as caught:
        Ledger("postgresql+psycopg://me:secret@127.0.0.1:1/none")
    assert "secret" not in str(caught.value)


def test_processes_that_submit_the_same_script_at_once_make_one_batch(url: str) -> None:
    Ledger(url).close()
    race(url)


def test_four_processes_that_open_and_write_at_once_lose_nothing(url: str) -> None:
    run_writers(url)
    assert query(url, "SELECT state, count(*) FROM lines GROUP BY state ORDER BY state", 9, 5).rows == [
        ("done", 80),
        ("failed", 40),
    ]
