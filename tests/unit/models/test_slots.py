"""`slots: auto`: as many as fit in the machine's memory and suit its cores."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from tests.support import tiny_model
from vvbatch import machine, profiles
from vvbatch.models.slots import CHOICES, most_slots, with_slots
from vvbatch.processes import limits
from vvbatch.profiles import AUTO, Model, Profile, ProfileError

GB = 1 << 30


def needs(slots: int) -> int:
    return 7 * GB + slots * GB // 8


@pytest.mark.parametrize(
    ("memory_gb", "most", "found"),
    [(64, 32, 32), (64, 16, 16), (15, 32, 32), (14, 32, 24), (11, 32, 16), (7, 32, 1), (None, 32, 32)],
)
def test_the_most_slots_that_fit_are_chosen(memory_gb: int | None, most: int, found: int) -> None:
    assert most_slots(needs, None if memory_gb is None else memory_gb * GB, most) == found


def test_more_memory_never_gives_fewer_slots() -> None:
    given = [most_slots(needs, total * GB // 4, 32) for total in range(200)]
    assert given == sorted(given)
    assert set(given) <= set(CHOICES)


@pytest.fixture
def automatic(tmp_path: Path) -> Profile:
    folder = tiny_model.make(tmp_path / "model")
    model = Model(repo=str(folder), revision="local")
    return msgspec.structs.replace(profiles.load("1.5b"), slots=AUTO, model=model)


def has_cpus(monkeypatch: pytest.MonkeyPatch, count: int) -> None:
    for name in machine.THREAD_VARIABLES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(limits, "cpus", lambda: count)


@pytest.mark.parametrize(("cores", "found"), [(1, 16), (2, 16), (4, 32)])
def test_more_cores_get_more_slots(automatic: Profile, monkeypatch: pytest.MonkeyPatch, cores: int, found: int) -> None:
    has_cpus(monkeypatch, cores)
    assert with_slots(automatic).slots == found
    assert with_slots(msgspec.structs.replace(automatic, threads=2)).slots == 16


def test_little_memory_gets_fewer_slots(automatic: Profile, monkeypatch: pytest.MonkeyPatch) -> None:
    has_cpus(monkeypatch, 8)
    monkeypatch.setattr(machine, "memory_total", lambda device: 10 << 20)
    assert with_slots(automatic).slots < 32


def test_a_number_in_the_profile_is_kept_and_a_missing_model_is_left_to_the_engine(automatic: Profile) -> None:
    assert with_slots(msgspec.structs.replace(automatic, slots=5)).slots == 5
    absent = msgspec.structs.replace(automatic, model=Model(repo="nobody/nothing", revision="main"), threads=1)
    assert with_slots(absent).slots == 16


def test_auto_is_read_from_a_profile_and_zero_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "own.yaml"
    text = (profiles.bundled("configs") / "1.5b.yaml").read_text()
    file.write_text(text.replace("slots: 16", "slots: auto"))
    assert profiles.read(file).slots == AUTO
    for number in ("0", "-1"):
        file.write_text(text.replace("slots: 16", f"slots: {number}"))
        with pytest.raises(ProfileError, match=rf"own\.yaml: slots is {number}; allowed are auto, or 1 and more"):
            profiles.read(file)
