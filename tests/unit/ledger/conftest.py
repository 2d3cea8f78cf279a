from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.ledgers import Clock, open_ledger
from vvbatch.ledger import Ledger


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def ledger(tmp_path: Path, clock: Clock) -> Ledger:
    return open_ledger(tmp_path, clock)
