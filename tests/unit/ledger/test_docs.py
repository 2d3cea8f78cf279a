"""docs/ledger.md says what is so."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.conftest import ROOT
from tests.support.ledgers import FACTS, add_batch, begin, fail, good, open_ledger, render
from vvbatch.ledger import Outcome
from vvbatch.ledger.by_ear import lines_with_takes, reject_takes
from vvbatch.ledger.records import TriedTake
from vvbatch.ledger.schema import metadata, nights
from vvbatch.ledger.sql import query
from vvbatch.ledger.states import TakeState

TEXT = (ROOT / "docs" / "ledger.md").read_text(encoding="utf-8")
QUERIES = re.findall(r"```sql\n(.*?)```", TEXT, re.DOTALL)
SECTIONS = dict(re.findall(r"^### (\w+)\n(.*?)(?=^##)", TEXT, re.DOTALL | re.MULTILINE))


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A ledger in which every example finds something."""
    folder: Path = tmp_path_factory.mktemp("ledger")
    ledger = open_ledger(folder)
    add_batch(ledger, "b", ["One.", "Two.", "Three."])
    render(ledger, "b", 1)
    fail(ledger, "b", 2)
    claim, first = begin(ledger, "b", 3)
    short = Outcome(TakeState.FAILED_QC, error="short", qc=[("duration_min", 0.1, 0.5, False)])
    again = ledger.open_take(claim, 6, FACTS, [(first, short)]) or claim
    second = again.take
    tried = [TriedTake(first, "smaller", 5, TakeState.FAILED_QC, 0.0, "short")]
    ledger.keep_take(again, second, good(), lambda: None, tried=tried)
    add_batch(ledger, "c", ["Four."])
    render(ledger, "c", 1)
    line = lines_with_takes(ledger, "c")[0]
    reject_takes(ledger, "c", [(line, None)], by="ann", why="too slow")
    with ledger.engine.begin() as connection:
        connection.execute(nights.insert().values(id="n", suite="s", profile="draft", state="ended", started_at="now"))
    ledger.close()
    return ledger.url


@pytest.mark.parametrize("sql", QUERIES)
def test_every_example_query_runs_and_finds_something(url: str, sql: str) -> None:
    assert query(url, sql, 100, 5).rows


def test_there_are_examples() -> None:
    assert len(QUERIES) >= 14


@pytest.mark.parametrize("table", metadata.tables)
def test_every_column_is_documented_and_no_other(table: str) -> None:
    documented = {
        name
        for row in re.findall(r"^\| (`.*?) \|", SECTIONS[table], re.MULTILINE)
        for name in re.findall(r"`(\w+)`", row)
    }
    assert documented == set(metadata.tables[table].columns.keys())
