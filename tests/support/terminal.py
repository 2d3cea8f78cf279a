"""A program in a pseudo-terminal, as somebody who types sees it."""

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
from pathlib import Path

from tests.conftest import wait_until


class Terminal:
    """A program in a pseudo-terminal, and all that it has written."""

    def __init__(self, folder: Path, columns: int, rows: int, *words: str) -> None:
        self.leader, follower = pty.openpty()
        self.written = ""
        self.resize(columns, rows)
        self.process = subprocess.Popen(
            [sys.executable, "-m", "vvbatch", *words],
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

    def press(self, key: str) -> None:
        """Type a key when the program waits for one: a key that comes earlier is dropped."""
        wait_until(lambda: not termios.tcgetattr(self.leader)[3] & termios.ICANON, timeout=30, pause=0.01)
        self.type(key)

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

    def shows(self, *words: str, timeout: float = 30) -> None:
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
