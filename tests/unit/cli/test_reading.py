"""status, ledger, verify and completion, as a person calls them; the queue's server does not run."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import os
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from tests.conftest import ROOT
from tests.support.ledgers import Clock, add_batch, fail, open_ledger, render
from vvbatch.cli import main
from vvbatch.ledger import Ledger
from vvbatch.ledger.batches import cancel_lines, settle_batch
from vvbatch.ledger.recovery import worker_started

pytestmark = pytest.mark.slow  # commands run


@pytest.fixture
def ledger(home: Path, tmp_path: Path) -> Ledger:
    """Batch `book-1`, ended with one line done, one failed; `poem-1`, just queued. The done line's file is there."""
    home.mkdir()
    clock = Clock()
    ledger = open_ledger(home, clock)
    out = tmp_path / "audio"
    folder = out / "book-1" / "chapter-01"
    folder.mkdir(parents=True)
    (folder / "0001-l1.wav").write_bytes(b"RIFF")
    add_batch(ledger, "book-1", ["One.", "Two."], out=out)
    render(ledger, "book-1", 1, clock, path=folder / "0001-l1.wav", sha256=hashlib.sha256(b"RIFF").hexdigest())
    fail(ledger, "book-1", 2)
    settle_batch(ledger, "book-1")
    (out / "book-1" / "manifest.json").write_text("{}")
    clock.advance(1)
    add_batch(ledger, "poem-1", ["Three."], out=out)
    return ledger


def vvbatch(*words: str, code: int = 0, stdin: str | None = None) -> Result:
    result = CliRunner().invoke(main, list(words), input=stdin)
    assert result.exit_code == code, f"{words}: {result.exit_code}\n{result.output}\n{result.exception!r}"
    return result


def in_json(*words: str, code: int = 0) -> Any:
    return json.loads(vvbatch(*words, "--json", code=code).stdout)


def test_status_of_a_batch_is_one_json_document_and_reading_exits_with_0_though_lines_failed(ledger: Ledger) -> None:
    view = in_json("status", "book")
    assert (view["batch"], view["state"], view["counts"]["failed"]) == ("book-1", "failed", 1)
    assert [line["state"] for line in view["lines"]] == ["done", "failed"]
    assert in_json("status", "last")["batch"] == "poem-1"


def test_status_of_a_batch_shows_its_summary_and_what_failed_first(ledger: Ledger) -> None:
    shown = vvbatch("status", "book-1").stdout
    assert "2: 1 done, 1 failed" in shown
    assert shown.index("l2    failed") < shown.index("l1    done")


def test_an_unknown_batch_exits_with_2_and_says_what_there_is(ledger: Ledger) -> None:
    result = vvbatch("status", "boook-1", code=2)
    assert result.stdout == ""
    assert "did you mean book-1?" in result.stderr
    for words in (["verify", "zzz"], ["ledger", "lines", "zzz"], ["ledger", "takes", "--batch", "zzz"]):
        assert "unknown batch 'zzz'" in vvbatch(*words, code=2).stderr


@pytest.mark.slow
def test_status_works_without_the_queues_server_and_says_that_it_is_not_running(ledger: Ledger) -> None:
    worker_started(ledger, "w1", "draft", "host", 1, {"device": "cpu"})
    seen = in_json("status")
    assert seen["redis"]["reachable"] is False
    assert "vvbatch up" in seen["redis"]["error"]
    assert seen["workers"][0]["alive"] is None
    assert [batch["batch"] for batch in seen["batches"]] == ["poem-1", "book-1"]
    shown = vvbatch("status").stdout
    assert "no queue is running" in shown
    assert ["poem-1", "queued", "0/1"] in [line.split()[:3] for line in shown.splitlines()]


def test_status_of_a_home_without_anything_says_what_to_do(home: Path) -> None:
    shown = vvbatch("status").stdout
    assert "none yet: vvbatch submit SCRIPT" in shown


def test_watching_an_ended_batch_ends_at_once_and_the_json_stays_alone_on_stdout(ledger: Ledger) -> None:
    result = vvbatch("status", "book-1", "--watch", "--json")
    assert json.loads(result.stdout)["state"] == "failed"
    assert "book-1: 2/2 lines" in result.stderr


@pytest.mark.parametrize("table", ["batches", "lines", "takes", "metrics"])
def test_every_list_is_a_table_for_people_and_a_json_list_for_programs(ledger: Ledger, table: str) -> None:
    assert "book-1" in vvbatch("ledger", table).stdout or table == "metrics"
    rows = in_json("ledger", table)
    assert isinstance(rows, list)
    assert rows


