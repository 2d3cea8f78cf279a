"""Every table at 80 and at 160 columns: nothing is wider, no number or id is cut, and what is left out is named."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Mapping
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
from vvbatch.ledger.batches import settle_batch
from vvbatch.ledger.queues import pause_queue
from vvbatch.ledger.recovery import worker_started
from vvbatch.report import tables

pytestmark = pytest.mark.slow  # 98 homes are filled
WIDTHS = (80, 160)
LONG = "the-long-night-of-the-lighthouse-keepers-1a2b3c4d"  # as long as an id gets
TEXT = "No one on the island had ever seen it dark, and the keeper counted every one of the steps aloud."


@pytest.fixture
def cli(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Cli:
    """A home with batches of short and long ids, takes of two profiles, failures, workers and queues."""
    home.mkdir(mode=0o700)
    clock = Clock()
    ledger = open_ledger(home, clock)
    out = tmp_path / "audio"
    add_batch(ledger, "poem-9f8e7d6c", [TEXT] * 9, out=out)
    add_batch(ledger, LONG, [TEXT] * 3, out=out, profile="ready2")
    for number in range(1, 9):
        render(
            ledger, "poem-9f8e7d6c", number, clock, took_s=21.99, path=f"{out}/poem-9f8e7d6c/chapter-01/{number}.wav"
        )
    fail(ledger, "poem-9f8e7d6c", 9, "was cut short: 1.6 s of speech where at least 1.9 s were expected (duration_min)")
    render(ledger, LONG, 1, clock, took_s=3.5)
    begin(ledger, LONG, 2)
    settle_batch(ledger, "poem-9f8e7d6c")
    worker_started(ledger, "draft-studio-15379-0b2dfc", "draft", "studio.example.org", 15379, {"device": "cuda:0"})
    pause_queue(ledger, "ready2", "no room: the disk of /audio is full")
    with ledger.engine.begin() as connection:
        connection.exec_driver_sql("UPDATE takes SET score = 0.82, chosen = 'passed: 0.82' WHERE state = 'done'")
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


SHOWN = {
    "batches": ["batch", "state", "lines", "done", "failed", "left", "kind", "profile", "created"],
    "lines": ["batch", "number", "line", "state", "profile", "seconds", "score", "text", "error"],
    "takes": ["take", "state", "attempt", "device", "seconds", "rtf", "LUFS", "score", "created", "chosen", "error"],
    "metrics": ["profile", "model", "device", "dtype", "takes", "failed", "audio s", "speed", "rtf", "p95", "first s"],
}


@pytest.mark.parametrize(("name", "column"), [(name, column) for name in SHOWN for column in SHOWN[name]])
def test_every_shown_column_sorts_by_its_name(name: str, column: str, cli: Cli, shown: Callable[..., str]) -> None:
    up, down = (cli.json("ledger", name, "--sort", f"{column}{way}") for way in ("", ":desc"))
    assert sorted(map(str, up)) == sorted(map(str, down))
    assert column in " ".join(shown(400, "ledger", name).split())


def test_sorting_by_a_count_puts_the_batch_with_most_of_it_first(cli: Cli) -> None:
    assert [row["batch"] for row in cli.json("ledger", "batches", "--sort", "lines:desc")] == ["poem-9f8e7d6c", LONG]
    assert [row["batch"] for row in cli.json("ledger", "batches", "--sort", "lines")] == [LONG, "poem-9f8e7d6c"]
    assert [row["batch"] for row in cli.json("ledger", "batches", "--sort", "left:desc")] == [LONG, "poem-9f8e7d6c"]
