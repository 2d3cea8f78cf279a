"""The engines, and how a profile's is opened. What they take and give is in `contract`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from vvbatch.engine.contract import Engine, EngineUnavailable

if TYPE_CHECKING:
    from vvbatch.profiles import Profile


def open_engine(profile: Profile, cache: Path) -> Engine:
    """Load the profile's model on its device. `cache` is a folder that the engine may keep derived data in.

    Raises EngineUnavailable when it cannot run here.
    """
    from vvbatch.models.slots import with_slots  # what it imports needs this package's contract

    profile = with_slots(profile)
    if profile.engine == "draft":
        from vvbatch.engine.draft import DraftEngine

        return DraftEngine(profile)
    if profile.engine == "vibevoice":
        from vvbatch.engine.vibevoice import VibeVoiceEngine

        return VibeVoiceEngine.open(profile, cache)
    if profile.engine == "bench":
        from vvbatch.engine.bench.batch import BatchEngine

        return BatchEngine.open(profile, cache)
    raise EngineUnavailable(f"profile {profile.name!r} names no known engine: {profile.engine!r}")
