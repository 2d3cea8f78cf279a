from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import psutil
import pytest
from sqlalchemy import Engine, create_engine, inspect

from tests.conftest import ROOT
from tests.support.documents import batch_view
from tests.support.ledgers import add_batch, begin, open_ledger
from vvbatch.ledger import Ledger, LedgerError, Outcome, database, schema
from vvbatch.ledger.listings import Filter, list_lines
from vvbatch.ledger.migrations import MIGRATIONS
from vvbatch.ledger.queues import pause_queue
from vvbatch.ledger.states import LineState, TakeState

NEWEST = len(MIGRATIONS)
VERSION_OF_PARTS = 1 + [step.__name__ for step in MIGRATIONS].index("parts_titles_and_breaks")


ONE_LINE = """
    INSERT INTO batches (id, title, script, fingerprint, model, priority, out, state, created_at, ended_at) VALUES
        ('b', 'Title', 'b.yaml', 'f', 'draft', 'normal', '/out', 'open', '2026-01-01T00:00:00.000000Z', NULL);
    INSERT INTO lines (id, batch_id, line, number, chapter, chapter_title, model, state, attempt, crashes, key,
            control_hash, text, request, takes, pause_after_s, created_at, updated_at) VALUES
        ('b-00001', 'b', 'l1', 1, 1, '', 'draft', 'queued', 0, 0, 'k', 'c', 'One.',
         '{"turns": [[0, "One."]], "speakers": ["narrator"], "voices": [], "seed": 5, "params": {"cfg_scale": 1.3,
           "steps": 10, "temperature": 0.0, "max_duration_s": null, "golden": true}}', 1,
            0, '2026-01-01T00:00:00.000000Z', '2026-01-01T00:00:00.000000Z')
"""


def url_of(file: Path) -> str:
    return f"sqlite:///{file}"


def old_ledger(file: Path, version: int) -> None:
    """What a vvbatch that knew `version` migrations left behind, with a batch of one line in it."""
    engine = create_engine(url_of(file))
    with engine.begin() as connection:
        schema.schema_version.create(connection)
        connection.exec_driver_sql(f"INSERT INTO schema_version VALUES ({version})")
        for step in MIGRATIONS[:version]:
            step(connection)
        for statement in ONE_LINE.split(";"):
            connection.exec_driver_sql(statement)
    engine.dispose()


def shape(engine: Engine) -> dict[str, Any]:
    """Tables, columns, keys and indexes as the database itself reports them."""
    seen = inspect(engine)
    tables = {}
    for table in seen.get_table_names():
        tables[table] = {
            "columns": {c["name"]: (sql_type(c["type"]), c["nullable"]) for c in seen.get_columns(table)},
            "key": seen.get_pk_constraint(table)["constrained_columns"],
            "references": sorted(
                (k["constrained_columns"], k["referred_table"], k["referred_columns"])
                for k in seen.get_foreign_keys(table)
            ),
            "indexes": {
                i["name"]: (i["column_names"], bool(i["unique"]), str(where(i["dialect_options"])))
                for i in seen.get_indexes(table)
            },
        }
    return tables


def sql_type(column_type: object) -> str:
    name = str(column_type).replace("_", " ")
    return "DOUBLE" if name in ("REAL", "DOUBLE PRECISION") else name  # one and the same on SQLite


def where(options: dict[str, Any]) -> object:
    found = options.get("sqlite_where", options.get("postgresql_where", ""))
    return str(found).replace("::text", "").strip("()")


def test_the_migrations_make_exactly_the_schema_that_the_code_uses(tmp_path: Path) -> None:
    Ledger(url_of(tmp_path / "migrated")).close()
    declared = create_engine(url_of(tmp_path / "declared"))
    schema.metadata.create_all(declared)
    assert shape(create_engine(url_of(tmp_path / "migrated"))) == shape(declared)


