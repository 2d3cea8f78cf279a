"""What this process may use of the machine: its CPUs by affinity and cgroup quota, its memory by the cgroups' limits.

A cgroup is limited by every cgroup that it lies in. Linux has two versions, often mounted side by side: version 2 has
one tree, version 1 has a tree for each controller. See cgroups(7) and the kernel's admin-guide on cgroup-v1 and -v2.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

PROC = Path("/proc/self")
UNLIMITED = 1 << 60  # version 1 writes "no limit" as a number near 2^63


@dataclass(frozen=True)
class Memory:
    """Bytes that this process and its neighbours in a cgroup may take, and how many of them are free."""

    total: int
    free: int


def cpus(proc: Path = PROC) -> int:
    """How many CPUs this process may use, at least 1. A quota of one and a half counts as 2."""
    try:
        allowed = len(os.sched_getaffinity(0))
    except AttributeError:  # macOS has no affinity
        allowed = os.cpu_count() or 1
    quotas = [each for folder in cgroups("cpu", proc) if (each := cpu_quota(folder)) is not None]
    return max(1, min([allowed, *(math.ceil(quota) for quota in quotas)]))


def cpu_quota(folder: Path) -> float | None:
    """CPUs that the cgroup of this folder may use; None without a quota."""
    words = read(folder / "cpu.max").split() or [
        read(folder / "cpu.cfs_quota_us").strip(),
        read(folder / "cpu.cfs_period_us").strip(),
    ]
    if len(words) != 2 or not all(word.isdigit() for word in words) or int(words[1]) == 0:  # "max", "-1" or no file
        return None
    return int(words[0]) / int(words[1])


def memory(proc: Path = PROC) -> Memory | None:
    """The tightest of the cgroups' limits on memory, and the least that one of them has free; None without a limit."""
    found = [each for folder in cgroups("memory", proc) if (each := memory_of(folder)) is not None]
    return Memory(min(each.total for each in found), min(each.free for each in found)) if found else None


def memory_of(folder: Path) -> Memory | None:
    limits = [number(folder / name) for name in ("memory.max", "memory.high", "memory.limit_in_bytes")]
    known = [limit for limit in limits if limit is not None and limit < UNLIMITED]
    if not known:
        return None
    used = number(folder / "memory.current") or number(folder / "memory.usage_in_bytes") or 0
    stat = dict(line.split() for line in read(folder / "memory.stat").splitlines() if len(line.split()) == 2)
    # The kernel drops these pages of files before it kills a process.
    cached = int(stat.get("total_inactive_file") or stat.get("inactive_file") or 0)
    return Memory(min(known), max(0, min(known) - max(0, used - cached)))


def cgroups(controller: str, proc: Path = PROC) -> Iterator[Path]:
    """The folders of this process's cgroup and of those that it lies in, for a controller, in both versions."""
    for line in read(proc / "cgroup").splitlines():
        _, names, path = line.split(":", 2)
        if names == "" or controller in names.split(","):
            mounted = mount_of(controller if names else None, proc)
            if mounted is not None:
                yield from folders(*mounted, PurePosixPath(path))


def folders(mount: Path, root: PurePosixPath, path: PurePosixPath) -> Iterator[Path]:
    """From the folder of the cgroup `path` up to `mount`, which shows the cgroup `root`."""
    # A container without a cgroup namespace of its own may have a path that its mount does not show.
    inner = path.relative_to(root) if path.is_relative_to(root) else PurePosixPath()
    folder = mount / inner if ".." not in inner.parts else mount
    while True:
        yield folder
        if folder == mount:
            return
        folder = folder.parent


def mount_of(controller: str | None, proc: Path = PROC) -> tuple[Path, PurePosixPath] | None:
    """Where the tree of a controller (None: of version 2) is mounted, and which cgroup lies there."""
    for line in read(proc / "mountinfo").splitlines():
        before, _, after = line.partition(" - ")
        fields, kind = before.split(), after.split()
        if len(fields) < 5 or len(kind) < 3:
            continue
        wanted = (
            kind[0] == "cgroup2" if controller is None else kind[0] == "cgroup" and controller in kind[2].split(",")
        )
        if wanted:
            return Path(unescaped(fields[4])), PurePosixPath(unescaped(fields[3]))
    return None


def unescaped(word: str) -> str:
    """A path of mountinfo, in which blanks and backslashes are written as octal numbers."""
    for code, character in (("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")):
        word = word.replace(code, character)
    return word


def number(file: Path) -> int | None:
    text = read(file).strip()
    return int(text) if text.isdigit() else None


def read(file: Path) -> str:
    """The file's text; empty if it does not exist, as on macOS and in the root cgroup."""
    try:
        return file.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
