"""Nights of a regression suite as a person runs them: with a good engine, and with ones that are broken on purpose."""

from __future__ import annotations

import json
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Shell, wait_until
from vvbatch.home import Home
from vvbatch.transport import queue, server

pytest.importorskip("piper")
TEXTS = (
    "The kettle began to sing before anyone was awake.",
    "Nobody had opened the green door since the flood.",
    "She folded the map twice and put it under the lamp.",
    "Twelve geese crossed the field in a perfect line.",
    "The path turned left at the chapel and vanished among the pines.",
    "They walked until the lights of the town were gone.",
)


@pytest.fixture
def suite(tmp_path: Path) -> Path:
    file = tmp_path / "six.yaml"
    file.write_text(json.dumps({"version": 1, "model": "draft", "lines": list(TEXTS), "keep_nights": 3}))
    return file


@pytest.fixture
def night_with(shell: Any, home: Path, suite: Path) -> Callable[[str, int], Any]:
    """Run a night with a worker whose engine is broken in the way that is named."""
    services = shell.start("vvbatch", "redis")
    wait_until(lambda: shell("status", code=None).returncode == 0)

    def run(how: str, code: int) -> Any:
        worker = shell.start("tests.support.broken", "draft", BROKEN=how)
        connection = server.connect(Home.from_environment(), patient=True)
        wait_until(lambda: queue.has_worker(connection, "draft"), timeout=60)
        found = shell.json("regress", "run", str(suite), code=code)
        worker.send_signal(signal.SIGTERM)
        worker.wait(timeout=30)
        wait_until(lambda: not queue.has_worker(connection, "draft"), timeout=30)
        connection.close()
        return found

    assert services.poll() is None
    return run


def names(found: Any) -> list[set[str]]:
    return [{reason["name"] for reason in line["reasons"]} for line in found["lines"]]


@pytest.mark.timeout(900)  # seven nights
def test_a_broken_engine_is_recognised_by_its_own_reason(
    shell: Shell, suite: Path, night_with: Callable[[str, int], Any]
) -> None:
    first = shell("regress", "run", str(suite), code=1)
    assert "6 unblessed" in first.stdout and "vvbatch regress bless" in first.stderr
    assert "--why" in shell("regress", "bless", str(suite), code=2).stderr
    assert shell.json("regress", "bless", str(suite), "--why", "listened to")["lines"]
    good = shell.json("regress", "run", str(suite))
    assert good["verdict"] == "same" and good["counts"]["same"] == 6 and good["reasons"] == []

    voice = night_with("voice", 1)
    assert voice["verdict"] == "worse" and all("voice" in each for each in names(voice))

    seed = night_with("seed", 0)
    assert seed["verdict"] == "changed" and names(seed) == [{"rendition"}] * 6 and seed["reasons"] == []

    slower = night_with("slower", 1)
    assert slower["verdict"] == "worse" and all("rate" in each for each in names(slower))
    assert [reason["name"] for reason in slower["reasons"]] == ["rate"]
    assert slower["reasons"][0]["value"] == pytest.approx(1 / 1.03 - 1, abs=0.01)

    louder = night_with("louder", 1)
    assert louder["verdict"] == "worse" and names(louder) == [{"loudness"}] * 6
    assert louder["reasons"][0]["value"] == pytest.approx(1.0, abs=0.02)

    cut = night_with("cut", 1)
    assert cut["verdict"] == "worse" and all("cut" in each for each in names(cut))

    # Three nights' audio is kept, with all rows; what was blessed before still is.
    kept = list((Home.from_environment().path / "regress" / "six" / "nights").iterdir())
    assert len(kept) == 3 and "18 of 18 files match the ledger" in shell("verify").stdout
    assert len(list((Home.from_environment().path / "regress" / "six" / "baselines").iterdir())) == 6