@pytest.mark.parametrize("version", range(1, NEWEST + 1))
def test_a_ledger_of_an_earlier_version_is_brought_up_to_date_with_its_data(tmp_path: Path, version: int) -> None:
    file = tmp_path / "ledger.sqlite3"
    old_ledger(file, version)
    ledger = Ledger(url_of(file))
    assert batch_view(ledger, "b")["lines"][0]["id"] == "l1"
    pause_queue(ledger, "draft", "a table of the newest version")
    begin(ledger, "b", 1)
    ledger.close()
    with closing(sqlite3.connect(file)) as connection:
        assert connection.execute("SELECT version FROM schema_version").fetchall() == [(NEWEST,)]
    declared = create_engine(url_of(tmp_path / "declared"))
    schema.metadata.create_all(declared)
    assert shape(create_engine(url_of(file))) == shape(declared)


def test_a_pause_of_an_older_ledger_counts_as_given(tmp_path: Path) -> None:
    file = tmp_path / "ledger.sqlite3"
    old_ledger(file, VERSION_OF_PARTS - 1)
    with closing(sqlite3.connect(file)) as connection, connection:
        for number, pause in ((2, 1.5), (3, 0)):
            columns = "batch_id, chapter, chapter_title, model, state, attempt, crashes, key, control_hash, text"
            columns += ", request, takes, created_at, updated_at"
            connection.execute(
                f"INSERT INTO lines (id, line, number, pause_after_s, {columns}) "
                f"SELECT 'b-0000{number}', 'l{number}', {number}, {pause}, {columns} FROM lines WHERE number = 1"
            )
    ledger = Ledger(url_of(file))
    found = [(row.line, row.pause_given_s, row.break_after, row.role) for row in list_lines(ledger, Filter())]
    assert found == [("l1", None, "line", "line"), ("l2", 1.5, "line", "line"), ("l3", None, "line", "line")]
    ledger.close()


@pytest.mark.parametrize("version", range(1, NEWEST))
def test_a_copy_of_the_old_version_is_kept_beside_the_migrated_file(tmp_path: Path, version: int) -> None:
    file = tmp_path / "ledger.sqlite3"
    old_ledger(file, version)
    Ledger(url_of(file)).close()
    with closing(sqlite3.connect(tmp_path / f"ledger.sqlite3.v{version}")) as copy:
        assert copy.execute("SELECT version FROM schema_version").fetchone() == (version,)
        assert copy.execute("SELECT line FROM lines").fetchone() == ("l1",)
    left = {path.name for path in tmp_path.iterdir()}
    assert left <= {"ledger.sqlite3", f"ledger.sqlite3.v{version}", "ledger.sqlite3-wal", "ledger.sqlite3-shm"}


def test_an_up_to_date_ledger_is_not_copied(tmp_path: Path) -> None:
    for _ in range(2):
        Ledger(url_of(tmp_path / "ledger.sqlite3")).close()
    assert not list(tmp_path.glob("*.v*"))


def test_the_copy_is_of_the_old_version_even_when_another_process_migrates_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "ledger.sqlite3"
    old_ledger(file, 1)
    looked = database.current_version

    def slow_look(engine: Engine) -> int:
        version = looked(engine)
        monkeypatch.setattr(database, "current_version", looked)
        Ledger(url_of(file)).close()  # the other process, between this one's look and its migration
        return version

    monkeypatch.setattr(database, "current_version", slow_look)
    Ledger(url_of(file)).close()
    with closing(sqlite3.connect(tmp_path / "ledger.sqlite3.v1")) as copy:
        assert copy.execute("SELECT version FROM schema_version").fetchone() == (1,)


def test_a_migration_that_fails_leaves_the_ledger_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "ledger.sqlite3"
    old_ledger(file, 1)

    def broken(connection: Any) -> None:
        connection.exec_driver_sql("CREATE TABLE half (id TEXT)")
        connection.exec_driver_sql("CREATE TABLE batches (id TEXT)")

    monkeypatch.setattr(database, "MIGRATIONS", [MIGRATIONS[0], broken])
    with pytest.raises(LedgerError, match="already exists"):
        Ledger(url_of(file))
    with closing(sqlite3.connect(file)) as connection:
        assert connection.execute("SELECT version FROM schema_version").fetchone() == (1,)
        assert not connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'half'").fetchall()


