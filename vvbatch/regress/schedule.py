"""Schedules of suites: when they run next, and which nights were missed."""

from __future__ import annotations

import itertools
import shlex
from collections import ChainMap
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
from sqlalchemy import delete, select

from vvbatch.errors import InputError
from vvbatch.home import Home
from vvbatch.ledger import Ledger
from vvbatch.ledger.database import write
from vvbatch.ledger.schema import nights, schedules
from vvbatch.processes import python
from vvbatch.regress.records import plain

GRACE = timedelta(hours=1)  # a night starts late while the queue is busy
MISSED_SHOWN = 31  # the newest missed nights of a suite
FEWEST_MINUTES = 10  # between two nights
MOST_ENTRIES = 64  # launchd needs one entry for every time


class BadSchedule(InputError, ValueError):
    """A cron expression that cannot be used; the message gives an example."""


class Schedule(msgspec.Struct, frozen=True, kw_only=True):
    suite: str  # a name, or the absolute path of a file
    profile: str | None
    cron: str
    since: str  # UTC


class ScheduleStatus(Schedule, frozen=True, kw_only=True):
    """A schedule with its times in UTC."""

    next: str
    last: str | None  # when the last night began
    missed: list[str]  # due times, oldest first


def times(cron: str, after: datetime) -> Iterator[datetime]:
    """The times of a cron expression after `after`, in UTC. Its fields are local time, as for rq's scheduler.

    Raises BadSchedule.
    """
    from rq.cron import CronJob

    try:
        job = CronJob(queue_name="", func_name="none", cron=cron)
    except (ValueError, KeyError, AttributeError) as error:
        raise BadSchedule(f"cron expression {cron!r}: {error}; such as '30 2 * * *', every day at 2:30") from error
    job.set_enqueue_time(after)
    while job.next_enqueue_time is not None:
        yield job.next_enqueue_time
        job.set_enqueue_time(job.next_enqueue_time)


def checked(cron: str, now: datetime) -> str:
    """The expression with single spaces. Raises BadSchedule if it is malformed, never due, or due too often."""
    fields = cron.split()
    if len(fields) != 5:
        raise BadSchedule(
            f"cron expression {cron!r} has {len(fields)} fields: it needs minute, hour, day, month and weekday, "
            "such as '30 2 * * *', every day at 2:30"
        )
    try:
        coming = list(itertools.islice(times(" ".join(fields), now), 10))
    except BadSchedule:
        raise
    except Exception as error:  # croniter has its own error types for a date that never comes
        raise BadSchedule(f"cron expression {cron!r} is never due: {error}") from error
    if min(later - earlier for earlier, later in itertools.pairwise(coming)) < timedelta(minutes=FEWEST_MINUTES):
        raise BadSchedule(f"cron expression {cron!r} is due more often than every {FEWEST_MINUTES} minutes")
    return " ".join(fields)


def set_schedule(ledger: Ledger, suite: str, profile: str | None, cron: str) -> None:
    """Schedule a suite, replacing its schedule. `suite` is a name, or the absolute path of a file."""
    with write(ledger.engine) as connection:
        connection.execute(delete(schedules).where(schedules.c.suite == suite))
        row = {"suite": suite, "profile": profile, "cron": cron, "since": ledger.now()}
        connection.execute(schedules.insert().values(row))


def unschedule(ledger: Ledger, suite: str) -> bool:
    """Whether the suite had a schedule."""
    with write(ledger.engine) as connection:
        return bool(connection.execute(delete(schedules).where(schedules.c.suite == suite)).rowcount)


def scheduled(ledger: Ledger) -> list[Schedule]:
    """Every schedule, sorted by suite."""
    with ledger.engine.connect() as connection:
        rows = connection.execute(select(schedules).order_by(schedules.c.suite)).mappings()
        return [msgspec.convert(plain(row), Schedule) for row in rows]


