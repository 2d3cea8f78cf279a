from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.house import TEXTS, House


@pytest.fixture
def house(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[House]:
    house = House(tmp_path)
    monkeypatch.setenv("VVBATCH_LEDGER_URL", house.ledger.url)
    house.submit("book-1", *TEXTS)
    house.render()
    yield house
    house.ledger.close()