def test_a_ledger_of_a_newer_version_is_refused_and_not_touched(tmp_path: Path) -> None:
    file = tmp_path / "ledger.sqlite3"
    Ledger(url_of(file)).close()
    with closing(sqlite3.connect(file)) as connection, connection:
        connection.execute("UPDATE schema_version SET version = 99")
    before = file.read_bytes()
    with pytest.raises(LedgerError, match=f"schema version 99; this vvbatch knows up to {NEWEST}: upgrade vvbatch"):
        Ledger(url_of(file))
    assert file.read_bytes() == before


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (
            lambda folder: (folder / "file").write_bytes(b"not a database, but long enough for a header " * 50),
            "not a database",
        ),
        (lambda folder: (folder / "file").mkdir(), "unable to open"),
    ],
)
def test_what_is_no_ledger_is_refused_with_its_place(tmp_path: Path, make: Callable[[Path], object], said: str) -> None:
    make(tmp_path)
    with pytest.raises(LedgerError, match=said) as caught:
        Ledger(url_of(tmp_path / "file"))
    assert str(tmp_path / "file") in str(caught.value)


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("not a url", "VVBATCH_LEDGER_URL"),
        ("nosuchdb://host/x", "VVBATCH_LEDGER_URL"),
        ("oracle+nosuchdriver://me:secret@host/x", "VVBATCH_LEDGER_URL"),
    ],
)
def test_a_url_that_cannot_be_used_is_refused_without_showing_its_password(url: str, said: str) -> None:
    with pytest.raises(LedgerError, match=said) as caught:
        Ledger(url)
    assert "secret" not in str(caught.value)


class Mount(NamedTuple):
    mountpoint: str
    fstype: str


@pytest.mark.parametrize(
    "kind",
    [
        *("nfs4", "CIFS", "smbfs", "smb3", "9p", "virtiofs", "fakeowner", "osxfs", "grpcfuse", "fuse.grpcfuse"),
        *("vmhgfs", "fuse.vmhgfs-fuse", "drvfs", "cephfs", "ceph", "beegfs", "gpfs", "davfs", "davfs2", "fuse.davfs2"),
        *("gcsfuse", "fuse.gcsfuse", "juicefs", "fuse.juicefs", "afs", "openafs", "lustre", "vboxsf", "prl_fs"),
        *("nfs", "smb", "cifs2", "ceph-fuse", "pvfs2", "afs3", "wekafs", "hgfs", "cvmfs2", "sshfs", "beegfs_nodev"),
        *("fuse.sshfs", "fuse.rclone", "fuse.s3fs", "fuse.anything-new", "fuse", "macfuse"),
    ],
)
def test_a_network_file_system_is_refused_before_anything_is_made_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    mounts = [Mount("/", "ext4"), Mount(str(tmp_path / "share"), kind)]
    monkeypatch.setattr(psutil, "disk_partitions", lambda all: mounts)
    with pytest.raises(LedgerError, match=r"network file system or a shared folder \(.* VVBATCH_HOME"):
        Ledger(url_of(tmp_path / "share" / "home" / "ledger.sqlite3"))
    assert not (tmp_path / "share").exists()


@pytest.mark.parametrize("kind", ["ext4", "xfs", "btrfs", "apfs", "overlay", "tmpfs", "fuseblk", "fuse.gocryptfs"])
def test_a_local_file_system_is_accepted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    monkeypatch.setattr(psutil, "disk_partitions", lambda all: [Mount("/", "nfs"), Mount(str(tmp_path), kind)])
    Ledger(url_of(tmp_path / "home" / "ledger.sqlite3")).close()


