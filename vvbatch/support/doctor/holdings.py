"""Profiles, their models, and voices."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from typing import TYPE_CHECKING

from vvbatch import machine
from vvbatch import profiles as all_profiles
from vvbatch.engine.contract import EngineUnavailable
from vvbatch.home import Home
from vvbatch.models.integrity import Problem, profile_problems, remedy
from vvbatch.models.inventory import describe, state_of
from vvbatch.models.snapshot import hub_cache
from vvbatch.profiles import Model, Profile, ProfileError
from vvbatch.support.doctor.finding import Finding

if TYPE_CHECKING:
    from vvbatch.voices.library import Found


def profiles(_home: Home) -> Iterator[Finding]:
    try:
        names = all_profiles.names()
    except ProfileError as error:
        yield Finding("profiles", False, str(error), "set VVBATCH_CONFIGS to the folder of your profiles, or unset it")
        return
    for name in names:
        try:
            profile = all_profiles.load(name)
        except ProfileError as error:
            yield Finding(f"profile {name}", False, str(error), "fix that file")
            continue
        found = machine.can_run(profile)
        if found is None:
            devices = " or ".join([profile.device, *profile.fallback])
            needed = devices if machine.placement(profile) is None else "a CPU with AVX-512 VNNI for int8"
            yield Finding(
                f"profile {name}", True, f"needs {needed}: not on this machine", "use another profile on this machine"
            )
        else:
            yield Finding(f"profile {name}", True, f"would run on {found[0]} in {found[1]}")


def readable() -> Iterator[Profile]:
    try:
        names = all_profiles.names()
    except ProfileError:
        return  # reported by `profiles`
    for name in names:
        try:
            yield all_profiles.load(name)
        except ProfileError:
            continue  # reported by `profiles`


def models(home: Home) -> Iterator[Finding]:
    """Every byte is checked, but a file that has not changed since it was last hashed is not read again."""
    try:
        hub_cache()
    except EngineUnavailable:
        return  # reported by `disks`
    manifests = home.cache / "models"
    known: dict[Model, list[Problem]] = {}  # profiles share models: each is read once
    for profile in readable():
        if profile.model not in known:
            known[profile.model] = profile_problems(profile, manifests, "changed")
        problems = known[profile.model]
        row = describe(profile, manifests)
        name = f"model of {profile.name}"
        if problems and state_of(problems) == "absent":
            if row.device:  # else no profile can use it here
                yield Finding(name, True, "not on this machine", remedy(profile, problems))
        elif problems:
            yield Finding(name, False, "; ".join(problem.message for problem in problems), remedy(profile, problems))
        elif row.state == "absent":
            yield Finding(name, True, row.problems[0], row.remedy)
        elif row.memory_fits is False and row.memory_bytes and row.memory_total_bytes:
            needed, total = row.memory_bytes / 1e9, row.memory_total_bytes / 1e9
            words = f"needs {needed:.1f} GB, {row.device} has {total:.1f} GB"
            yield Finding(name, True, words, "lower `slots` in a profile of your own, or use a smaller model")
        else:
            yield Finding(name, True, "; ".join([f"complete: {row.path or profile.model.repo}", *row.notes]))


def voices(home: Home) -> Iterator[Finding]:
    from vvbatch.voices import Library, VoiceError

    library = Library.of(home)
    good = []
    try:
        names = library.names()
    except VoiceError as error:
        yield Finding("voices", False, str(error), "fix that file, or move it away")
        return
    for name in names:
        try:
            good.append(library.resolve(name).name)
        except VoiceError as error:
            yield Finding(f"voice {name}", False, str(error), remedy_for(library.find(name)))
    yield Finding("voices", True, f"{len(set(good))} usable: {', '.join(dict.fromkeys(good))}")


def remedy_for(found: Found) -> str:
    """How to make a voice usable again, or remove it."""
    if found.entry is None:
        return f"vvbatch voices import {shlex.quote(str(found.path))} --name {found.name}  (or remove that file)"
    return f"restore the file, or  vvbatch voices remove {found.name}  and import it again"