def test_a_list_says_on_stderr_when_there_is_more_of_it(ledger: Ledger) -> None:
    result = vvbatch("ledger", "takes", "--limit", "1", "--json")
    assert len(json.loads(result.stdout)) == 1
    assert "--limit 0 shows all" in result.stderr
    assert "--limit" not in vvbatch("ledger", "takes", "--limit", "2").stderr
    assert len(in_json("ledger", "takes", "--limit", "0")) == 2


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["takes", "--sort", "nonsense"], "there is take, batch"),
        (["takes", "--since", "yesterday"], "give a date"),
        (["takes", "--state", "open"], "failed_qc"),
        (["takes", "--limit", "-1"], "-1"),
    ],
)
def test_a_filter_that_does_not_exist_exits_with_2_and_says_what_does(
    ledger: Ledger, words: list[str], said: str
) -> None:
    assert said in vvbatch("ledger", *words, code=2).stderr


def test_filters_reach_the_list(ledger: Ledger) -> None:
    assert [take["line"] for take in in_json("ledger", "takes", "--state", "failed_qc", "--batch", "book")] == ["l2"]
    assert [line["line"] for line in in_json("ledger", "lines", "book-1", "--state", "done")] == ["l1"]
    assert in_json("ledger", "takes", "--voice", "absent") == []
    assert len(in_json("ledger", "metrics", "--per-day")) == 1


def test_a_query_prints_a_table_json_or_csv(ledger: Ledger) -> None:
    sql = "SELECT line, state FROM lines ORDER BY line, batch_id"
    assert vvbatch("ledger", "query", sql).stdout.splitlines()[:2] == ["line  state", "l1    done"]
    assert in_json("ledger", "query", sql)[0] == {"line": "l1", "state": "done"}
    assert list(csv.reader(io.StringIO(vvbatch("ledger", "query", sql, "--csv").stdout)))[:2] == [
        ["line", "state"],
        ["l1", "done"],
    ]
    assert vvbatch("ledger", "query", "-", "--csv", stdin=sql).stdout.startswith("line,state\n")


def test_a_query_that_would_write_exits_with_2_and_changes_nothing(ledger: Ledger, home: Path) -> None:
    result = vvbatch("ledger", "query", "DELETE FROM lines", code=2)
    assert "only reads" in result.stderr
    with closing(sqlite3.connect(home / "ledger.sqlite3")) as connection:
        assert connection.execute("SELECT count(*) FROM lines").fetchone() == (3,)


def test_a_query_with_more_rows_than_wanted_says_so(ledger: Ledger) -> None:
    result = vvbatch("ledger", "query", "SELECT line FROM lines", "--limit", "2", "--json")
    assert len(json.loads(result.stdout)) == 2
    assert "the first 2 rows only" in result.stderr


def test_an_export_is_a_whole_file_or_none(ledger: Ledger, tmp_path: Path) -> None:
    target = tmp_path / "takes.csv"
    vvbatch("ledger", "export", "--out", str(target))
    assert len(list(csv.DictReader(target.open(newline="")))) == 2
    before = set(tmp_path.iterdir())
    assert "cannot be written" in vvbatch("ledger", "export", "--out", str(tmp_path / "no" / "x.csv"), code=2).stderr
    assert set(tmp_path.iterdir()) == before
    assert vvbatch("ledger", "export", "--table", "batches", "--format", "jsonl").stdout.count("\n") == 2


def test_verify_finds_all_files_as_the_ledger_has_them(ledger: Ledger) -> None:
    assert in_json("verify") == {"checked": 1, "ok": 1, "problems": []}
    assert "1 of 1 file" in vvbatch("verify", "book-1").stdout


def becomes_a_pipe(file: Path) -> None:
    file.unlink()
    os.mkfifo(file)


@pytest.mark.parametrize(
    ("harm", "problem"),
    [
        (lambda file: file.unlink(), "missing"),
        (lambda file: file.write_bytes(b"RIFX"), "changed"),
        (lambda file: file.write_bytes(b"RIFF "), "changed"),
        (becomes_a_pipe, "changed"),
        (lambda file: (file.unlink(), file.symlink_to("/etc/hostname")), "changed"),
        (lambda file: (file.unlink(), file.mkdir()), "changed"),
        (lambda file: file.with_name("extra.wav").write_bytes(b"x"), "unknown"),
        (lambda file: file.with_name(".tmp-0123").write_bytes(b"x"), "unknown"),
    ],
)
def test_verify_says_what_is_off_with_a_file_and_exits_with_1(
    ledger: Ledger, tmp_path: Path, harm: Callable[[Path], object], problem: str
) -> None:
    file = tmp_path / "audio" / "book-1" / "chapter-01" / "0001-l1.wav"
    harm(file)
    found = in_json("verify", "book-1", code=1)
    assert [each["problem"] for each in found["problems"]] == [problem]
    assert problem in vvbatch("verify", code=1).stdout