def test_the_mount_that_covers_another_at_its_place_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mounts = [Mount("/", "ext4"), Mount(str(tmp_path), "ext4"), Mount(str(tmp_path), "nfs4")]
    monkeypatch.setattr(psutil, "disk_partitions", lambda all: mounts)
    with pytest.raises(LedgerError, match="nfs4"):
        Ledger(url_of(tmp_path / "home" / "ledger.sqlite3"))


def test_a_local_folder_below_a_network_mount_of_another_place_is_fine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mounts = [Mount("/", "nfs"), Mount(str(tmp_path), "ext4"), Mount(str(tmp_path / "homework"), "nfs")]
    monkeypatch.setattr(psutil, "disk_partitions", lambda all: mounts)
    Ledger(url_of(tmp_path / "home" / "ledger.sqlite3")).close()


WRITER = """
import sys
from tests.support.ledgers import add_batch, fail, render
from vvbatch.ledger import Ledger
from vvbatch.ledger.batches import settle_batch

ledger, name = Ledger(sys.argv[1]), sys.argv[2]
for round in range(10):
    batch = add_batch(ledger, f"{name}-{round}", ["One.", "Two.", "Three."])
    render(ledger, batch, 1)
    fail(ledger, batch, 2)
    render(ledger, batch, 3)
    assert settle_batch(ledger, batch) == "failed"
"""


def run_writers(url: str) -> None:
    """Four processes that open the ledger and write to it, all at once."""
    writers = [
        subprocess.Popen([sys.executable, "-c", WRITER, url, f"w{n}"], cwd=ROOT, stderr=subprocess.PIPE, text=True)
        for n in range(4)
    ]
    for writer in writers:
        _, said = writer.communicate(timeout=120)
        assert writer.returncode == 0, said


@pytest.mark.slow
def test_four_processes_that_write_at_once_lose_nothing(tmp_path: Path) -> None:
    url = url_of(tmp_path / "ledger.sqlite3")
    run_writers(url)
    with closing(sqlite3.connect(tmp_path / "ledger.sqlite3")) as connection:
        states = dict(connection.execute("SELECT state, count(*) FROM lines GROUP BY state"))
        assert states == {"done": 80, "failed": 40}
        assert connection.execute("SELECT count(*) FROM takes").fetchone() == (120,)
        assert connection.execute("SELECT count(*) FROM qc_results").fetchone() == (80 * 3 + 40,)
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)


def test_numbers_that_json_lacks_are_stored_as_nothing_and_numpys_as_plain_ones(tmp_path: Path) -> None:
    ledger = open_ledger(tmp_path)
    add_batch(ledger, "b", ["One."])
    claim, take = begin(ledger, "b", 1)
    checks = [
        ("peak_dbfs", float("-inf"), None, False),
        ("finite", float("nan"), 0, False),
        ("dc", np.float32(0.5), 1, True),
    ]
    ledger.release(
        claim, LineState.FAILED, "bad", [(take, Outcome(TakeState.FAILED_QC, error="bad", qc=checks))], trouble="qc"
    )
    shown = [(check["value"], check["limit"]) for check in batch_view(ledger, "b")["lines"][0]["qc"]]
    assert shown == [(None, None), (None, 0), (0.5, 1)]
    with closing(sqlite3.connect(tmp_path / "ledger.sqlite3")) as connection:
        assert connection.execute("SELECT min(json_valid(value)) FROM qc_results").fetchone() == (1,)
        assert json.loads(connection.execute("SELECT request FROM lines").fetchone()[0])["seed"] == 1001


@pytest.mark.slow
def test_a_ledger_on_sqlite_does_not_load_the_dialect_of_postgresql(tmp_path: Path) -> None:
    code = f"import sys; from vvbatch.ledger import Ledger; Ledger({url_of(tmp_path / 'l')!r}); print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert "sqlalchemy.dialects.sqlite" in done.stdout.split()
    assert "sqlalchemy.dialects.postgresql" not in done.stdout.split()
