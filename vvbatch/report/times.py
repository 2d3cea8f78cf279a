"""The ledger's UTC timestamps as local time with its zone. `show_utc` makes UTC of it, for `--utc`."""

from __future__ import annotations

import os
import time
from datetime import datetime
from typing import overload


def show_utc() -> None:
    """Local time is UTC from now on in this process."""
    os.environ["TZ"] = "UTC"
    time.tzset()


def local(timestamp: str) -> datetime:
    return datetime.fromisoformat(timestamp).astimezone()


@overload
def when(timestamp: str) -> str: ...
@overload
def when(timestamp: None) -> None: ...


def when(timestamp: str | None) -> str | None:
    """To the minute, with the zone: `2026-03-01 23:00 CET`."""
    return timestamp and f"{local(timestamp):%Y-%m-%d %H:%M} {zone(local(timestamp))}"


def moment(timestamp: str) -> str:
    """For people, to the minute: `Sun 1 Mar 23:00 CET`."""
    return f"{day_and_time(timestamp)} {zone(local(timestamp))}"


def day_and_time(timestamp: str) -> str:
    """Without its zone, which is shown elsewhere: `Sun 1 Mar 23:00`."""
    at = local(timestamp)
    return f"{at:%a} {at.day} {at:%b %H:%M}"


def clock(at: float) -> str:
    """Local time: `22:04` within half a day, `Sat 07:10` within six days, else `28 Feb`."""
    away_s = abs(at - time.time())
    form = "%H:%M" if away_s < 43_200 else "%a %H:%M" if away_s < 518_400 else "%d %b"
    return time.strftime(form, time.localtime(at))


def zone(at: datetime) -> str:
    """`CET`, `UTC`, or where a zone has no letters `+03`."""
    return at.tzname() or f"{at:%z}"


def zone_now() -> str:
    return zone(datetime.now().astimezone())
