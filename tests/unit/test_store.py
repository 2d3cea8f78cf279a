from __future__ import annotations

import errno
import hashlib
import json
import os
import re
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.conftest import ROOT
from vvbatch import store
from vvbatch.batch.output import line_name, open_store

OLD, NEW = b"old" * 1000, b"new" * 1000

POINTS = sorted(set(re.findall(r'fault_points\.point\("([^"]+)"\)', Path(store.__file__).read_text())))
COPYING = {"store.linked"}  # only stage_copy visits it
PUBLISHED = {"store.renamed", "store.folder_synced"}


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def names(folder: Path) -> list[str]:
    return sorted(file.name for file in folder.iterdir())


def child(code: str, faults: str = "", **options: Any) -> subprocess.CompletedProcess[str]:
    """Run `code` in a process of its own, with faults asked for."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "VVBATCH_FAULTS": faults}
    program = "from pathlib import Path; from vvbatch import store; " + code
    return subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, **options)


def copied(source: Path, path: Path, digest: str) -> tuple[str, int]:
    with store.stage_copy(source, path, digest) as staged:
        staged.publish()
    return staged.sha256, staged.size


# ---- confine


@pytest.mark.parametrize(
    "bad", ["/etc/passwd", "..", "a/../../b", "a/..", "nul\0", "a/nul\0b", "x" * 256, "é" * 128, "\ud800"]
)
def test_confine_refuses_paths_out_of_the_root(tmp_path: Path, bad: str) -> None:
    with pytest.raises(store.StoreError, match="path "):
        store.confine(tmp_path, bad)


def test_confine_refuses_links_out_of_the_root_only(tmp_path: Path) -> None:
    root = tmp_path / "root"
    (root / "real").mkdir(parents=True)
    (tmp_path / "root-beside").mkdir()
    (root / "out").symlink_to("../root-beside")
    (root / "deep").symlink_to(root / "out")
    (root / "stays").symlink_to("real")
    (root / "dangling").symlink_to("../gone")
    (root / "loop").symlink_to("loop")
    for bad in ("out", "out/a", "deep/a", "dangling", "loop/a"):
        with pytest.raises(store.StoreError):
            store.confine(root, bad)
    assert store.confine(root, "stays/a") == root / "stays/a"


def test_confine_accepts_a_root_that_is_a_link(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "root").symlink_to("real")
    assert store.confine(tmp_path / "root", "a/b.wav") == tmp_path / "root/a/b.wav"


@given(st.text(st.sampled_from("./\\~ab\0\né😀\ud800-"), max_size=30) | st.text(max_size=300))
def test_confined_paths_are_inside_the_root(tmp_path_factory: pytest.TempPathFactory, relative: str) -> None:
    root = tmp_path_factory.getbasetemp()
    try:
        path = store.confine(root, relative)
    except store.StoreError:
        return
    assert path.resolve().is_relative_to(root.resolve())
    assert ".." not in path.parts


def test_the_path_of_a_line_has_its_batch_and_chapter() -> None:
    assert line_name("b-1", 1, 7, "ch1-003") == "b-1/chapter-01/0007-ch1-003.wav"
    assert line_name("b-1", 123, 12345, "é😀") == "b-1/chapter-123/12345-é😀.wav"


@pytest.mark.parametrize(
    ("batch", "line"),
    [("..", "a"), ("a/b", "a"), ("", "a"), (".", "a"), ("a", "b/c"), ("a", ""), ("a", "x" * 300), ("a", "nul\0")],
)
def test_ids_that_are_not_file_names_are_refused(tmp_path: Path, batch: str, line: str) -> None:
    with pytest.raises(store.StoreError):
        open_store(tmp_path).stage(line_name(batch, 1, 1, line), b"")


# ---- writing


def test_a_written_file_is_complete_and_leaves_no_temporary_file(tmp_path: Path) -> None:
    path = tmp_path / "new/folders/a.wav"
    assert store.write_atomically(path, NEW) == (sha256(NEW), len(NEW))
    assert path.read_bytes() == NEW
    assert names(path.parent) == ["a.wav"]
    umask = os.umask(0)
    os.umask(umask)
    assert path.stat().st_mode & 0o777 == 0o666 & ~umask


def test_a_staged_file_has_no_final_name_until_it_is_published(tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    with store.stage(path, NEW) as staged:
        assert not path.exists()
        assert staged.temp.read_bytes() == NEW
        assert staged.temp.name.startswith(store.TEMP_PREFIX)
        staged.publish()
        assert path.read_bytes() == NEW
    with store.stage(path, OLD):
        pass
    assert path.read_bytes() == NEW
    assert names(tmp_path) == ["a.wav"]


@pytest.mark.slow
@pytest.mark.parametrize("point", [point for point in POINTS if point not in COPYING])
@pytest.mark.parametrize("before", [None, OLD])
def test_kill_9_at_any_point_leaves_the_old_file_or_the_new_one(
    tmp_path: Path, point: str, before: bytes | None
) -> None:
    path = tmp_path / "a.wav"
    if before:
        path.write_bytes(before)
    killed = child(f"store.write_atomically(Path({str(path)!r}), b'new' * 1000)", f"{point}=kill")
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    found = path.read_bytes() if path.exists() else None
    assert found == (NEW if point in PUBLISHED else before)
    left = [name for name in names(tmp_path) if name != "a.wav"]
    assert len(left) == (point not in PUBLISHED | {"store.begin"})
    assert len(store.sweep(tmp_path, 0, time.time() + 1)) == len(left)
    assert names(tmp_path) == (["a.wav"] if found else [])


@pytest.mark.slow
@pytest.mark.parametrize("point", POINTS)
def test_kill_9_at_any_point_of_a_link_leaves_the_old_file_or_the_new_one(tmp_path: Path, point: str) -> None:
    source, path = tmp_path / "source.wav", tmp_path / "to/a.wav"
    source.write_bytes(NEW)
    # Without hard links for the points on the way of a copy.
    blocked = (
        ""
        if point in PUBLISHED | COPYING | {"store.begin"}
        else "import os; os.link = lambda *_: os.rename('/', '/proc'); "
    )
    code = f"{blocked}store.stage_copy(Path({str(source)!r}), Path({str(path)!r}), {sha256(NEW)!r}).publish()"
    killed = child("import errno; store.NO_HARD_LINK |= {errno.EBUSY}; " + code, f"{point}=kill")
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert path.exists() == (point in PUBLISHED)
    assert not path.exists() or path.read_bytes() == NEW
    assert source.read_bytes() == NEW


@pytest.mark.slow
@pytest.mark.parametrize("point", [point for point in POINTS if point not in COPYING])
def test_a_failing_system_call_at_any_point_leaves_no_temporary_file(tmp_path: Path, point: str) -> None:
    path = tmp_path / "a.wav"
    path.write_bytes(OLD)
    failed = child(f"store.write_atomically(Path({str(path)!r}), b'new' * 1000)", f"{point}=EIO")
    assert "OSError" in failed.stderr
    assert names(tmp_path) == ["a.wav"]
    assert path.read_bytes() == (NEW if point in PUBLISHED else OLD)


@pytest.mark.slow
def test_a_fault_point_can_fire_at_a_later_visit_and_must_exist(tmp_path: Path) -> None:
    write = f"[store.write_atomically(Path({str(tmp_path)!r}) / str(n), b'x') for n in range(5)]"
    assert child(write, "store.renamed@3=kill").returncode == -signal.SIGKILL
    assert names(tmp_path) == ["0", "1", "2"]
    assert "allowed are kill, stop and errno names" in child(write, "store.begin=explode").stderr


@pytest.mark.slow
def test_a_full_disk_leaves_older_files_complete(tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = (
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "none", disk], capture_output=True).returncode == 0
    )
    try:
        (disk / "a.wav").write_bytes(OLD)
        write = f"store.write_atomically(Path({str(disk / 'a.wav')!r}), bytes(1 << 20))"
        # Without the right to mount there is still a limit on the size of a file: the write fails in its middle, too.
        limit = None if mounted else lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 16, 1 << 16))
        failed = child("import signal; signal.signal(signal.SIGXFSZ, signal.SIG_IGN); " + write, preexec_fn=limit)
        assert ("No space left" if mounted else "File too large") in failed.stderr
        assert names(disk) == ["a.wav"]
        assert (disk / "a.wav").read_bytes() == OLD
        if mounted:
            with pytest.raises(store.StoreError, match=r"1\.0 MB needed, 0\.1 MB free"):
                store.check_writable(disk, 1_000_000)
    finally:
        if mounted:
            subprocess.run(["umount", disk], check=True)


# ---- linking


def test_an_equal_file_is_linked_and_replacing_one_name_leaves_the_other(tmp_path: Path) -> None:
    source, path = tmp_path / "source.wav", tmp_path / "to/a.wav"
    store.write_atomically(source, OLD)
    assert copied(source, path, sha256(OLD)) == (sha256(OLD), len(OLD))
    assert path.stat().st_ino == source.stat().st_ino
    copied(source, path, sha256(OLD))  # again: both names are one file already
    assert names(path.parent) == ["a.wav"]
    store.write_atomically(path, NEW)
    assert source.read_bytes() == OLD


@pytest.mark.parametrize("refusal", [errno.EXDEV, errno.EPERM, errno.EMLINK])
def test_a_file_is_copied_where_hard_links_fail(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, refusal: int) -> None:
    def no_link(*_: object) -> None:
        raise OSError(refusal, os.strerror(refusal))

    monkeypatch.setattr(os, "link", no_link)
    source, path = tmp_path / "source.wav", tmp_path / "to/a.wav"
    source.write_bytes(OLD)
    copied(source, path, sha256(OLD))
    assert path.read_bytes() == OLD
    assert path.stat().st_ino != source.stat().st_ino
    with pytest.raises(store.StoreError, match="changed since it was written"):
        copied(source, tmp_path / "b.wav", sha256(NEW))
    assert names(tmp_path) == ["source.wav", "to"]


def test_stage_copy_refuses_a_changed_missing_or_irregular_source(tmp_path: Path) -> None:
    source, path = tmp_path / "source.wav", tmp_path / "a.wav"
    source.write_bytes(NEW)
    with pytest.raises(store.StoreError, match="changed since it was written"):
        copied(source, path, sha256(OLD))
    (tmp_path / "link.wav").symlink_to(source)
    for odd in (tmp_path / "link.wav", tmp_path):
        with pytest.raises(store.StoreError, match="not a regular file"):
            copied(odd, path, sha256(NEW))
    with pytest.raises(FileNotFoundError):
        copied(tmp_path / "gone.wav", path, sha256(NEW))
    assert names(tmp_path) == ["link.wav", "source.wav"]


# ---- the folder


def test_only_old_temporary_files_are_swept(tmp_path: Path) -> None:
    (tmp_path / "batch").mkdir()
    stale, kept = tmp_path / "batch/.tmp-0123", tmp_path / "batch/a.wav"
    stale.write_bytes(b"x")
    kept.write_bytes(b"x")
    os.utime(kept, (0, 0))
    assert store.sweep(tmp_path, 3600, time.time()) == []
    assert store.sweep(tmp_path, 3600, time.time() + 3700) == [stale]
    assert names(tmp_path / "batch") == ["a.wav"]


def test_a_fresh_link_to_an_old_file_is_not_swept(tmp_path: Path) -> None:
    source = tmp_path / "source.wav"
    source.write_bytes(OLD)
    os.utime(source, (0, 0))
    with store.stage_copy(source, tmp_path / "a.wav", sha256(OLD)):
        assert store.sweep(tmp_path, 3600, time.time()) == []


def test_check_writable_creates_the_folder_and_leaves_it_empty(tmp_path: Path) -> None:
    store.check_writable(tmp_path / "new/out", 1000)
    assert names(tmp_path / "new/out") == []


def test_check_writable_names_the_folder_and_the_reason(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    (tmp_path / "loop").symlink_to("loop")
    bad = {
        tmp_path / "file": "Not a directory",
        tmp_path / "file/under": "Not a directory",
        tmp_path / "loop": "symbolic links|Not a directory",
        tmp_path / ("x" * 300): "too long",
        tmp_path / "nul\0": "null",
        tmp_path.joinpath(*["y" * 200] * 19): "too long",
    }
    for folder, reason in bad.items():
        with pytest.raises(store.StoreError, match=f"(?s)output folder .*({reason})"):
            store.check_writable(folder, 0)
    with pytest.raises(store.StoreError, match=r"MB needed, .* MB free; make room"):
        store.check_writable(tmp_path, 1 << 60)


def test_a_read_only_folder_is_refused(tmp_path: Path) -> None:
    if os.geteuid() == 0:  # whom permissions do not stop: only a file system without writing does
        folder = Path("/proc/self")
        reason = "No such file|Operation not permitted|Permission denied"
    else:
        folder, reason = tmp_path, "Permission denied"
        folder.chmod(0o555)
    with pytest.raises(store.StoreError, match=f"cannot be written: ({reason})"):
        store.check_writable(folder, 0)


def test_a_manifest_is_json_without_nan_and_infinity(tmp_path: Path) -> None:
    path = tmp_path / "manifest.json"
    store.write_manifest(path, {"title": "Café", "lines": [1.5, None]})
    assert json.loads(path.read_text(encoding="utf-8")) == {"title": "Café", "lines": [1.5, None]}
    with pytest.raises(ValueError, match="not JSON compliant"):
        store.write_manifest(path, {"loudness_lufs": float("nan")})
    assert names(tmp_path) == ["manifest.json"]
