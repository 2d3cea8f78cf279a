"""Every table at 80 and at 160 columns: nothing is wider, no number or id is cut, and what is left out is named."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TextIO

import numpy as np
import pytest
from rich.cells import cell_len
from rich.console import Console
from rich.text import Text

from tests.support.cli import Cli
from tests.support.ledgers import Clock, add_batch, begin, fail, open_ledger, render
from vvbatch import audio
from vvbatch.engine.contract import EngineFacts
from vvbatch.ledger.batches import settle_batch
from vvbatch.ledger.listings import SHOWN_NAMES
from vvbatch.ledger.queues import pause_queue
from vvbatch.ledger.recovery import worker_started
from vvbatch.report import tables
from vvbatch.report.columns import Column
from vvbatch.report.ledger_tables import BATCH_COLUMNS, LINE_COLUMNS, TAKE_COLUMNS, metric_columns

pytestmark = pytest.mark.slow  # 98 homes are filled
WIDTHS = (80, 160)
POEM, SPEECH = "poem-9f8e7d6c", "hello-5e6f7a8b"
LONG = "the-long-night-of-the-lighthouse-keepers-1a2b3c4d"  # as long as an id gets
TEXT = "No one on the island had ever seen it dark, and the keeper counted every one of the steps aloud."


VIBEVOICE = EngineFacts("vibevoice", "1", "VibeVoice-1.5B", "1", "cuda:0", "bfloat16")
VARIED = (
    f"UPDATE batches SET kind = 'speech' WHERE id = '{SPEECH}'",
    "UPDATE lines SET state = 'cached', take_id = (SELECT min(id) FROM takes WHERE state = 'done') "
    f"WHERE batch_id = '{SPEECH}'",
    "UPDATE takes SET score = 0.9 - duration_s / 100, loudness_lufs = -20 - duration_s / 10, "
    "first_chunk_s = duration_s / 10 WHERE state = 'done'",
    "UPDATE takes SET chosen = 'passed: ' || score WHERE state = 'done'",
    f"UPDATE lines SET attempt = 2 WHERE batch_id = '{POEM}' AND number = 9",
    f"UPDATE takes SET attempt = 2, state = 'failed' WHERE batch_id = '{POEM}' AND line_id LIKE '%9'",
)
"""So that every column has different values, by which it can be sorted."""


@pytest.fixture
def cli(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Cli:
    """A home with batches of short and long ids, takes of two profiles, failures, workers and queues."""
    home.mkdir(mode=0o700)
    clock = Clock()
    ledger = open_ledger(home, clock)
    out = tmp_path / "audio"
    add_batch(ledger, POEM, [f"{number}. {TEXT}" for number in range(1, 10)], out=out)
    clock.advance(60)
    add_batch(ledger, LONG, [TEXT] * 3, out=out, profile="ready2")
    clock.advance(60)
    add_batch(ledger, SPEECH, [TEXT], out=out)
    for number in range(1, 8):
        path = f"{out}/{POEM}/chapter-01/{number}.wav"
        render(ledger, POEM, number, clock, took_s=20.99 + number, path=path, duration_s=3.5 + number)
    fail(ledger, POEM, 8, "was cut short: 1.6 s of speech where at least 1.9 s were expected (duration_min)")
    fail(ledger, POEM, 9, "is too quiet: -52 dBFS where at least -45 are expected (level)")
    render(ledger, LONG, 1, clock, took_s=3.5, facts=VIBEVOICE)
    begin(ledger, LONG, 2, facts=VIBEVOICE)
    fail(ledger, LONG, 3, facts=VIBEVOICE)
    settle_batch(ledger, POEM)
    worker_started(ledger, "draft-studio-15379-0b2dfc", "draft", "studio.example.org", 15379, {"device": "cuda:0"})
    pause_queue(ledger, "ready2", "no room: the disk of /audio is full")
    with ledger.engine.begin() as connection:
        for statement in VARIED:
            connection.exec_driver_sql(statement)
    settle_batch(ledger, SPEECH)
    ledger.close()
    (tmp_path / "silence.wav").write_bytes(audio.wav_bytes(np.zeros(24_000, np.int16), 24_000))
    (tmp_path / "s.yaml").write_text("version: 1\nmodel: ready\nlines:\n- The lamp went out.\n- No one answered.\n")
    monkeypatch.chdir(tmp_path)
    return Cli()


@pytest.fixture
def shown(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> Callable[..., str]:
    def show(width: int, *words: str) -> str:
        def console(file: TextIO | None = None) -> Console:
            return Console(
                file=file or sys.stdout, force_terminal=True, width=width, markup=False, highlight=False, emoji=False
            )

        monkeypatch.setattr(tables, "console", console)
        return Text.from_ansi(cli(*words, code=None).stdout).plain

    return show


COMMANDS = [
    "status",
    "status poem",
    f"status {LONG}",
    "ledger batches",
    "ledger lines",
    "ledger lines poem",
    "ledger lines --state failed",
    "ledger takes",
    f"ledger takes --batch {LONG}",
    "ledger metrics",
    "ledger metrics --per-day",
    "ledger query 'SELECT * FROM takes'",
    "ledger query 'SELECT profile, count(*) AS takes, avg(rtf) FROM takes GROUP BY profile'",
    "verify",
    "voices list",
    "models list",
    "lexicon list",
    "check s.yaml",
    "check s.yaml --by 07:00",
    "qc silence.wav",
    "voices check alice",
    "delete poem",
]


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("command", COMMANDS)
def test_no_line_of_a_table_is_wider_than_the_terminal(command: str, width: int, shown: Callable[..., str]) -> None:
    import shlex

    found = shown(width, *shlex.split(command))
    assert found.strip(), command
    wide = [line for line in found.splitlines() if cell_len(line) > width]
    assert wide == [], "\n".join(wide)


LISTS: Mapping[str, list[str]] = {
    "batches": ["batch", "state"],
    "lines": ["line", "state"],
    "takes": ["take", "state", "duration_s:2", "rtf:3"],
    "metrics": ["profile", "takes", "audio_s:1", "speed:2", "rtf_median:3"],
}


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("name", LISTS)
def test_numbers_and_ids_are_whole(name: str, width: int, cli: Cli, shown: Callable[..., str]) -> None:
    rows: list[dict[str, Any]] = cli.json("ledger", name)
    found = shown(width, "ledger", name)
    words = set(re.split(r"[\s,]+", found))
    for row in rows:
        for key in LISTS[name]:
            key, _, digits = key.partition(":")
            value = row[key]
            if value is not None:
                assert (f"{value:.{digits}f}" if digits else str(value)) in words, (key, value, found)


@pytest.mark.parametrize("name", LISTS)
def test_columns_that_are_not_shown_are_named(name: str, shown: Callable[..., str]) -> None:
    """Every column of the wide table is in the narrow one, said of every row, or named as not shown."""
    wide, narrow = (shown(width, "ledger", name) for width in (400, 80))
    columns = re.split(r"\s{2,}", wide.splitlines()[0].strip())
    assert len(columns) > 5
    for column in columns:
        assert re.search(rf"(^|\W){re.escape(column)}(\W|$)", " ".join(narrow.split())), (column, narrow)


def test_a_batch_of_nine_lines_takes_at_most_45_lines_at_80_columns(shown: Callable[..., str]) -> None:
    for words in (["status", "poem"], ["ledger", "lines", "poem"], ["ledger", "takes", "--batch", "poem"], ["status"]):
        assert len(shown(80, *words).splitlines()) <= 45, words


COLUMNS: Mapping[str, Sequence[Column]] = {
    "batches": BATCH_COLUMNS,
    "lines": LINE_COLUMNS,
    "takes": TAKE_COLUMNS,
    "metrics": metric_columns(False),
}


def value_of(row: Mapping[str, Any], column: str) -> Any:
    """What a row of the JSON has for a column of the table."""
    counts = row.get("counts", {})
    if column == "lines":
        return counts["total"]
    if column == "left":
        return counts["queued"] + counts["rendering"]
    if column in counts:
        return counts[column]
    key = SHOWN_NAMES.get(column, column)
    return row[key if key in row else column]


@pytest.mark.parametrize(
    ("name", "column"), [(name, column.name) for name, columns in COLUMNS.items() for column in columns]
)
def test_every_shown_column_sorts_by_its_name(name: str, column: str, cli: Cli, shown: Callable[..., str]) -> None:
    assert column in " ".join(shown(400, "ledger", name).split())
    for way, downwards in (("", False), (":desc", True)):
        values = [value_of(row, column) for row in cli.json("ledger", name, "--sort", f"{column}{way}")]
        known = [value for value in values if value is not None]
        assert len(set(known)) > 1
        assert values == [*sorted(known, reverse=downwards), *[None] * (len(values) - len(known))]


def test_sorting_by_a_count_puts_the_batch_with_most_of_it_first(cli: Cli) -> None:
    assert [row["batch"] for row in cli.json("ledger", "batches", "--sort", "lines:desc")] == [POEM, LONG, SPEECH]
    assert [row["batch"] for row in cli.json("ledger", "batches", "--sort", "lines")] == [SPEECH, LONG, POEM]
    assert cli.json("ledger", "batches", "--sort", "left:desc")[0]["batch"] == LONG


def test_metrics_sort_by_the_number_of_failed_takes_and_by_the_share_of_bad_ones(cli: Cli) -> None:
    """Of nine draft takes one gave no audio and one failed a check; of two of ready2 one failed a check."""
    for column, profiles in (("failed", ["draft", "ready2"]), ("fail rate", ["ready2", "draft"])):
        assert [row["profile"] for row in cli.json("ledger", "metrics", "--sort", f"{column}:desc")] == profiles
