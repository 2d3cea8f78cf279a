"""How many lines an engine renders at once where the profile leaves it to the machine: `slots: auto`."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from vvbatch import machine
from vvbatch.engine.contract import EngineUnavailable
from vvbatch.models import memory
from vvbatch.models.snapshot import snapshot
from vvbatch.models.weights import BadWeights
from vvbatch.profiles import AUTO, SLOTS, Profile

CHOICES = (32, 24, 16, 12, 8, 6, 4, 2, 1)
SHARE_OF_MEMORY = 0.5  # that the weights leave: the rest is for longer lines, new voices, listening and other programs
FEW_CORES = 2
"""With so many cores 16 lines leave little of them idle: 32 are a tenth faster, and a step lasts twice as long."""


def with_slots(profile: Profile) -> Profile:
    """The profile with a number of slots for this machine in place of `auto`."""
    if profile.slots != AUTO:
        return profile
    found = machine.can_run(profile)
    if profile.engine != "vibevoice" or found is None:
        return msgspec.structs.replace(profile, slots=SLOTS)
    device, dtype = found
    most = SLOTS if device == "cpu" and machine.threads_of(profile) <= FEW_CORES else CHOICES[0]
    try:
        folder = snapshot(profile.model.repo, profile.model.revision)
        slots = most_slots(lambda count: memory.of_snapshot(folder, dtype, count), machine.memory_total(device), most)
    except (EngineUnavailable, BadWeights, OSError, KeyError):
        slots = most  # the engine says what is wrong with the model when it opens it
    return msgspec.structs.replace(profile, slots=slots)


def most_slots(needed_bytes: Callable[[int], int], total_bytes: int | None, most: int) -> int:
    """The largest choice up to `most` whose lines fit beside the weights, into their share; 1 when none does.

    `needed_bytes` gives the memory of a number of slots with the weights, which are all that 0 slots need. With None
    as `total_bytes` everything is taken to fit.
    """
    choices = [count for count in CHOICES if count <= most]
    if total_bytes is None:
        return choices[0]
    weights = needed_bytes(0)
    room = SHARE_OF_MEMORY * (total_bytes - weights)
    return next((count for count in choices if needed_bytes(count) - weights <= room), 1)
