from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import event

from tests.support import ledgers
from vvbatch import store
from vvbatch.engine.contract import EngineFacts
from vvbatch.ledger import CachedTake
from vvbatch.ledger.batches import cancel_lines, retry_lines, set_batch_state, settle_batch
from vvbatch.ledger.journal import Journal, journalled
from vvbatch.ledger.queues import waiting_count
from vvbatch.ledger.recovery import abandon, reopen, worker_started
from vvbatch.ledger.states import LineState


def lines_of(path: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_every_take_and_change_of_state_is_one_line(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    book = journalled(f"sqlite:///{tmp_path / 'ledger.sqlite3'}", Journal(path))
    ledgers.add_batch(book, "b", ["One.", "Two.", "Three."])
    ledgers.render(book, "b", 1)
    ledgers.fail(book, "b", 2)
    cancel_lines(book, "b")
    settle_batch(book, "b")
    book.close()
    found = [(each["kind"], each.get("line"), each.get("state")) for each in lines_of(path)]
    one, two, three = (ledgers.line_id("b", number) for number in (1, 2, 3))
    assert found == [
        ("batch submitted", None, None),
        ("line", one, "queued"),
        ("line", two, "queued"),
        ("line", three, "queued"),
        ("line", one, "rendering"),
        ("take", one, "rendering"),
        ("take", one, "done"),
        ("line", one, "done"),
        ("line", two, "rendering"),
        ("take", two, "rendering"),
        ("take", two, "failed_qc"),
        ("line", two, "failed"),
        ("lines cancelled", None, None),
        ("line", three, "cancelled"),
        ("batch failed", None, None),
    ]
    assert lines_of(path)[10]["failed_checks"] == ["silence"]
    assert "One." not in path.read_text()


def test_what_changes_many_lines_at_once_is_a_line_for_each(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    book = journalled(f"sqlite:///{tmp_path / 'ledger.sqlite3'}", Journal(path))
    ledgers.add_batch(book, "b", ["One.", "Two.", "Three."])
    worker_started(book, "w1", "draft", "host", 1, {})
    take = ledgers.begin(book, "b", 1)[1]
    ledgers.render(book, "b", 2)

    def entries_of(change: Callable[[], object]) -> list[tuple[object, ...]]:
        before = len(lines_of(path))
        change()
        return [
            (each["kind"], each.get("take", each.get("line")), each.get("state")) for each in lines_of(path)[before:]
        ]

    one, two, three = (ledgers.line_id("b", number) for number in (1, 2, 3))
    assert entries_of(lambda: abandon(book, "w1", {})) == [
        ("worker died", None, None),
        ("line", one, "queued"),
        ("take", take, "crashed"),
    ]
    assert entries_of(lambda: cancel_lines(book, "b")) == [
        ("lines cancelled", None, None),
        ("line", one, "cancelled"),
        ("line", three, "cancelled"),
    ]
    assert entries_of(lambda: retry_lines(book, "b")) == [
        ("lines retried", None, None),
        ("line", one, "queued"),
        ("line", three, "queued"),
    ]
    repaired = entries_of(lambda: reopen(book, "b", ["l2"]))
    assert repaired[:2] == [("lines repaired", None, None), ("line", two, "queued")]
    assert [(kind, state) for kind, _, state in repaired[2:]] == [("take", "superseded")]
    book.close()


def test_a_claim_that_is_refused_writes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    book = journalled(f"sqlite:///{tmp_path / 'ledger.sqlite3'}", Journal(path))
    ledgers.add_batch(book, "b", ["One."])
    claim = book.claim(ledgers.line_id("b", 1), "w1")
    assert claim is not None
    cancel_lines(book, "b")
    before = len(lines_of(path))
    assert book.claim(ledgers.line_id("b", 1), "w2") is None
    assert book.open_take(claim, 1, EngineFacts("draft", "1", "m", "r", "cpu", "float32")) is None
    assert not book.release(claim, LineState.FAILED, "late", trouble="engine")
    assert len(lines_of(path)) == before
    book.close()


def test_a_journal_that_cannot_be_written_does_not_stop_the_ledger(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    book = journalled(f"sqlite:///{tmp_path / 'ledger.sqlite3'}", Journal(tmp_path / "gone" / "journal.jsonl"))
    ledgers.add_batch(book, "b", ["One."])
    assert waiting_count(book, "draft") == 1
    assert "could not be written" in caplog.text
    book.close()


def test_a_line_that_is_cached_at_submit_has_an_entry(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    book = journalled(f"sqlite:///{tmp_path / 'ledger.sqlite3'}", Journal(path))
    source = tmp_path / "source.wav"
    source.write_bytes(b"audio")
    sha256 = store.sha256_file(source)
    ledgers.add_batch(book, "a", ["One."])
    take = ledgers.render(book, "a", 1)
    ledgers.add_batch(book, "b", ["One."])
    with store.stage_copy(source, tmp_path / "one.wav", sha256) as staged:
        book.serve_cached("b", [(ledgers.line_id("b", 1), CachedTake(take, str(source), sha256), staged)])
    last = lines_of(path)[-1]
    assert (last["kind"], last["line"], last["state"], last["take"]) == ("line", "b-00001", "cached", take)
    book.close()


def test_a_transaction_that_fails_leaves_no_entry(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    book = journalled(f"sqlite:///{tmp_path / 'ledger.sqlite3'}", Journal(path))
    ledgers.add_batch(book, "b", ["One."])
    before = lines_of(path)

    def refuse(_connection: object) -> None:
        raise RuntimeError("the commit fails")

    event.listen(book.engine, "commit", refuse)
    with pytest.raises(RuntimeError, match="the commit fails"):
        cancel_lines(book, "b")
    with pytest.raises(RuntimeError, match="the commit fails"):
        book.claim(ledgers.line_id("b", 1), "w1")
    event.remove(book.engine, "commit", refuse)
    assert lines_of(path) == before
    set_batch_state(book, "b", "paused", only_from=("open",))
    assert [each["kind"] for each in lines_of(path)[len(before) :]] == ["batch paused"]
    book.close()


def test_files_are_rotated_and_only_so_many_kept(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "j.jsonl", file_bytes=100, kept=2)
    for number in range(40):
        journal.write({"number": number, "padding": "x" * 20})
    files = sorted(file.name for file in tmp_path.iterdir() if not file.name.startswith("."))
    assert files == ["j.jsonl", "j.jsonl.1", "j.jsonl.2"]
    assert all((tmp_path / name).stat().st_size <= 100 for name in files)
    newest_first = [each["number"] for name in files for each in reversed(lines_of(tmp_path / name))]
    assert newest_first == list(range(39, 39 - len(newest_first), -1))


@pytest.mark.slow
def test_several_processes_lose_no_line_while_files_rotate(tmp_path: Path) -> None:
    program = (
        "import sys; from pathlib import Path; from vvbatch.ledger.journal import Journal\n"
        "journal = Journal(Path(sys.argv[1]), file_bytes=4000, kept=50)\n"
        "for number in range(300): journal.write({'who': sys.argv[2], 'number': number})"
    )
    path = tmp_path / "j.jsonl"
    processes = [subprocess.Popen([sys.executable, "-c", program, str(path), who]) for who in "ab"]
    assert [process.wait(60) for process in processes] == [0, 0]
    found = [(each["who"], each["number"]) for file in tmp_path.glob("j.jsonl*") for each in lines_of(file)]
    assert sorted(found) == [(who, number) for who in "ab" for number in range(300)]
