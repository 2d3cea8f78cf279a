"""Counters for Prometheus: every take once, whenever they are read."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support import ledgers
from vvbatch.web.counters import Counters


@pytest.mark.parametrize("pause_s", [1, 60, 7200])
def test_every_take_is_counted_however_seldom(tmp_path: Path, pause_s: int) -> None:
    clock = ledgers.Clock()
    ledger = ledgers.open_ledger(tmp_path, clock)
    ledgers.add_batch(ledger, "b", ["One.", "Two.", "Three."])
    counters = Counters(ledger)
    for number in (1, 2):
        ledgers.render(ledger, "b", number)
        clock.advance(pause_s)
        counters.count()
    ledgers.fail(ledger, "b", 3)
    clock.advance(pause_s)
    counters.count()
    counters.count()
    of_state = {
        state: counters.registry.get_sample_value("vvbatch_takes_total", {"profile": "draft", "state": state})
        for state in ("done", "failed_qc")
    }
    assert of_state == {"done": 2, "failed_qc": 1}
    ledger.close()


def test_takes_before_the_server_are_not_counted(tmp_path: Path) -> None:
    clock = ledgers.Clock()
    ledger = ledgers.open_ledger(tmp_path, clock)
    ledgers.add_batch(ledger, "b", ["One."])
    ledgers.render(ledger, "b", 1)
    clock.advance(1)
    counters = Counters(ledger)
    counters.count()
    assert next(iter(counters.takes.collect())).samples == []
    ledger.close()
