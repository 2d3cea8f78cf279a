"""Assembly is killed or cannot write: no partial file has a name, and the next call makes the same book."""

from __future__ import annotations

import hashlib
import shutil
import signal
import sys
from pathlib import Path

import pytest

from tests.conftest import Shell, wait_until
from tests.support.books import finished_batch
from vvbatch.batch.output import is_staged
from vvbatch.home import Home
from vvbatch.ledger import Ledger
from vvbatch.ledger.books import awaits_book
from vvbatch.ledger.schema import batches

pytest.importorskip("av")
STEPS = (
    "book.chapter_written",
    "book.chapter_written@2",
    "book.encoded",
    "store.begin@2",
    "store.temp_opened@3",
    "store.temp_written@3",
    "store.temp_synced@3",
    "store.renamed@3",
    "store.folder_synced@3",
    "book.published",
    "book.published@2",
    "book.recorded",
)


@pytest.fixture
def batch(home: Path, tmp_path: Path) -> str:
    ledger = Ledger(Home.from_environment().ledger_url)
    made = finished_batch(ledger, tmp_path / "out")
    ledger.close()
    return made


def book(tmp_path: Path, batch: str) -> dict[str, str]:
    """The files under final names, with their hashes."""
    folder = tmp_path / "out" / batch / "book"
    files = sorted(folder.iterdir()) if folder.exists() else []
    return {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in files if not is_staged(file.name)}


def assembled(shell: Shell, batch: str, **environment: str) -> int:
    argv = ("vvbatch", "assemble", batch, "--book", "m4b,mp3,flac")
    process = shell.start(*argv, output=sys.stderr.fileno(), **environment)
    return process.wait(timeout=120)


def test_killed_at_each_step_no_partial_file_is_left_and_the_next_call_makes_the_book(
    shell: Shell, tmp_path: Path, batch: str
) -> None:
    assert assembled(shell, batch, VVBATCH_HOME=str(tmp_path / "home")) == 0
    whole = book(tmp_path, batch)
    assert len(whole) == 6
    for step in STEPS:
        shutil.rmtree(tmp_path / "out" / batch / "book")
        shutil.rmtree(tmp_path / "home" / "cache" / "book")
        code = assembled(shell, batch, VVBATCH_FAULTS=f"{step}=kill")
        assert code == -signal.SIGKILL, f"{step} was never reached"
        left = book(tmp_path, batch)
        assert left == {name: whole[name] for name in left}, f"a partial file after {step}"
        assert assembled(shell, batch) == 0
        assert book(tmp_path, batch) == whole, step
    assert shell.json("verify", batch)["problems"] == []


@pytest.mark.parametrize("step", ["book.chapter_written@2", "book.encoded", "store.temp_written@3", "book.recorded"])
def test_the_process_of_books_is_killed_in_a_job_and_the_next_one_makes_the_book(
    shell: Shell, tmp_path: Path, batch: str, step: str
) -> None:
    asked = {"book": {"formats": ["flac"]}}
    ledger = Ledger(Home.from_environment().ledger_url)
    with ledger.engine.begin() as connection:
        connection.execute(batches.update().values(asked))
    shell.start("vvbatch", "redis")
    killed = shell.start("workers.books", output=sys.stderr.fileno(), VVBATCH_FAULTS=f"{step}=kill")
    assert killed.wait(timeout=120) == -signal.SIGKILL
    assert set(book(tmp_path, batch)) <= {"The Lamp.flac", "The Lamp.srt"}
    if step != "book.recorded":
        shell.start("workers.books", output=sys.stderr.fileno())
        wait_until(lambda: not awaits_book(ledger, batch), timeout=120)
    assert set(book(tmp_path, batch)) == {"The Lamp.flac", "The Lamp.srt"}
    ledger.close()
    assert not shell.json("verify", batch, code=None)["problems"]


@pytest.mark.parametrize("step", ["store.temp_opened@3", "store.temp_written@3", "store.renamed@3"])
def test_a_full_disk_is_one_sentence_and_leaves_no_partial_file(
    shell: Shell, tmp_path: Path, batch: str, step: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VVBATCH_FAULTS", f"{step}=ENOSPC")
    done = shell("assemble", batch, "--book", "flac", code=1)
    assert "No space left on device" in done.stderr and "Traceback" not in done.stderr
    monkeypatch.delenv("VVBATCH_FAULTS")
    shell("assemble", batch, "--book", "flac")
    assert set(book(tmp_path, batch)) == {"The Lamp.flac", "The Lamp.srt"}