def test_verify_leaves_a_running_workers_unfinished_file_alone(ledger: Ledger, tmp_path: Path) -> None:
    folder = tmp_path / "audio" / "poem-1" / "chapter-01"
    folder.mkdir(parents=True)
    (folder / ".tmp-0123").write_bytes(b"half")
    vvbatch("verify")
    cancel_lines(ledger, "poem-1")
    settle_batch(ledger, "poem-1")
    assert in_json("verify", code=1)["problems"][0]["path"].endswith(".tmp-0123")


def test_a_ledger_that_cannot_be_used_exits_with_3(home: Path) -> None:
    home.mkdir()
    (home / "ledger.sqlite3").write_bytes(b"this is not a database at all, but it is long enough" * 20)
    for words in (["status"], ["ledger", "takes"], ["verify"]):
        assert "not a database" in vvbatch(*words, code=3).stderr
    assert vvbatch("ledger", "query", "SELECT 1 FROM lines", code=2).stderr


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_completion_script_of_a_shell_asks_vvbatch(shell: str) -> None:
    assert "_VVBATCH_COMPLETE" in vvbatch("completion", shell).stdout


def complete(words: str) -> list[str]:
    environment = os.environ | {
        "_VVBATCH_COMPLETE": "zsh_complete",
        "COMP_WORDS": f"vvbatch {words}",
        "COMP_CWORD": str(len(words.split(" "))),
        "PYTHONPATH": str(ROOT),
    }
    start = "from vvbatch.cli import main; main(prog_name='vvbatch')"
    done = subprocess.run([sys.executable, "-c", start], env=environment, capture_output=True, text=True, check=False)
    return done.stdout.splitlines()[1::3]


@pytest.mark.slow
def test_batch_ids_and_profile_names_are_completed(ledger: Ledger) -> None:
    assert complete("status b") == ["book-1"]
    assert complete("verify ") == ["poem-1", "book-1"]
    assert complete("ledger takes --batch po") == ["poem-1"]
    assert "draft" in complete("ledger takes --model d")


@pytest.mark.slow
def test_completing_without_a_ledger_gives_nothing_and_makes_none(home: Path) -> None:
    assert complete("status b") == []
    assert not (home / "ledger.sqlite3").exists()


@pytest.mark.parametrize("name", ["status", "verify", "completion", "ledger"])
def test_every_reading_command_has_an_example_in_its_help(name: str) -> None:
    assert f"Example:  vvbatch {name}" in vvbatch(name, "--help").stdout


@pytest.mark.parametrize("name", ["batches", "lines", "takes", "metrics", "query", "export"])
def test_every_ledger_command_has_an_example_in_its_help(name: str) -> None:
    assert f"Example:  vvbatch ledger {name}" in vvbatch("ledger", name, "--help").stdout


@pytest.mark.slow
@pytest.mark.parametrize("module", ["torch", "rq", "rich"])
def test_the_status_of_a_batch_loads_nothing_that_it_does_not_need(ledger: Ledger, module: str) -> None:
    call = "main(['status', 'book-1', '--json'], standalone_mode=False)"
    start = f"import sys; from vvbatch.cli import main; {call}; sys.exit('{module}' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", start], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_a_query_before_anything_was_rendered_finds_the_tables_without_rows(home: Path) -> None:
    assert in_json("ledger", "query", "SELECT * FROM takes") == []
    assert in_json("ledger", "query", "SELECT count(*) AS n FROM lines") == [{"n": 0}]


@pytest.mark.parametrize("name", ["s.csv", "s.txt", "s.yaml"])
def test_check_takes_the_language_of_texts_in_every_format(home: Path, tmp_path: Path, name: str) -> None:
    head = {"s.csv": "text\n", "s.txt": "", "s.yaml": "version: 1\nlanguage: en\nlines:\n- "}[name]
    script = tmp_path / name
    script.write_text(head + "Paris.\n")
    assert in_json("check", str(script), "--model", "draft")["warnings"] == []
    (warning,) = in_json("check", str(script), "--model", "draft", "--language", "fr-CA")["warnings"]
    assert warning["code"] == "language" and "a text in the language 'fr'" in warning["message"]
