from __future__ import annotations

import os
import shutil
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import wait_until
from tests.support import hub_cache
from tests.support.cli import Cli
from tests.support.hub_cache import REPO
from vvbatch.engine.contract import EngineUnavailable
from vvbatch.models import sync as syncing

needs_rsync = pytest.mark.skipif(shutil.which("rsync") is None, reason="rsync is not installed")


@pytest.fixture
def elsewhere(tmp_path: Path, tiny_files: tuple[dict[str, bytes], dict[str, bytes]]) -> Path:
    """Another machine's cache."""
    cache = tmp_path / "elsewhere" / "hub"
    hub_cache.put(cache, REPO, hub_cache.REVISION, tiny_files[0])
    hub_cache.put(cache, hub_cache.TOKENIZER_REPO, hub_cache.TOKENIZER_REVISION, tiny_files[1])
    hub_cache.put(cache, "some/other", "1" * 40, {"config.json": b"{}"})
    return cache


@pytest.fixture
def cli(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Cli:
    from huggingface_hub import constants

    hub_cache.write_profile(tmp_path / "configs")
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    return Cli()


@pytest.fixture
def daemon(elsewhere: Path, tmp_path: Path) -> Iterator[str]:
    """A real rsync daemon on loopback that serves the other machine's cache, read-only; its URL."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    config = tmp_path / "rsyncd.conf"
    config.write_text(
        f"use chroot = no\nlog file = {tmp_path}/rsyncd.log\npid file = {tmp_path}/rsyncd.pid\n"
        f"[cache]\npath = {elsewhere}\nread only = yes\nuid = {os.getuid()}\ngid = {os.getgid()}\n"
    )
    command = ["rsync", "--daemon", "--no-detach", "--address=127.0.0.1", f"--port={port}", f"--config={config}"]
    process = subprocess.Popen(command)
    try:
        wait_until(lambda: answers(port))
        yield f"rsync://127.0.0.1:{port}/cache"
    finally:
        process.terminate()
        process.wait()


def answers(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def layout(cache: Path) -> dict[str, str]:
    """Every file and link of the cache's model repos, with its content or target."""
    return {
        str(path.relative_to(cache)): f"-> {path.readlink()}"
        if path.is_symlink()
        else hub_cache.oid("", path.read_bytes())
        for path in sorted(cache.rglob("*"))
        if path.is_symlink() or path.is_file()
    }


@needs_rsync
def test_a_cache_is_copied_from_an_rsync_daemon_with_its_links_and_verified(
    cli: Cli, daemon: str, elsewhere: Path, tmp_path: Path
) -> None:
    before = layout(elsewhere)
    done = cli("models", "sync", daemon, "tiny")
    assert f"{REPO} at revision {hub_cache.REVISION}: complete" in done.stdout
    assert layout(elsewhere) == before
    assert layout(tmp_path / "hub") == {name: found for name, found in before.items() if "some--other" not in name}
    assert cli.json("models", "verify", "tiny")[0]["state"] == "complete"


@needs_rsync
def test_weights_in_the_sources_shared_store_arrive_as_blobs_of_their_repo(
    cli: Cli, daemon: str, elsewhere: Path, tmp_path: Path
) -> None:
    whole = layout(elsewhere)
    hub_cache.share(elsewhere)
    cli("models", "sync", daemon, "tiny")
    assert layout(tmp_path / "hub") == {name: found for name, found in whole.items() if "some--other" not in name}
    assert cli.json("models", "verify", "tiny")[0]["state"] == "complete"
    sent = [blob.stat() for blob in (tmp_path / "hub").rglob("blobs/*")]
    cli("models", "sync", daemon, "tiny")
    assert [blob.stat() for blob in (tmp_path / "hub").rglob("blobs/*")] == sent, "copied again"


@needs_rsync
def test_sync_does_not_accept_a_blob_that_links_out_of_the_sources_cache(
    cli: Cli, daemon: str, elsewhere: Path, tmp_path: Path
) -> None:
    blob = (hub_cache.snapshot_of(elsewhere) / hub_cache.SHARDS[0]).resolve()
    blob.unlink()
    blob.symlink_to("/etc/passwd")
    cli("models", "sync", daemon, "tiny", code=3)
    cli("models", "sync", str(elsewhere), "tiny", code=1)
    assert cli.json("models", "verify", "tiny", code=1)[0]["state"] != "complete"


@needs_rsync
@pytest.mark.parametrize("named", ["hub", ""], ids=["the cache itself", "the folder that holds hub"])
def test_a_cache_is_copied_from_a_mounted_folder(cli: Cli, elsewhere: Path, tmp_path: Path, named: str) -> None:
    cli("models", "sync", str(elsewhere.parent / named))
    assert (hub_cache.snapshot_of(tmp_path / "hub") / "config.json").is_symlink()
    assert not (tmp_path / "hub" / "models--some--other").exists()


@needs_rsync
def test_sync_reports_a_broken_source_after_the_copy(cli: Cli, daemon: str, elsewhere: Path) -> None:
    hub_cache.flip_a_byte(hub_cache.snapshot_of(elsewhere))
    done = cli("models", "sync", daemon, code=1)
    assert "not usable" in done.stdout
    assert "corrupt: " in done.stdout


@needs_rsync
def test_a_link_out_of_the_source_is_not_copied(cli: Cli, elsewhere: Path, tmp_path: Path) -> None:
    config = hub_cache.snapshot_of(elsewhere) / "config.json"
    config.unlink()
    config.symlink_to("/etc/passwd")
    assert "missing: " in cli("models", "sync", str(elsewhere), code=1).stdout
    assert not (hub_cache.snapshot_of(tmp_path / "hub") / "config.json").is_symlink()


@needs_rsync
def test_sync_reports_a_model_that_the_source_lacks(cli: Cli, elsewhere: Path, tmp_path: Path) -> None:
    shutil.rmtree(elsewhere / "models--maker--tiny")
    done = cli("models", "sync", str(elsewhere), "tiny", code=2)
    assert f"does not have {REPO}: it has models--maker--words, models--some--other" in done.stderr
    (tmp_path / "empty").mkdir()
    assert "holds no models--OWNER--NAME folder" in cli("models", "sync", str(tmp_path / "empty"), code=3).stderr


@needs_rsync
def test_sync_reports_a_daemon_that_does_not_run(cli: Cli) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        source = f"rsync://127.0.0.1:{taken.getsockname()[1]}/cache"
        said = cli("models", "sync", source, code=3).stderr
    assert f"rsync from {source}/ failed" in said


@pytest.mark.parametrize(
    "source",
    [
        "-e/bin/sh",
        "--rsh=sh",
        "u@-oProxyCommand=x:y",
        "-h:path",
        "host:-path",
        "host::module",
        "ftp://h/x",
        "nowhere",
        "a:b\n",
    ],
)
def test_sync_refuses_options_and_invalid_sources(source: str) -> None:
    with pytest.raises(ValueError, match=r"source|neither"):
        syncing.checked_source(source)


@pytest.mark.parametrize(
    "source", ["studio:.cache/huggingface/hub", "me@10.0.0.2:/data/a b/", "rsync://me@nas:8873/hub"]
)
def test_sync_accepts_remote_sources_unchanged(source: str) -> None:
    assert syncing.checked_source(source) == source.rstrip("/") + "/"


def test_sync_names_the_package_to_install_without_rsync(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(EngineUnavailable, match="brew install rsync"):
        syncing.find_rsync()
    (tmp_path / "rsync").write_text(
        "#!/bin/sh\necho 'openrsync: protocol version 29, rsync version 2.6.9 compatible'\n"
    )
    (tmp_path / "rsync").chmod(0o755)
    with pytest.raises(EngineUnavailable, match="is not rsync 3 or newer"):
        syncing.find_rsync()
