"""`synth --stream` and Ctrl-C, with real processes and an engine whose audio is ready at once."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from tests.conftest import Shell, wait_until
from tests.support.ready import speechlike
from vvbatch.engine.contract import Request, Turn
from vvbatch.home import Home
from vvbatch.ledger import Ledger
from vvbatch.ledger.schema import lines, takes

HEADER_BYTES = 44


@pytest.fixture
def worker(shell: Shell) -> None:
    """`up` with the ready engine: its audio depends on the text and the seed alone."""
    shell.start("vvbatch", "redis")
    shell.start("tests.support.ready", "ready")


def streamed(shell: Shell, text: str, *options: str, code: int = 0) -> tuple[bytes, str]:
    done = subprocess.run(
        [sys.executable, "-m", "vvbatch", "synth", text, "--model", "ready", "--stream", *options],
        capture_output=True,
        cwd=shell.folder,
        timeout=120,
        check=False,
    )
    assert done.returncode == code, done.stderr.decode()
    return done.stdout, done.stderr.decode()


def rows(table: Any) -> list[Any]:
    ledger = Ledger(Home.from_environment().ledger_url)
    with ledger.engine.connect() as connection:
        found = list(connection.execute(table.select()).mappings())
    ledger.close()
    return found


def frames_of(text: str) -> int:
    return len(speechlike(Request("x", (Turn(0, text),), (), 1, 1.3, 10)))


def test_a_cached_line_streams_its_finished_take(shell: Shell, worker: None) -> None:
    view = shell.json("synth", "The lamp went out.", "--model", "ready")
    data, _ = streamed(shell, "The lamp went out.")
    samples, _ = soundfile.read(view["lines"][0]["path"], dtype="int16")
    assert data[:4] == b"RIFF"
    assert np.array_equal(np.frombuffer(data[HEADER_BYTES:], "<i2"), samples)


def test_a_profile_with_three_takes_streams_one(shell: Shell, worker: None, tmp_path: Path) -> None:
    configs = Path(os.environ["VVBATCH_CONFIGS"])
    (configs / "ready.yaml").write_text((configs / "ready.yaml").read_text() + "takes: 3\n")
    data, _ = streamed(shell, "One take is enough.")
    assert (len(data) - HEADER_BYTES) // 2 == frames_of("One take is enough.")
    assert len(rows(takes)) == 1


@pytest.mark.parametrize(
    ("text", "plays"),
    [("This take is silent all the way.", True), ("This device is broken today.", False)],
    ids=["fails a check", "engine fails"],
)
def test_a_streamed_take_that_fails_is_the_only_one_and_exits_with_1(
    shell: Shell, worker: None, text: str, plays: bool
) -> None:
    data, error = streamed(shell, text, code=1)
    assert (len(data) - HEADER_BYTES) // 2 == (frames_of(text) if plays else 0)
    assert "failed: " in error
    assert len(rows(takes)) == 1
    assert [line["state"] for line in rows(lines)] == ["failed"]


@pytest.mark.parametrize("option", [("--takes", "3"), ("--escalate", "ready2"), ("--json",)])
def test_options_that_a_stream_cannot_have_are_refused(shell: Shell, option: tuple[str, ...]) -> None:
    _, error = streamed(shell, "The lamp went out.", *option, code=2)
    assert option[0] in error


OWN_READY_WORKER = """
import sys
from vvbatch.cli import main
from vvbatch.processes import session
session.worker_program = lambda name: session.Program(name, [sys.executable, "-m", "tests.support.ready", name])
main()
"""


def start_with_own_worker(shell: Shell, *words: str) -> subprocess.Popen[str]:
    """The command starts its worker itself, and that has the ready engine."""
    running = subprocess.Popen(
        [sys.executable, "-c", OWN_READY_WORKER, *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        cwd=shell.folder,
        start_new_session=True,
    )
    shell.running.append(running)
    return running


SLOW = "slowly " * 60
"""120 s if it is rendered to the end."""


def test_ctrl_c_in_synth_cancels_the_line(shell: Shell) -> None:
    running = start_with_own_worker(shell, "synth", SLOW, "--model", "ready")
    wait_until(lambda: home_has_ledger() and [line for line in rows(lines) if line["state"] == "rendering"])
    running.send_signal(signal.SIGINT)
    assert running.wait(timeout=30) == 130
    assert "Aborted" not in running.stdout.read()
    assert [line["state"] for line in rows(lines)] == ["cancelled"]


def home_has_ledger() -> bool:
    return (Home.from_environment().path / "ledger.sqlite3").exists()


def test_ctrl_c_in_submit_watch_exits_with_130_and_leaves_the_line_queued(
    shell: Shell, script: Callable[..., Path]
) -> None:
    running = shell.start("vvbatch", "submit", str(script("One.")), "--watch")
    wait_until(lambda: home_has_ledger() and rows(lines))
    time.sleep(1)  # it watches now
    running.send_signal(signal.SIGINT)
    assert running.wait(timeout=30) == 130
    assert "Aborted" not in running.stdout.read()
    assert [line["state"] for line in rows(lines)] == ["queued"]


def test_ctrl_c_in_regress_run_cancels_the_lines(shell: Shell, tmp_path: Path) -> None:
    suite = tmp_path / "suite.yaml"
    suite.write_text(json.dumps({"version": 1, "title": "t", "model": "ready", "lines": [SLOW]}))
    running = start_with_own_worker(shell, "regress", "run", str(suite))
    wait_until(lambda: home_has_ledger() and [line for line in rows(lines) if line["state"] == "rendering"])
    running.send_signal(signal.SIGINT)
    assert running.wait(timeout=30) == 130
    assert [line["state"] for line in rows(lines)] == ["cancelled"]
