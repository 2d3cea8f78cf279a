"""No process of vvbatch opens a network connection: seen by a hook in each, and in a namespace without a network."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conftest import ROOT, Shell
from tests.support import hub_cache

HOOK = """
import os, sys

def refuse(event, arguments):
    connects = event in ("socket.connect", "socket.sendto") and not isinstance(arguments[1], (str, bytes))
    if connects or event == "socket.getaddrinfo":
        with open(os.environ["SEEN_CONNECTIONS"], "a") as file:
            file.write(f"{sys.argv} {event} {arguments[1:]}\\n")
        raise OSError("a test forbids network connections")

with open(os.environ["SEEN_CONNECTIONS"] + ".hooked", "a") as file:
    file.write(f"{sys.argv[0]}\\n")
sys.addaudithook(refuse)
"""


def no_network() -> list[str]:
    """The words that put a command into a network namespace of its own; none where that is not allowed."""
    if shutil.which("unshare") is None:
        return []
    words = ["unshare", "--map-root-user", "--net"]
    return words if subprocess.run([*words, "true"], capture_output=True, check=False).returncode == 0 else []


@pytest.fixture
def seen(tmp_path: Path, home: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file that every process of this test writes its network connections to; `.hooked` lists those processes."""
    (tmp_path / "hook").mkdir()
    (tmp_path / "hook" / "sitecustomize.py").write_text(HOOK)
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path / 'hook'}:{ROOT}")
    monkeypatch.setenv("SEEN_CONNECTIONS", str(tmp_path / "connections"))
    return tmp_path / "connections"


def test_the_hook_sees_a_connection(seen: Path) -> None:
    for program in (
        "import socket; socket.create_connection(('127.0.0.1', 9))",
        "import urllib.request as r; r.urlopen('http://h')",
    ):
        subprocess.run([sys.executable, "-c", program], capture_output=True, check=False)
    assert len(seen.read_text().splitlines()) == 2


def test_nothing_but_pull_and_sync_opens_a_connection(
    shell: Shell, script: Callable[..., Path], seen: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = tmp_path / "hub"
    files, tokenizer = hub_cache.tiny_files(tmp_path / "made")
    hub_cache.put(cache, hub_cache.REPO, hub_cache.REVISION, files)
    hub_cache.put(cache, hub_cache.TOKENIZER_REPO, hub_cache.TOKENIZER_REVISION, tokenizer)
    hub_cache.write_profile(tmp_path / "configs")
    monkeypatch.setenv("HF_HUB_CACHE", str(cache))
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    path = script("Who's there?", model="tiny")
    apart = no_network()

    def vvbatch(*words: str) -> str:
        command = [*apart, sys.executable, "-m", "vvbatch", *words]
        done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, timeout=120, check=False)
        assert done.returncode in (0, 1), f"{words}: {done.returncode} {done.stdout} {done.stderr}"
        return done.stdout

    vvbatch("run", str(path))  # submit and worker; a tiny model's noise need not pass the checks
    assert hub_cache.REPO in vvbatch("ledger", "query", "select facts from workers")
    (take,) = json.loads(vvbatch("ledger", "takes", "--limit", "1", "--json"))
    assert take["wall_s"] > 0
    for words in (
        ("status", "--json"),
        ("models", "list"),
        ("models", "verify"),
        ("check", str(path)),
        ("verify",),
        ("warmup", "tiny", "--voice", "carter"),
        ("bundle", "--out", str(tmp_path / "report.zip")),  # with the doctor
    ):
        vvbatch(*words)
    hooked = (tmp_path / "connections.hooked").read_text()
    assert hooked.count("\n") >= 9  # the commands and the worker
    assert not seen.exists(), seen.read_text()
