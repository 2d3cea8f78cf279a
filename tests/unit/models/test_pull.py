from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml
from huggingface_hub import constants

from tests.conftest import wait_until
from tests.support import hub_cache
from tests.support.cli import Cli
from tests.support.hub_cache import REPO, REVISION, SHARDS, TOKENIZER_REPO, TOKENIZER_REVISION
from tests.support.hub_server import Hub, running
from vvbatch.models import pull as pulling
from vvbatch.report import counting

pytestmark = pytest.mark.slow  # a hub is served on loopback


@pytest.fixture
def hub(tiny_files: tuple[dict[str, bytes], dict[str, bytes]]) -> Iterator[Hub]:
    """The tiny model, with files that vvbatch does not want, and an alternative that has its tokenizer with it."""
    more = {"README.md": b"# tiny", "pytorch_model.bin": b"pickle", "figures/plot.png": b"png"}
    files = {
        (REPO, REVISION): {**tiny_files[0], **more},
        (TOKENIZER_REPO, TOKENIZER_REVISION): {**tiny_files[1], "vocab.json": b"{}"},
        ("other/tiny-hf", "9" * 40): {**tiny_files[0], **tiny_files[1]},
    }
    with running(Hub(files)) as hub:
        yield hub


@pytest.fixture
def pull(home: Path, hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Cli:
    """The command line with this hub and an empty cache, and the profile `tiny`."""
    hub_cache.write_profile(tmp_path / "configs")
    monkeypatch.setattr(constants, "ENDPOINT", hub.url)
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", hub.url + "/{repo_id}/resolve/{revision}/{filename}")
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
    for name in ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE", "HF_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    return Cli()


def test_pull_downloads_only_the_files_that_are_used_and_each_once(pull: Cli, hub: Hub, tmp_path: Path) -> None:
    done = pull("models", "pull", "tiny")
    assert f"{REPO} at {REVISION}" in done.stdout
    names = {file.name for file in hub_cache.snapshot_of(tmp_path / "hub").iterdir()}
    assert names == {"config.json", "model.safetensors.index.json", *SHARDS}
    assert not {"README.md", "pytorch_model.bin", "vocab.json", "figures/plot.png"} & set(hub.sent)
    before = dict(hub.sent)
    pull("models", "pull", "tiny")
    assert dict(hub.sent) == before
    assert pull.json("models", "verify", "tiny")[0]["state"] == "complete"
    listed = next(row for row in pull.json("models", "list") if row["profile"] == "tiny")
    assert (listed["state"], listed["device"], listed["dtype"]) == ("complete", "cpu", "float32")
    assert listed["path"] == str(hub_cache.snapshot_of(tmp_path / "hub"))
    assert listed["size_bytes"] > 500_000
    assert listed["memory_fits"] is True


@pytest.mark.slow
def test_pull_resumes_a_lost_connection_at_its_offset(pull: Cli, hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    hub.cut_after = 100_000
    monkeypatch.setattr(constants, "DOWNLOAD_CHUNK_SIZE", 50_000)  # what is received in smaller pieces is not counted
    pull("models", "pull", "tiny")
    assert sorted(hub.ranges) == [(shard, "bytes=100000-") for shard in SHARDS]
    sizes = hub.files[REPO, REVISION]
    assert all(hub.sent[shard] == len(sizes[shard]) for shard in SHARDS)


SMALL_PIECES = """
from huggingface_hub import constants
constants.DOWNLOAD_CHUNK_SIZE = 50_000  # what is received in smaller pieces is not written yet
from vvbatch.cli import main
main()
"""


@pytest.mark.slow
def test_pull_resumes_a_killed_pull_at_its_offset(
    pull: Cli, hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub.stall_after = 100_000
    environment = {**os.environ, "HF_ENDPOINT": hub.url, "HF_HUB_CACHE": str(tmp_path / "hub")}
    process = subprocess.Popen([sys.executable, "-c", SMALL_PIECES, "models", "pull", "tiny"], env=environment)
    blobs = tmp_path / "hub" / "models--maker--tiny" / "blobs"
    part = blobs / f"{hub_cache.oid(SHARDS[0], hub.files[REPO, REVISION][SHARDS[0]])}.vvbatch.incomplete"
    try:
        wait_until(lambda: part.exists() and part.stat().st_size == 100_000)
    finally:
        process.kill()
        process.wait()
        hub.stall_after = None
    fetched: list[tuple[int, int]] = []
    monkeypatch.setattr(counting, "counting", recording_to(fetched))
    pull("models", "pull", "tiny")
    assert hub.ranges == [(SHARDS[0], "bytes=100000-")]
    sizes = {name: len(data) for name, data in hub.files[REPO, REVISION].items()}
    assert all(hub.sent[shard] == sizes[shard] for shard in SHARDS)
    assert fetched[0][0] > 100_000, "what was there already counts as done"
    assert not list(blobs.glob("*.incomplete"))
    pull("models", "verify", "tiny")


def recording_to(seen: list[tuple[int, int]]) -> Any:
    """A `counting` that keeps its arguments."""

    @contextmanager
    def counting(*_words: object, **_options: object) -> Iterator[Any]:
        yield lambda done, total: seen.append((done, total))

    return counting


def test_pull_discards_a_partial_file_with_other_bytes(pull: Cli, hub: Hub, tmp_path: Path) -> None:
    data = hub.files[REPO, REVISION][SHARDS[0]]
    blobs = tmp_path / "hub" / "models--maker--tiny" / "blobs"
    blobs.mkdir(parents=True)
    (blobs / f"{hub_cache.oid(SHARDS[0], data)}.vvbatch.incomplete").write_bytes(b"x" * 1000)
    pull("models", "pull", "tiny")
    assert hub.ranges == [(SHARDS[0], "bytes=1000-")]
    assert hub.sent[SHARDS[0]] == 2 * len(data) - 1000
    pull("models", "verify", "tiny")


@pytest.mark.slow
def test_pull_waits_for_a_file_that_another_process_downloads(pull: Cli, hub: Hub, tmp_path: Path) -> None:
    hub.stall_after = 0
    environment = {**os.environ, "HF_ENDPOINT": hub.url, "HF_HUB_CACHE": str(tmp_path / "hub")}
    command = [sys.executable, "-m", "vvbatch", "models", "pull", "tiny"]
    first = subprocess.Popen(command, env=environment)
    wait_until(lambda: SHARDS[0] in hub.sent)
    second = subprocess.Popen(command, env=environment)
    time.sleep(1)
    hub.stall_after = None
    assert (first.wait(60), second.wait(60)) == (0, 0)
    assert all(hub.sent[shard] == len(hub.files[REPO, REVISION][shard]) for shard in SHARDS)


def test_pull_downloads_only_missing_and_broken_files_after_an_interruption(
    pull: Cli, hub: Hub, tmp_path: Path
) -> None:
    pull("models", "pull", "tiny")
    sent = dict(hub.sent)
    folder = hub_cache.snapshot_of(tmp_path / "hub")
    hub_cache.truncate_a_shard(folder)
    hub_cache.flip_a_byte(folder)
    assert pull("models", "verify", "tiny", code=1).stdout.count("model-0000") >= 2
    pull("models", "pull", "tiny")
    assert all(hub.sent[shard] == 2 * sent[shard] for shard in SHARDS)
    assert hub.sent["config.json"] == sent["config.json"]
    pull("models", "verify", "tiny")


def test_pull_downloads_wrong_bytes_once_more(pull: Cli, hub: Hub) -> None:
    hub.corrupt, hub.corrupt_times = SHARDS[0], 1
    pull("models", "pull", "tiny")
    pull("models", "verify", "tiny")


def test_pull_reports_a_hub_that_sends_other_bytes_and_keeps_none(pull: Cli, hub: Hub, tmp_path: Path) -> None:
    hub.corrupt = SHARDS[0]
    done = pull("models", "pull", "tiny", code=3)
    assert "sends other bytes than it announces" in done.stderr
    assert SHARDS[0] in done.stderr
    assert not (hub_cache.snapshot_of(tmp_path / "hub") / SHARDS[0]).exists()


def test_unknown_repos_unknown_revisions_and_private_repos_have_a_message_each(
    pull: Cli, hub: Hub, tmp_path: Path
) -> None:
    said = pull("models", "pull", "tiny", "--repo", "no/such", code=3).stderr
    assert f"no/such does not exist at {hub.url}" in said
    said = pull("models", "pull", "tiny", "--repo", REPO, "--revision", "8" * 40, code=3).stderr
    assert f"{REPO} has no revision {'8' * 40}" in said
    hub.private = True
    said = pull("models", "pull", "tiny", code=3).stderr
    assert "answers 401" in said
    assert "HF_TOKEN" in said


def test_pull_reports_a_full_disk_before_it_downloads(pull: Cli, hub: Hub) -> None:
    hub.claimed_size = 10**17
    said = pull("models", "pull", "tiny", code=3).stderr
    assert "GB to download" in said
    assert "HF_HUB_CACHE" in said
    assert not hub.sent


def test_pull_reports_a_disk_that_fills_up_and_leaves_no_snapshot(
    pull: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    small = tmp_path / "small"
    small.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "none", str(small)]
    if shutil.which("mount") is None or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("a small file system cannot be mounted here")
    try:
        monkeypatch.setattr(constants, "HF_HUB_CACHE", str(small))
        monkeypatch.setattr(pulling, "SPARE_BYTES", -(10**9))
        said = pull("models", "pull", "tiny", code=3).stderr
        assert "No space left on device" in said
        assert "run the same command again to resume" in said
        assert not hub_cache.snapshot_of(small).exists()
    finally:
        subprocess.run(["umount", str(small)], check=True)


def test_pull_replaces_a_link_out_of_the_cache_and_keeps_its_target(pull: Cli, tmp_path: Path) -> None:
    pull("models", "pull", "tiny")
    config = hub_cache.snapshot_of(tmp_path / "hub") / "config.json"
    mine = tmp_path / "mine.json"
    mine.write_bytes(config.read_bytes())
    config.unlink()
    config.symlink_to(mine)
    pull("models", "pull", "tiny")
    assert mine.exists()
    pull("models", "verify", "tiny")


def test_pull_reports_a_hub_that_cannot_be_reached(pull: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        monkeypatch.setattr(constants, "ENDPOINT", f"http://127.0.0.1:{taken.getsockname()[1]}")
        said = pull("models", "pull", "tiny", code=3).stderr
    assert "no connection to http://127.0.0.1" in said


def test_pull_refuses_to_run_offline(pull: Cli, hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    assert "HF_HUB_OFFLINE is set" in pull("models", "pull", "tiny", code=3).stderr
    assert not hub.sent


def test_pull_downloads_another_repo_with_its_tokenizer(pull: Cli, tmp_path: Path) -> None:
    done = pull("models", "pull", "tiny", "--repo", "other/tiny-hf")
    folder = hub_cache.snapshot_of(tmp_path / "hub", "other/tiny-hf", "9" * 40)
    assert (folder / "tokenizer.json").is_file()
    assert f"model: {{repo: other/tiny-hf, revision: '{'9' * 40}'}}" in done.stderr
    assert str(tmp_path / "configs" / "tiny.yaml") in done.stderr


def test_pull_names_the_tokenizer_for_the_profile_when_the_repo_has_none(pull: Cli, hub: Hub, tmp_path: Path) -> None:
    hub.files["other/tiny", "7" * 40] = {**hub.files[REPO, REVISION]}
    said = pull("models", "pull", "tiny", "--repo", "other/tiny").stderr
    line = next(line for line in said.splitlines() if "model: {" in line)
    profile = yaml.safe_load((tmp_path / "configs" / "tiny.yaml").read_text()) | yaml.safe_load(line)
    (tmp_path / "configs" / "mine.yaml").write_text(yaml.safe_dump(profile))
    assert pull.json("models", "verify", "mine")[0]["state"] == "complete"


def test_pull_refuses_a_profile_without_a_model(pull: Cli) -> None:
    assert "needs no model" in pull("models", "pull", "draft", code=2).stderr


def test_pull_records_the_hashes_in_the_manifest(pull: Cli, home: Path) -> None:
    pull("models", "pull", "tiny")
    found = [json.loads(file.read_text()) for file in (home / "cache" / "models").iterdir()]
    model = next(each for each in found if each["repo"] == REPO)
    assert model["revision"] == REVISION
    assert set(model["pulled"]) == set(model["files"]) == {"config.json", "model.safetensors.index.json", *SHARDS}
    assert home.stat().st_mode & 0o077 == 0
