from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.house import House
from vvbatch import profiles


@pytest.fixture
def house(home: Path, tmp_path: Path) -> Iterator[House]:
    made = House(tmp_path)
    yield made
    made.ledger.close()
    profiles.load.cache_clear()
