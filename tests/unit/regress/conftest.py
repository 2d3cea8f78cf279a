from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from vvbatch.home import Home
from vvbatch.ledger import Ledger


@pytest.fixture
def where(home: Path) -> Home:
    return Home.from_environment()


@pytest.fixture
def ledger(where: Home) -> Iterator[Ledger]:
    ledger = Ledger(where.ledger_url)
    yield ledger
    ledger.close()
