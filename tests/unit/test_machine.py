"""Where a profile runs, decided from what a machine has."""

from __future__ import annotations

import msgspec
import pytest

from vvbatch import machine, profiles
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
