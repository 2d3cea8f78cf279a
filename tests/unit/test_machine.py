"""Where a profile runs, decided from what a machine has."""

from __future__ import annotations

import os

import msgspec
import psutil
import pytest

from vvbatch import machine, profiles
from vvbatch.processes import limits
from vvbatch.processes.limits import Memory
from vvbatch.profiles import Profile


def profile(device: str, dtype: str, fallback: tuple[str, ...] = (), name: str = "1.5b") -> Profile:
    return msgspec.structs.replace(profiles.load(name), device=device, dtype=dtype, fallback=fallback)


@pytest.mark.parametrize(
    ("wanted", "present", "bfloat16", "found"),
    [
        (("cpu", "bfloat16"), {"cpu"}, True, ("cpu", "bfloat16")),
        (("cpu", "bfloat16"), {"cpu"}, False, ("cpu", "float32")),
        (("cpu", "float16"), {"cpu"}, True, ("cpu", "bfloat16")),
        (("cpu", "float32"), {"cpu"}, True, ("cpu", "float32")),
        (("cpu", "int8"), {"cpu"}, False, ("cpu", "int8")),
        (("mps", "float16"), {"cpu", "mps"}, True, ("mps", "float16")),
        (("mps", "float16", ("cuda", "cpu")), {"cpu"}, False, ("cpu", "float32")),
        (("cuda:1", "bfloat16"), {"cpu"}, True, None),
    ],
)
def test_a_profile_gets_the_first_of_its_devices_that_is_present(
    wanted: tuple[str, str], present: set[str], bfloat16: bool, found: tuple[str, str] | None
) -> None:
    assert machine.placement(profile(*wanted), present.__contains__, lambda: bfloat16) == found


def test_the_draft_engine_keeps_its_dtype() -> None:
    asked = profile("cpu", "bfloat16", name="draft")
    assert machine.placement(asked, {"cpu"}.__contains__, lambda: False) == ("cpu", "bfloat16")


@pytest.mark.parametrize("flags", [frozenset(), frozenset({"avx512_vnni"})])
def test_int8_needs_its_instructions(flags: frozenset[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "cpu_flags", lambda: flags)
    assert machine.can_run(profile("cpu", "int8")) == (("cpu", "int8") if flags else None)
    assert machine.can_run(profile("cpu", "float32")) == ("cpu", "float32")


@pytest.fixture
def four_cpus(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in machine.THREAD_VARIABLES:
        monkeypatch.setenv(name, "")  # not deleted: pin_threads sets it, and the test must undo that
    monkeypatch.setattr(limits, "cpus", lambda: 4)


@pytest.mark.parametrize(
    ("of_profile", "variables", "threads"),
    [
        (None, {}, 4),
        (2, {}, 2),
        (8, {}, 4),
        (None, {"OMP_NUM_THREADS": "3"}, 3),
        (2, {"OMP_NUM_THREADS": "1"}, 1),
        (None, {"OMP_NUM_THREADS": "3,2"}, 3),
        (None, {"OMP_NUM_THREADS": "3", "MKL_NUM_THREADS": "2"}, 2),
        (None, {"OPENBLAS_NUM_THREADS": "1"}, 1),
        (None, {"OMP_NUM_THREADS": "many"}, 4),
        (None, {"OMP_NUM_THREADS": "0"}, 4),
        (None, {"OMP_NUM_THREADS": "6"}, 6),
    ],
)
def test_a_worker_has_no_more_threads_than_it_is_allowed(
    four_cpus: None,
    monkeypatch: pytest.MonkeyPatch,
    of_profile: int | None,
    variables: dict[str, str],
    threads: int,
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert machine.pin_threads(msgspec.structs.replace(profiles.load("draft"), threads=of_profile)) == threads
    assert {os.environ[name] for name in machine.THREAD_VARIABLES} == {str(threads)}


@pytest.mark.parametrize(
    ("allowed", "total", "free"),
    [(None, 1, 0), (Memory(1 << 62, 1 << 61), 1, 0), (Memory(1 << 20, 5), 1 << 20, 5), (Memory(1 << 62, 5), 1, 5)],
)
def test_memory_is_the_smaller_of_the_machines_and_the_cgroups(
    monkeypatch: pytest.MonkeyPatch, allowed: Memory | None, total: int, free: int
) -> None:
    host = psutil.virtual_memory()
    monkeypatch.setattr(psutil, "virtual_memory", lambda: host)
    monkeypatch.setattr(limits, "memory", lambda: allowed)
    found = machine.memory()
    assert found.total == (host.total if total == 1 else total)
    assert found.free == (free or host.available)
    assert machine.memory_total("cpu") == found.total
