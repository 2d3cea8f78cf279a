from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from tests.support.ledgers import add_batch, open_ledger, render
from vvbatch.ledger import LedgerError
from vvbatch.ledger.sql import QueryError, query


@pytest.fixture
def url(tmp_path: Path) -> str:
    ledger = open_ledger(tmp_path)
    add_batch(ledger, "b", ["One.", "Two.", "Three."])
    render(ledger, "b", 1)
    ledger.close()
    return ledger.url


def dump(url: str) -> list[str]:
    with closing(sqlite3.connect(url.removeprefix("sqlite:///"))) as connection:
        return list(connection.iterdump())


def test_a_select_gives_columns_and_rows(url: str) -> None:
    answer = query(url, "SELECT line, state FROM lines ORDER BY number", 10, 5)
    assert answer.columns == ["line", "state"]
    assert answer.rows == [("l1", "done"), ("l2", "queued"), ("l3", "queued")]
    assert not answer.cut


def test_more_rows_than_the_limit_are_cut_and_said_to_be(url: str) -> None:
    answer = query(url, "SELECT line FROM lines ORDER BY number", 2, 5)
    assert (answer.rows, answer.cut) == ([("l1",), ("l2",)], True)


def test_columns_of_one_name_are_made_different(url: str) -> None:
    assert query(url, "SELECT 1 AS a, 2 AS a, 3 AS b", 10, 5).columns == ["a", "a_2", "b"]


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT name FROM pragma_table_info('lines')",
        "PRAGMA table_info(lines)",
        "SELECT json_extract(value, '$.name') FROM takes, json_each(takes.voices)",
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 5) SELECT i FROM n",
        "SELECT json_extract(request, '$.seed') FROM lines",
        "EXPLAIN QUERY PLAN SELECT 1",
        "SELECT sql FROM sqlite_master",
        "  -- a comment first\nSELECT 1;",
    ],
)
def test_whatever_only_reads_is_allowed(url: str, sql: str) -> None:
    assert query(url, sql, 100, 5).rows


@pytest.mark.parametrize(
    "sql",
    [
        "DELETE FROM lines",
        "UPDATE lines SET state = 'done'",
        "INSERT INTO queues VALUES ('a', 'b', 'c')",
        "DROP TABLE takes",
        "CREATE TABLE x (a)",
        "CREATE TEMP TABLE x (a)",
        "WITH x AS (SELECT 1) DELETE FROM takes",
        "ATTACH DATABASE '/tmp/other.db' AS other",
        "ATTACH DATABASE ':memory:' AS other",
        "VACUUM INTO '/tmp/copy.db'",
        "VACUUM",
        "PRAGMA query_only = OFF",
        "PRAGMA journal_mode = DELETE",
        "PRAGMA user_version = 7",
        "BEGIN IMMEDIATE",
        "SELECT load_extension('/tmp/x.so')",
        "REINDEX",
        "UPDATE sqlite_master SET sql = ''",
        "ANALYZE",
    ],
)
def test_whatever_would_change_something_is_refused_and_changes_nothing(url: str, sql: str) -> None:
    before = dump(url)
    with pytest.raises(QueryError, match=r"only reads|may not be modified"):
        query(url, sql, 10, 5)
    assert dump(url) == before


@pytest.mark.parametrize("sql", ["SELECT 1; DELETE FROM lines", "SELECT 1; SELECT 2"])
def test_a_second_statement_is_refused(url: str, sql: str) -> None:
    before = dump(url)
    with pytest.raises(QueryError, match="one statement"):
        query(url, sql, 10, 5)
    assert dump(url) == before


@pytest.mark.parametrize(
    ("sql", "said"),
    [
        ("SELEC 1", "syntax error"),
        ("SELECT nosuch FROM lines", "no such column"),
        ("SELECT * FROM takess", "no such table: takess"),
        ("", "one SELECT"),
        ("-- nothing", "one SELECT"),
        ("SELECT '\0'", "query failed"),
        ("SELECT zeroblob(900000000)", "too big"),
    ],
)
def test_a_wrong_statement_says_what_is_wrong(url: str, sql: str, said: str) -> None:
    with pytest.raises(QueryError, match=said):
        query(url, sql, 10, 5)


def test_a_statement_that_takes_too_long_is_stopped(url: str) -> None:
    endless = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n"
    with pytest.raises(QueryError, match=r"stopped after 0\.2 s"):
        query(url, endless, 10, 0.2)


def test_a_ledger_that_is_not_there_is_not_made(tmp_path: Path) -> None:
    with pytest.raises(LedgerError, match="cannot be opened"):
        query(f"sqlite:///{tmp_path / 'none.sqlite3'}", "SELECT 1", 10, 5)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_with_signs_that_mean_something_in_urls_is_no_problem(tmp_path: Path) -> None:
    folder = tmp_path / "50% of ü#x&mode=rw"
    folder.mkdir()
    open_ledger(folder).close()
    assert query(f"sqlite:///{folder / 'ledger.sqlite3'}", "SELECT count(*) FROM lines", 10, 5).rows == [(0,)]
