"""What the fault tests share: a home with a running server, batches looked at through the ledger, workers to be hit."""

from __future__ import annotations

import hashlib
import json
import signal
import sqlite3
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import redis

from tests.conftest import READY_PROFILE, Shell, wait_until
from tests.support.documents import batch_view
from vvbatch.home import Home
from vvbatch.ledger import Ledger
from vvbatch.transport import server
from vvbatch.transport.server import signal_server

QUICK = READY_PROFILE + "delays_s: {timeout: 0.5, resource: 0.5}\n"


class FaultHome:
    """One home with its server, in which things are broken."""

    def __init__(self, shell: Shell, home: Path, folder: Path) -> None:
        self.shell = shell
        self.home = home
        self.folder = folder
        self.out = folder / "out"
        self.server: subprocess.Popen[str] | None = None

    def start_server(self) -> None:
        self.server = self.shell.start("vvbatch", "redis")
        wait_until(lambda: server.EmbeddedServer(Home.from_environment()).is_up())

    def stop_server_for_good(self) -> None:
        """kill -9 of the server, and of the process that would start it again."""
        assert self.server is not None
        self.server.kill()
        self.server.wait()
        signal_server(Home.from_environment(), signal.SIGKILL)

    def redis(self) -> redis.Redis:
        return server.connect(Home.from_environment())

    def worker(self, model: str = "ready", **environment: str) -> subprocess.Popen[str]:
        with (self.folder / "workers.log").open("ab") as log:
            return self.shell.start("tests.support.ready", model, output=log, **environment)

    def submit(self, *texts: str, model: str = "ready", title: str = "Faults", options: Sequence[str] = ()) -> str:
        path = self.folder / f"{title}.yaml"
        path.write_text(json.dumps({"version": 1, "title": title, "model": model, "lines": list(texts)}))
        return str(self.shell.json("submit", str(path), "--out", str(self.out), *options)["batch"])

    def view(self, batch: str) -> Any:
        with closing(Ledger(Home.from_environment().ledger_url)) as ledger:
            return batch_view(ledger, batch)

    def rendering(self, batch: str, count: int) -> None:
        wait_until(lambda: self.view(batch)["counts"]["rendering"] == count)

    def ended(self, batch: str, timeout: float = 90.0) -> Any:
        waits = f"SELECT count(*) FROM lines WHERE batch_id = '{batch}' AND state IN ('queued', 'rendering')"
        try:
            wait_until(lambda: self.rows(waits) == [(0,)], timeout)  # a whole view at each look would take a core
        except AssertionError as error:
            log = self.folder / "workers.log"
            output = log.read_text(errors="replace")[-4000:] if log.exists() else "no worker's log"
            events = self.rows("SELECT * FROM events ORDER BY rowid DESC LIMIT 20")
            raise AssertionError(f"{error}\n{output}\n{events}") from None
        return self.view(batch)

    def rows(self, query: str) -> list[Any]:
        with closing(sqlite3.connect(self.home / "ledger.sqlite3", timeout=60)) as connection:
            return connection.execute(query).fetchall()

    def is_whole(self, *batches: str) -> None:
        """Every done line has its file, nothing else lies there, nothing is left to be mended."""
        wait_until(lambda: not problems(self.home, self.out))
        for batch in batches:
            self.shell("verify", batch)
        wait_until(lambda: not list((self.home / "pending").iterdir()))


def problems(home: Path, out: Path) -> list[str]:
    """What is against the promises, in words; nothing when every line has ended well."""
    found = []
    with closing(sqlite3.connect(home / "ledger.sqlite3", timeout=60)) as connection:
        kept = list(connection.execute("SELECT path, sha256 FROM lines WHERE path IS NOT NULL"))
        for path, sha256 in kept:
            if not Path(path).is_file() or hashlib.sha256(Path(path).read_bytes()).hexdigest() != sha256:
                found.append(f"{path} is not what the ledger says")
        spare = "SELECT path FROM takes WHERE path IS NOT NULL"
        known = {path for path, _ in kept} | {path for (path,) in connection.execute(spare)}
        found += [f"{file} has no row" for file in out.rglob("*.wav") if str(file) not in known]
        found += [f"{file} was left" for file in out.rglob(".tmp-*")]
        for (line_id,) in connection.execute("SELECT id FROM lines WHERE state IN ('queued', 'rendering')"):
            found.append(f"{line_id} is open")
        for (line_id,) in connection.execute("SELECT id FROM lines WHERE state = 'failed' AND error IS NULL"):
            found.append(f"{line_id} failed without a reason")
        for (take,) in connection.execute(
            "SELECT id FROM takes WHERE state IN ('failed', 'crashed') AND error IS NULL"
        ):
            found.append(f"take {take} ended without a reason")
        for (take,) in connection.execute("SELECT id FROM takes WHERE state = 'rendering'"):
            found.append(f"take {take} never ended")
        for batch, folder in connection.execute(
            "SELECT id, out FROM batches WHERE ended_at IS NULL OR manifest_sha256 IS NULL"
        ):
            found.append(f"{batch} in {folder} has not ended, or has no manifest")
        for line_id, count in connection.execute(
            "SELECT line_id, count(*) FROM takes WHERE state = 'done' GROUP BY line_id HAVING count(*) > 1"
        ):
            found.append(f"{line_id} was done {count} times")
    return found


def is_stopped(pid: int) -> bool:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "T"


@pytest.fixture
def fault_home(shell: Shell, home: Path, tmp_path: Path) -> Iterator[FaultHome]:
    (tmp_path / "configs" / "ready.yaml").write_text(QUICK)
    (tmp_path / "configs" / "solo.yaml").write_text(QUICK.replace("slots: 16", "slots: 1"))
    fault_home = FaultHome(shell, home, tmp_path)
    fault_home.start_server()
    yield fault_home
