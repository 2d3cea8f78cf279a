"""`vvbatch top` in a pseudo-terminal, as somebody who types sees it, while a worker renders."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

pytest.importorskip("textual")

from tests.acceptance.test_batches import ended, status, up
from tests.conftest import Shell, wait_until
from tests.support.terminal import Terminal

OTHER_SCREEN, FIRST_SCREEN = "\x1b[?1049h", "\x1b[?1049l"


@pytest.fixture
def terminal(shell: Shell, tmp_path: Path) -> Iterator[Callable[[int, int], Terminal]]:
    opened: list[Terminal] = []

    def start(columns: int, rows: int) -> Terminal:
        opened.append(Terminal(tmp_path, columns, rows, "top"))
        return opened[-1]

    yield start
    for each in opened:
        each.end()


def test_a_batch_is_watched_paused_and_resumed_and_q_gives_the_terminal_back(
    shell: Shell, script: Callable[..., Path], terminal: Callable[[int, int], Terminal]
) -> None:
    texts = [f"This line is said slowly, number {number}." for number in range(12)]
    batch = shell.json("submit", str(script(*texts, title="The Lighthouse")))["batch"]
    screen = terminal(80, 24)
    screen.shows("no worker runs: vvbatch up", "no queue is running", "0/12", "queued")
    assert OTHER_SCREEN in screen.written
    screen.type("p")
    wait_until(lambda: status(shell, batch)["state"] == "paused")
    screen.shows("is paused;")
    up(shell, "ready")
    screen.type("r")
    wait_until(lambda: status(shell, batch)["state"] == "rendering")
    screen.shows("1 worker", "rendering", "/16 slots")
    screen.forget()
    screen.resize(160, 40)
    screen.shows("TITLE", "The Lighthouse", "PRIORITY")
    wait_until(lambda: ended(shell, batch))
    screen.shows("12/12", "done")
    screen.forget()
    screen.type("\r")
    screen.shows("lines 1 to 12", "sorted by")
    screen.type("q")
    assert wait_until(lambda: screen.read() and screen.process.poll() is not None)
    assert screen.process.returncode == 0
    assert FIRST_SCREEN in screen.written and "Traceback" not in screen.written


def test_ctrl_c_ends_top_and_gives_the_terminal_back(shell: Shell, terminal: Callable[[int, int], Terminal]) -> None:
    screen = terminal(80, 24)
    screen.shows("no batch yet: vvbatch submit SCRIPT")
    begun = time.monotonic()
    screen.type("\x03")
    wait_until(lambda: screen.read() and screen.process.poll() is not None)
    assert screen.process.returncode == 0
    assert FIRST_SCREEN in screen.written and time.monotonic() - begun < 5
