"""`delete` and `prune` as commands: the question, --json, exit codes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from tests.unit.batch.test_delete import finished
from vvbatch.cli import main
from vvbatch.home import Home
from vvbatch.ledger import Ledger
from vvbatch.ledger.batches import retry_lines
from vvbatch.ledger.records import BatchKind


@pytest.fixture
def ledger(home: Path, tmp_path: Path) -> Ledger:
    ledger = Ledger(Home.from_environment().ledger_url, lambda: "2026-01-01T00:00:00.000000Z")
    finished(ledger, tmp_path / "out", "book-1")
    finished(ledger, tmp_path / "out", "hello-1", BatchKind.SPEECH)
    return ledger


def run(*arguments: str, answer: str | None = None) -> Result:
    return CliRunner().invoke(main, list(arguments), input=answer)


def test_delete_asks_first_and_a_no_deletes_nothing(ledger: Ledger, tmp_path: Path) -> None:
    refused = run("delete", "last", answer="n\n")
    assert refused.exit_code == 1 and "nothing was deleted" in refused.output
    assert (tmp_path / "out" / "book-1").exists()
    done = run("delete", "last", answer="y\n")
    assert done.exit_code == 0 and "deleted 1 of 1 batch" in done.output
    assert not (tmp_path / "out" / "book-1").exists() and (tmp_path / "out" / "hello-1").exists()


def test_delete_prints_what_went_as_json(ledger: Ledger) -> None:
    assert run("delete", "book-1", "--json").exit_code == 2
    (gone,) = json.loads(run("delete", "book-1", "--json", "--yes").stdout)
    assert (gone["batch"], gone["deleted"], gone["files"]) == ("book-1", True, 2)
    assert run("delete", "book-1", "--yes").exit_code == 2  # unknown now


def test_delete_of_an_open_batch_exits_with_1_and_says_what_to_do(ledger: Ledger) -> None:
    retry_lines(ledger, "book-1", states=("done",))
    refused = run("delete", "book-1", "--yes")
    assert refused.exit_code == 1 and "vvbatch cancel book-1" in refused.output


def test_prune_deletes_old_speech_and_only_lists_it_with_dry_run(ledger: Ledger, tmp_path: Path) -> None:
    (listed,) = json.loads(run("prune", "--dry-run", "--json").stdout)
    assert (listed["batch"], listed["deleted"]) == ("hello-1", False)
    assert run("prune", "--yes").exit_code == 0
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["book-1"]
    assert run("prune", "--kind", "script", "--yes").exit_code == 2
    assert run("prune", "--kind", "script", "--older-than", "1d", "--yes").exit_code == 0
    assert list((tmp_path / "out").iterdir()) == []


def test_prune_deletes_old_proofs_and_nights_of_no_suite(ledger: Ledger, tmp_path: Path) -> None:
    for kind in (BatchKind.PROOF, BatchKind.NIGHT):
        finished(ledger, tmp_path / "out", f"{kind}-1", kind)
        done = run("prune", "--kind", kind.value, "--older-than", "1d", "--yes", "--json")
        assert done.exit_code == 0, done.output
        (gone,) = json.loads(done.stdout)
        assert (gone["batch"], gone["deleted"]) == (f"{kind}-1", True)
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["book-1", "hello-1"]


def test_status_means_scripts_unless_another_kind_is_named(ledger: Ledger) -> None:
    def shown(*options: str) -> list[str]:
        return sorted(each["batch"] for each in json.loads(run("status", "--json", *options).stdout)["batches"])

    assert shown() == ["book-1"]
    assert shown("--kind", "speech") == ["hello-1"]
    assert shown("--all") == ["book-1", "hello-1"]
    assert json.loads(run("status", "last", "--kind", "speech", "--json").stdout)["kind"] == "speech"
