"""A suite's report as files: gathered from the ledger, written completely or not at all."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from vvbatch import store
from vvbatch.home import Home
from vvbatch.ledger import Ledger
from vvbatch.regress import records, schedule
from vvbatch.regress.baseline import folder
from vvbatch.regress.report.page import page
from vvbatch.regress.suite import Suite
from vvbatch.voices.errors import MissingExtra

NIGHTS_SHOWN = 60
log = logging.getLogger("vvbatch.regress")


def history(ledger: Ledger, suite: str, profile: str) -> list[dict[str, Any]]:
    """The newest nights that have ended, oldest first."""
    rows = records.history(ledger, suite, profile, NIGHTS_SHOWN)
    return [row for row in reversed(rows) if row["state"] == "ended"]


def missed(ledger: Ledger, suite: str) -> list[str]:
    return [at for row in schedule.overview(ledger, suite) for at in row["missed"]]


def html(ledger: Ledger, suite: Suite, night: Mapping[str, Any]) -> str:
    """The page of a night's `summary`. Raises MissingExtra."""
    before = [row for row in history(ledger, suite.name, night["profile"]) if row["started_at"] <= night["started_at"]]
    verdicts = records.verdicts_of(ledger, [row["id"] for row in before])
    return page(suite.script.title or suite.name, night, before, verdicts, missed(ledger, suite.name))


def default_path(home: Home, suite: str) -> Path:
    return folder(home, suite) / "report.html"


def try_to_write(ledger: Ledger, home: Home, suite: Suite, night: Mapping[str, Any]) -> None:
    """The report of a night that ran by itself, at its usual place; a night without one is a night all the same."""
    try:
        store.write_atomically(default_path(home, suite.name), html(ledger, suite, night).encode())
    except (OSError, MissingExtra) as error:
        log.warning("the report of suite %s was not written: %s", suite.name, error)
