"""When suites run by themselves: what is scheduled, what comes next, and which nights were missed."""

from __future__ import annotations

import itertools
import shlex
import sys
from collections import ChainMap
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import delete, select

from vvbatch.errors import InputError
from vvbatch.home import Home
from vvbatch.ledger import Ledger
from vvbatch.ledger.database import write
from vvbatch.ledger.schema import nights, schedules

GRACE = timedelta(hours=1)  # the queue may be busy with something else
TOLD = 31  # missed nights of a suite, the newest
FEWEST_MINUTES = 10  # between two nights
MOST_ENTRIES = 64  # launchd wants every time by itself


class BadSchedule(InputError, ValueError):
    """A cron expression that cannot be used; the message says what one looks like."""


def times(cron: str, after: datetime) -> Iterator[datetime]:
    """The times of a cron expression from `after` on, in UTC; its fields are local time, as rq's scheduler reads them.

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
    """The expression with single spaces. Raises BadSchedule for one that is none, or comes never or all the time."""
    fields = cron.split()
    if len(fields) != 5:
        raise BadSchedule(
            f"cron expression {cron!r} has {len(fields)} fields: minute, hour, day, month and weekday are wanted, "
            "such as '30 2 * * *', every day at 2:30"
        )
    try:
        coming = list(itertools.islice(times(" ".join(fields), now), 10))
    except BadSchedule:
        raise
    except Exception as error:  # croniter has errors of its own for a date that never comes
        raise BadSchedule(f"cron expression {cron!r} never comes: {error}") from error
    if min(later - earlier for earlier, later in itertools.pairwise(coming)) < timedelta(minutes=FEWEST_MINUTES):
        raise BadSchedule(f"cron expression {cron!r} comes more often than every {FEWEST_MINUTES} minutes")
    return " ".join(fields)


def put(ledger: Ledger, suite: str, profile: str | None, cron: str) -> None:
    """Schedule a suite, in place of what it was scheduled for. `suite` is a name, or a file's whole path."""
    with write(ledger.engine) as connection:
        connection.execute(delete(schedules).where(schedules.c.suite == suite))
        row = {"suite": suite, "profile": profile, "cron": cron, "since": ledger.now()}
        connection.execute(schedules.insert().values(row))


def take_off(ledger: Ledger, suite: str) -> bool:
    with write(ledger.engine) as connection:
        return bool(connection.execute(delete(schedules).where(schedules.c.suite == suite)).rowcount)


def scheduled(ledger: Ledger) -> list[dict[str, Any]]:
    with ledger.engine.connect() as connection:
        return [dict(row) for row in connection.execute(select(schedules).order_by(schedules.c.suite)).mappings()]


def overview(ledger: Ledger, only: str | None = None) -> list[dict[str, Any]]:
    """Every scheduled suite: `suite`, `profile`, `cron`, `next`, `last` (a night's start), `missed`; times in UTC."""
    now = datetime.fromisoformat(ledger.now())
    found = []
    for row in scheduled(ledger):
        if only is not None and Path(row["suite"]).stem != only:
            continue
        began = begun(ledger, Path(row["suite"]).stem, row["since"])
        found.append(
            {
                **row,
                "next": stamp(next(times(row["cron"], now))),
                "last": stamp(began[-1]) if began else None,
                "missed": [stamp(at) for at in missed(row, began, now)],
            }
        )
    return found


def missed(row: Mapping[str, Any], began: Sequence[datetime], now: datetime) -> list[datetime]:
    """Due times after which no night began before the next; the newest TOLD of them, oldest first."""
    due = times(row["cron"], datetime.fromisoformat(row["since"]))
    found: list[datetime] = []
    at = next(due)
    while at + GRACE <= now:
        following = next(due)
        if not any(at <= begin < min(following, now) for begin in began):
            found = [*found[-TOLD + 1 :], at]
        at = following
    return found


def begun(ledger: Ledger, suite: str, since: str) -> list[datetime]:
    """When the suite's nights began that were not interrupted, oldest first."""
    counted = (nights.c.suite == suite, nights.c.state != "interrupted", nights.c.started_at >= since)
    with ledger.engine.connect() as connection:
        rows = connection.execute(select(nights.c.started_at).where(*counted).order_by(nights.c.started_at))
        return [datetime.fromisoformat(row.started_at) for row in rows]


def stamp(at: datetime) -> str:
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def argv(suite: str, profile: str | None) -> list[str]:
    return [sys.executable, "-m", "vvbatch", "regress", "run", suite, *(["--model", profile] if profile else [])]


def crontab_line(home: Home, suite: str, profile: str | None, cron: str) -> str:
    """One line for `crontab -e`. A percent sign would end cron's command."""
    log = home.logs / f"regress-{Path(suite).stem}.log"
    words = (
        f"VVBATCH_HOME={shlex.quote(str(home.path))} {shlex.join(argv(suite, profile))} >> {shlex.quote(str(log))} 2>&1"
    )
    return f"{cron} {words}".replace("%", r"\%")


def launchd_line(home: Home, suite: str, profile: str | None, cron: str) -> str:
    """A property list for ~/Library/LaunchAgents, in one line. Raises BadSchedule when it needs too many entries."""
    import plistlib

    from croniter import croniter

    names = ("Minute", "Hour", "Day", "Month", "Weekday")
    fields = [[] if "*" in values else values for values in croniter.expand(cron)[0]]
    if fields[2] and fields[4]:
        raise BadSchedule(f"cron expression {cron!r}: launchd cannot have both a day and a weekday")
    parts = [[{name: int(value)} for value in values] or [{}] for name, values in zip(names, fields, strict=True)]
    entries = [dict(ChainMap(*chosen)) for chosen in itertools.product(*parts)]
    if len(entries) > MOST_ENTRIES:
        raise BadSchedule(f"cron expression {cron!r} makes {len(entries)} entries for launchd: at most {MOST_ENTRIES}")
    log = str(home.logs / f"regress-{Path(suite).stem}.log")
    document = {
        "Label": f"vvbatch.regress.{Path(suite).stem}",
        "ProgramArguments": argv(suite, profile),
        "EnvironmentVariables": {"VVBATCH_HOME": str(home.path)},
        "StartCalendarInterval": entries,
        "StandardOutPath": log,
        "StandardErrorPath": log,
    }
    return "".join(line.strip() for line in plistlib.dumps(document, sort_keys=False).decode().splitlines())
