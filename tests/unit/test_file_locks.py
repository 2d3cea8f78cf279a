from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from vvbatch.file_locks import held_by, holders, locked


@pytest.fixture
def file(tmp_path: Path) -> Path:
    (tmp_path / "users.lock").touch()
    return tmp_path / "users.lock"


@pytest.fixture
def held(file: Path) -> Iterator[int]:
    descriptor = os.open(file, os.O_RDWR)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    yield descriptor
    os.close(descriptor)


@pytest.mark.parametrize("operation", [fcntl.LOCK_SH, fcntl.LOCK_EX])
def test_a_lock_that_another_holds_is_waited_for_with_an_end(file: Path, held: int, operation: int) -> None:
    with file.open("rb+") as other:
        assert not locked(other.fileno(), operation, within_s=0.02)
        fcntl.flock(held, fcntl.LOCK_UN)
        assert locked(other.fileno(), operation, within_s=0)


def test_the_process_that_holds_a_lock_is_named(tmp_path: Path, file: Path, held: int) -> None:
    status = file.stat()
    device = f"{os.major(status.st_dev):02x}:{os.minor(status.st_dev):02x}"
    listing = tmp_path / "locks"
    listing.write_text(
        f"1: POSIX  ADVISORY  WRITE 11 {device}:{status.st_ino} 0 EOF\n"
        f"2: FLOCK  ADVISORY  WRITE 4711 {device}:{status.st_ino} 0 EOF\n"
        f"2: -> FLOCK  ADVISORY  READ 12 {device}:{status.st_ino} 0 EOF\n"
        f"3: FLOCK  ADVISORY  WRITE 13 {device}:{status.st_ino}1 0 EOF\n"
    )
    assert holders(held, listing) == [4711]
    assert f"process 4711 holds {file}: end it (kill -9 4711)" in held_by(held, file, listing)


def test_without_a_list_of_locks_the_message_names_the_file(tmp_path: Path, file: Path, held: int) -> None:
    assert held_by(held, file, tmp_path / "none") == f"another process holds {file}: end it (`lsof {file}` shows it)"
