"""Gather the report of a suite from the ledger and write it to a file."""

from __future__ import annotations

import logging
from pathlib import Path

from vvbatch import store
from vvbatch.home import Home
from vvbatch.ledger import Ledger
from vvbatch.regress import records, schedule
from vvbatch.regress.baseline import folder
from vvbatch.regress.records import Night
from vvbatch.regress.report.page import page
from vvbatch.regress.suite import Suite
from vvbatch.regress.summary import Summary
from vvbatch.voices.errors import MissingExtra

NIGHTS_SHOWN = 60
log = logging.getLogger("vvbatch.regress")


def history(ledger: Ledger, suite: str, profile: str) -> list[Night]:
    """The newest ended nights, oldest first."""
    rows = records.history(ledger, suite, profile, NIGHTS_SHOWN)
    return [row for row in reversed(rows) if row.state == "ended"]


def missed(ledger: Ledger, suite: str) -> list[str]:
    """Due times of missed nights in UTC, oldest first."""
    return [at for row in schedule.overview(ledger, suite) for at in row.missed]


def html(ledger: Ledger, suite: Suite, night: Summary) -> str:
    """The page of a night. Raises MissingExtra."""
    before = [row for row in history(ledger, suite.name, night.profile) if row.started_at <= night.started_at]
    verdicts = records.verdicts_of(ledger, [row.id for row in before])
    return page(suite.script.title or suite.name, night, before, verdicts, missed(ledger, suite.name))


def default_path(home: Home, suite: str) -> Path:
    return folder(home, suite) / "report.html"


def try_to_write(ledger: Ledger, home: Home, suite: Suite, night: Summary) -> None:
    """Write the report of a scheduled night to its default path. A failure is logged: the night itself is valid."""
    try:
        store.write_atomically(default_path(home, suite.name), html(ledger, suite, night).encode())
    except (OSError, MissingExtra) as error:
        log.warning("the report of suite %s was not written: %s", suite.name, error)
