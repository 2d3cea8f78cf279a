"""The job of a night: a suite rendered, judged, its report written. What it did is in the ledger."""

from __future__ import annotations

import logging

from vvbatch.home import Home
from vvbatch.ledger.journal import ledger_of
from vvbatch.regress import run_night, suite
from vvbatch.regress.report.write import try_to_write
from vvbatch.regress.summary import summary

log = logging.getLogger("vvbatch.regress")


def run_suite(name: str, profile: str | None) -> None:
    """Run one night of a suite. Raises what `run_night.run` does."""
    home = Home.from_environment()
    ledger = ledger_of(home)
    try:
        loaded = suite.load(name)
        night_id = run_night.run(loaded, home, ledger, profile)
        found = summary(ledger, loaded.name, night_id)
        log.warning("night %s of suite %s: %s", night_id, loaded.name, found.verdict)
        try_to_write(ledger, home, loaded, found)
    finally:
        ledger.close()