def overview(ledger: Ledger, only: str | None = None) -> list[ScheduleStatus]:
    """The status of every schedule, or of the suite named `only`."""
    now = datetime.fromisoformat(ledger.now())
    found = []
    for schedule in scheduled(ledger):
        if only is not None and Path(schedule.suite).stem != only:
            continue
        starts = night_starts(ledger, Path(schedule.suite).stem, schedule.since)
        found.append(
            ScheduleStatus(
                **msgspec.structs.asdict(schedule),
                next=utc(next(times(schedule.cron, now))),
                last=utc(starts[-1]) if starts else None,
                missed=[utc(at) for at in missed(schedule, starts, now)],
            )
        )
    return found


def missed(schedule: Schedule, starts: Sequence[datetime], now: datetime) -> list[datetime]:
    """Due times after which no night started before the next; the newest MISSED_SHOWN of them, oldest first."""
    due = times(schedule.cron, datetime.fromisoformat(schedule.since))
    found: list[datetime] = []
    at = next(due)
    while at + GRACE <= now:
        following = next(due)
        if not any(at <= start < min(following, now) for start in starts):
            found = [*found[-MISSED_SHOWN + 1 :], at]
        at = following
    return found


def night_starts(ledger: Ledger, suite: str, since: str) -> list[datetime]:
    """When the nights of the suite started, without interrupted ones, oldest first."""
    counted = (nights.c.suite == suite, nights.c.state != "interrupted", nights.c.started_at >= since)
    with ledger.engine.connect() as connection:
        rows = connection.execute(select(nights.c.started_at).where(*counted).order_by(nights.c.started_at))
        return [datetime.fromisoformat(row.started_at) for row in rows]


def utc(at: datetime) -> str:
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def argv(suite: str, profile: str | None) -> list[str]:
    return python.module("vvbatch", "regress", "run", suite, *(["--model", profile] if profile else []))


def variables(home: Home, environment: Mapping[str, str]) -> dict[str, str]:
    return {**python.needed_variables(environment), "VVBATCH_HOME": str(home.path)}


def crontab_line(home: Home, suite: str, profile: str | None, cron: str, environment: Mapping[str, str]) -> str:
    """One line to add by `crontab -e`. Percent signs are escaped: cron ends the command at one."""
    log = home.logs / f"regress-{Path(suite).stem}.log"
    for name, value in variables(home, environment).items():
        if "\n" in value:
            raise BadSchedule(f"{name} has a line end, which a crontab cannot hold: remove it from {value!r}")
    set_first = " ".join(f"{name}={shlex.quote(value)}" for name, value in variables(home, environment).items())
    command = f"{set_first} {shlex.join(argv(suite, profile))} >> {shlex.quote(str(log))} 2>&1"
    return f"{cron} {command}".replace("%", r"\%")


def launchd_line(home: Home, suite: str, profile: str | None, cron: str, environment: Mapping[str, str]) -> str:
    """A property list for ~/Library/LaunchAgents, in one line. Raises BadSchedule if it needs too many entries."""
    import plistlib

    from croniter import croniter

    names = ("Minute", "Hour", "Day", "Month", "Weekday")
    fields = [[] if "*" in values else values for values in croniter.expand(cron)[0]]
    if fields[2] and fields[4]:
        raise BadSchedule(f"cron expression {cron!r}: launchd cannot have both a day and a weekday")
    parts = [[{name: int(value)} for value in values] or [{}] for name, values in zip(names, fields, strict=True)]
    entries = [dict(ChainMap(*chosen)) for chosen in itertools.product(*parts)]
    if len(entries) > MOST_ENTRIES:
        raise BadSchedule(f"cron expression {cron!r} needs {len(entries)} entries for launchd: at most {MOST_ENTRIES}")
    log = str(home.logs / f"regress-{Path(suite).stem}.log")
    document = {
        "Label": f"vvbatch.regress.{Path(suite).stem}",
        "ProgramArguments": argv(suite, profile),
        "EnvironmentVariables": variables(home, environment),
        "StartCalendarInterval": entries,
        "StandardOutPath": log,
        "StandardErrorPath": log,
    }
    return "".join(line.strip() for line in plistlib.dumps(document, sort_keys=False).decode().splitlines())
