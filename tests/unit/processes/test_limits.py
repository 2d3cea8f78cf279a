from __future__ import annotations

import os
from pathlib import Path

import pytest

from vvbatch.processes import limits
from vvbatch.processes.limits import Memory

GIB = 1 << 30


class Machine:
    """A /proc/self whose cgroups lie in a folder."""

    def __init__(self, folder: Path) -> None:
        self.proc, self.mount = folder / "proc", folder / "cg roup"
        self.proc.mkdir()

    def has(self, cgroup: str, *mounts: str) -> None:
        (self.proc / "cgroup").write_text(cgroup)
        text = "22 27 0:21 / /proc rw - proc proc rw\nnot a mount\n"
        for each in mounts:
            root, name, kind, options = each.split()
            place = str(self.mount / name).replace(" ", "\\040").removesuffix("/.")
            text += f"32 31 0:29 {root} {place} rw,nosuid shared:9 - {kind} cgroup {options}\n"
        (self.proc / "mountinfo").write_text(text)

    def write(self, folder: str, **files: str) -> None:
        (self.mount / folder).mkdir(parents=True, exist_ok=True)
        for name, text in files.items():
            (self.mount / folder / name.replace("__", ".")).write_text(text + "\n")


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _pid: set(range(16)), raising=False)
    return Machine(tmp_path)


def test_without_cgroups_only_the_affinity_limits(machine: Machine) -> None:
    assert limits.cpus(machine.proc) == 16
    assert limits.memory(machine.proc) is None


@pytest.mark.parametrize(
    ("quota", "found"), [("max 100000", 16), ("200000 100000", 2), ("150000 100000", 2), ("5000 100000", 1)]
)
def test_a_quota_of_version_2(machine: Machine, quota: str, found: int) -> None:
    machine.has("0::/user/app\n", "/ . cgroup2 rw")
    machine.write("user/app", cpu__max=quota)
    assert limits.cpus(machine.proc) == found


def test_the_tightest_of_nested_limits_counts(machine: Machine) -> None:
    machine.has("0::/a/b\n", "/ . cgroup2 rw")
    machine.write("a/b", cpu__max="max 100000", memory__max="max", memory__current=str(GIB))
    machine.write(
        "a",
        cpu__max="300000 100000",
        memory__max=str(4 * GIB),
        memory__current=str(3 * GIB),
        memory__stat=f"anon 5\ninactive_file {GIB}",
    )
    assert limits.cpus(machine.proc) == 3
    assert limits.memory(machine.proc) == Memory(4 * GIB, 2 * GIB)


def test_the_inner_limit_may_be_the_tighter_one(machine: Machine) -> None:
    machine.has("0::/a/b\n", "/ . cgroup2 rw")
    machine.write("a/b", memory__high=str(GIB), memory__max=str(2 * GIB), memory__current="0")
    machine.write("a", memory__max=str(4 * GIB), memory__current=str(4 * GIB - 5))
    assert limits.memory(machine.proc) == Memory(GIB, 5)


def test_limits_of_version_1(machine: Machine) -> None:
    machine.has(
        "4:memory:/docker/x\n1:cpu,cpuacct:/docker/x\n0::/\n",
        "/ cpu cgroup rw,cpu,cpuacct",
        "/ memory cgroup rw,memory",
        "/ unified cgroup2 rw",
    )
    machine.write("cpu/docker/x", cpu__cfs_quota_us="-1", cpu__cfs_period_us="100000")
    machine.write("cpu/docker", cpu__cfs_quota_us="400000", cpu__cfs_period_us="100000")
    machine.write("memory/docker/x", memory__limit_in_bytes="9223372036854771712", memory__usage_in_bytes=str(GIB))
    assert limits.memory(machine.proc) is None
    machine.write(
        "memory/docker/x",
        memory__limit_in_bytes=str(2 * GIB),
        memory__usage_in_bytes=str(GIB),
        memory__stat=f"inactive_file 1\ntotal_inactive_file {GIB // 2}",
    )
    assert limits.memory(machine.proc) == Memory(2 * GIB, 2 * GIB - GIB // 2)
    assert limits.cpus(machine.proc) == 4


@pytest.mark.parametrize("root", ["/docker/x", "/docker/other"])
def test_a_container_sees_its_own_cgroup_at_the_mount(machine: Machine, root: str) -> None:
    machine.has("4:memory:/docker/x\n", f"{root} memory cgroup rw,memory")
    machine.write("memory", memory__limit_in_bytes=str(GIB), memory__usage_in_bytes="0")
    assert limits.memory(machine.proc) == Memory(GIB, GIB)


def test_the_affinity_counts_below_the_quota(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _pid: {3}, raising=False)
    machine.has("0::/\n", "/ . cgroup2 rw")
    machine.write(".", cpu__max="800000 100000")
    assert limits.cpus(machine.proc) == 1
