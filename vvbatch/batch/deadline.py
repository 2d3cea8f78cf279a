"""Will a batch be ready by a given time, and with which profiles it would be."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence, Set
from datetime import datetime, timedelta

from msgspec import Struct
from msgspec.structs import asdict

from vvbatch.batch.estimate import Estimate, Speeds, of_profile, there
from vvbatch.batch.plan import Plan
from vvbatch.errors import InputError
from vvbatch.ledger import Ledger
from vvbatch.ledger.queries import cached_takes


class BadTime(InputError, ValueError):
    """Not a time of day, nor a date with one."""


class Choice(Struct):
    """All lines of the plan with one profile and so many takes of each.

    Lines that are cached are not counted where they are cached as planned: with their own profile and number of takes.
    """

    profile: str
    takes: int
    wall_s: float | None
    ready_at: str | None
    fits: bool | None  # None: the profile's speed is not known


class Deadline(Struct):
    """Whether a plan that begins now is ready at a time; `choices` begin with the plan's own profiles."""

    at: str
    ready: bool | None
    ready_at: str | None
    choices: Sequence[Choice]


class EstimateBy(Estimate, kw_only=True):
    by: Deadline


def time_after(text: str, now: datetime) -> datetime:
    """The next `07:00` of local time after `now`, or the time that `2026-03-01T07:00` names. Raises BadTime."""
    try:
        if re.fullmatch(r"\d{1,2}:\d\d", text.strip()):
            hour, minute = map(int, text.split(":"))
            # Without its offset: the clocks may change before that time.
            here = now.astimezone().replace(tzinfo=None)
            today = here.replace(hour=hour, minute=minute, second=0, microsecond=0)
            return (today if today > here else today + timedelta(days=1)).astimezone()
        at = datetime.fromisoformat(text.strip())
    except ValueError as error:
        raise BadTime(
            f"not a time: {text!r}; give a time of day (07:00) or a date with one (2026-03-01T07:00)"
        ) from error
    return at if at.tzinfo else at.astimezone()


def with_deadline(
    checked: Estimate, plan: Plan, ledger: Ledger, by: datetime, now: datetime, speeds: Speeds, usable: Sequence[str]
) -> EstimateBy:
    """The estimate with what is ready `by` then if it begins `now`: as planned, and with each `usable` profile."""
    needed = [model.ready_s for model in checked.models if model.lines]
    known = [each for each in needed if each is not None]
    end = local_after(now, max(known, default=0.0)) if len(known) == len(needed) else None
    cached = {key for key, take in cached_takes(ledger, plan.lines).items() if there(take.path)}
    names = list(dict.fromkeys([*(name for name in plan.profiles if name in usable), *usable]))
    choices = [choice for name in names for choice in choices_of(name, plan, cached, ledger, by, now, speeds)]
    found = Deadline(stamp(by), None if end is None else end <= by, None if end is None else stamp(end), choices)
    return EstimateBy(**asdict(checked), by=found)


def choices_of(
    profile: str, plan: Plan, cached: Set[str], ledger: Ledger, by: datetime, now: datetime, speeds: Speeds
) -> Iterator[Choice]:
    """The profile with as many takes as planned, and with one. `cached` has the keys of finished takes."""
    for most in sorted({max((line.takes for line in plan.lines), default=1), 1}, reverse=True):
        left = [line for line in plan.lines if line.key not in cached or line.profile != profile or line.takes > most]
        cost = of_profile(profile, [len(line.text) * min(line.takes, most) for line in left], ledger, speeds)
        if cost.ready_s is None:
            yield Choice(profile, most, None, None, None)
        else:
            end = local_after(now, cost.ready_s)
            yield Choice(profile, most, cost.wall_s, stamp(end), end <= by)


def local_after(now: datetime, seconds: float) -> datetime:
    """With the offset from UTC that local time has then."""
    return (now + timedelta(seconds=seconds)).astimezone()


def stamp(at: datetime) -> str:
    return at.isoformat(timespec="seconds")
