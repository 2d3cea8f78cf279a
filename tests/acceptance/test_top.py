"""`vvbatch top` in a pseudo-terminal, as somebody who types sees it, while a worker renders."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

pytest.importorskip("textual")

from tests.acceptance.test_batches import ended, status, up
from tests.conftest import Shell, wait_until

OTHER_SCREEN, FIRST_SCREEN = "\x1b[?1049h", "\x1b[?1049l"


class Terminal:
    """A program in a pseudo-terminal, and all that it has written."""

    def __init__(self, folder: Path, columns: int, rows: int) -> None:
        self.leader, follower = pty.openpty()
        self.written = ""
        self.resize(columns, rows)
        self.process = subprocess.Popen(
            [sys.executable, "-m", "vvbatch", "top"],
            stdin=follower,
            stdout=follower,
            stderr=follower,
            cwd=folder,
            env={name: value for name, value in os.environ.items() if name not in ("COLUMNS", "LINES")}
            | {"TERM": "xterm-256color"},
            preexec_fn=lambda: os.login_tty(0),  # else a new size is not signalled
        )
        os.close(follower)

    def resize(self, columns: int, rows: int) -> None:
        fcntl.ioctl(self.leader, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def type(self, keys: str) -> None:
        os.write(self.leader, keys.encode())

    def read(self) -> str:
        """What was written until now."""
        while select.select([self.leader], [], [], 0)[0]:
            try:
                data = os.read(self.leader, 65_536)
            except OSError:  # Linux says so when the program has closed its end
                break
            if not data:
                break
            self.written += data.decode(errors="replace")
        return self.written

    def text(self) -> str:
        """What was written without colours; each movement of the cursor is a space."""
        plain = re.sub(r"\x1b\[[0-9;:]*m", "", self.read())
        return re.sub(r"\x1b(\[[0-9;?=<>]*[ -/]*[@-~]|[\]P][^\x1b\x07]*(\x07|\x1b\\)|[()][A-Z0-9]|.)", " ", plain)

    def shows(self, *words: str, timeout: float = 10) -> None:
        try:
            wait_until(lambda: all(word in self.text() for word in words), timeout=timeout, pause=0.05)
        except AssertionError:
            raise AssertionError(f"not shown: {words}\n{self.text()[-3000:]}") from None

    def forget(self) -> None:
        self.read()
        self.written = ""

    def end(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        os.close(self.leader)


@pytest.fixture
def terminal(shell: Shell, tmp_path: Path) -> Iterator[Callable[[int, int], Terminal]]:
    opened: list[Terminal] = []

    def start(columns: int, rows: int) -> Terminal:
        opened.append(Terminal(tmp_path, columns, rows))
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
