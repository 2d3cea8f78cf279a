"""An evening, a night and a morning at a terminal of 80 columns, with real processes."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

from tests.acceptance.test_batches import status, up
from tests.conftest import Shell, wait_until
from tests.support.terminal import Terminal

TITLE = "The Long Night of the Lighthouse Keepers and Their Wives"


def test_a_night_is_watched_told_and_understood_in_the_morning(
    shell: Shell, script: Callable[..., Path], tmp_path: Path
) -> None:
    texts = [*(f"This line is said slowly, number {number}." for number in range(6)), "This one is silent."]
    batch = shell.json("submit", str(script(*texts, title=TITLE)))["batch"]
    watching = Terminal(tmp_path, 80, 24, "status", "--watch")
    try:
        watching.shows(batch, "0/7", "waiting: no queue is running: vvbatch up --workers ready")
        up(shell, "ready")
        watching.shows("rendering", "/7")
        assert wait_until(lambda: watching.read() and watching.process.poll() is not None)
        assert watching.process.returncode == 0
        watching.shows("7/7", "1 failed", "(script.yaml:1)", "is too quiet")
    finally:
        watching.end()
    assert status(shell, batch)["state"] == "failed"
    sent = tmp_path / "sent.json"
    other = script("One more line.", name="more.yaml")
    shell("run", str(other), "--notify", f"tee {sent}")
    found = json.loads(sent.read_text())
    assert (found["event"], found["state"], found["counts"]["done"]) == ("ended", "done", 1)
    morning = Terminal(tmp_path, 80, 24, "status", batch)
    try:
        morning.shows("began", "ended", "(script.yaml:1)", "is too quiet", "try again", f"vvbatch retry {batch}")
        assert max(map(len, morning.text().split("\r\n"))) <= 80
    finally:
        morning.end()
