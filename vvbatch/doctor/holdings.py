"""Profiles, their models, and voices."""

from __future__ import annotations

from collections.abc import Iterator

from vvbatch import machine
from vvbatch import profiles as all_profiles
from vvbatch.doctor import Finding
from vvbatch.home import Home
from vvbatch.models.listing import describe, state_of
from vvbatch.models.verify import profile_problems, remedy
from vvbatch.profiles import Profile, ProfileError


def profiles(_home: Home) -> Iterator[Finding]:
    for name in all_profiles.names():
        try:
            profile = all_profiles.load(name)
        except ProfileError as error:
            yield Finding(f"profile {name}", False, str(error), "mend that file")
            continue
        found = machine.place(profile)
        if found is None:
            wanted = " or ".join([profile.device, *profile.fallback])
            yield Finding(
                f"profile {name}", True, f"asks for {wanted}: not here", "use another profile on this machine"
            )
        else:
            yield Finding(f"profile {name}", True, f"would run on {found[0]} in {found[1]}")


def readable() -> Iterator[Profile]:
    for name in all_profiles.names():
        try:
            yield all_profiles.load(name)
        except ProfileError:
            continue  # told by the check above


def models(home: Home) -> Iterator[Finding]:
    """Every byte counts, but a file that is as it was when it was last hashed is not read again."""
    manifests = home.cache / "models"
    for profile in readable():
        problems = profile_problems(profile, manifests, "changed")
        row = describe(profile, manifests)
        if problems and state_of(problems) == "absent":
            yield Finding(
                f"model of {profile.name}", True, "not on this machine", f"vvbatch models pull {profile.name}"
            )
        elif problems:
            words = "; ".join(problem.message for problem in problems)
            yield Finding(f"model of {profile.name}", False, words, remedy(profile, problems))
        elif row["state"] == "absent":
            yield Finding(f"model of {profile.name}", True, row["problems"][0], row["remedy"])
        elif row["memory_fits"] is False:
            needed, total = row["memory_bytes"] / 1e9, row["memory_total_bytes"] / 1e9
            words = f"needs {needed:.1f} GB, {row['device']} has {total:.1f} GB"
            yield Finding(
                f"model of {profile.name}",
                True,
                words,
                "lower `slots` in a profile of your own, or use a smaller model",
            )
        else:
            yield Finding(f"model of {profile.name}", True, f"complete: {row['path'] or profile.model.repo}")


def voices(home: Home) -> Iterator[Finding]:
    from vvbatch.voices import Library, VoiceError

    library = Library.of(home)
    good = []
    for name in library.names():
        try:
            good.append(library.resolve(name).name)
        except VoiceError as error:
            yield Finding(f"voice {name}", False, str(error), f"vvbatch voices check {name}")
    yield Finding("voices", True, f"{len(set(good))} usable: {', '.join(dict.fromkeys(good))}")
