"""A private home folder for each test, and real processes that end with it."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import IO, Any

import pytest
from hypothesis import settings

# torch reads this when it is loaded, here and in every process that a test starts. Threads that spin while they wait
# take the cores of other tests: a test of small products then lasts six times as long.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

# Ignored where the tests are started in the background or by nohup; processes that tests start would ignore them too.
for number, handler in ((signal.SIGINT, signal.default_int_handler), (signal.SIGHUP, signal.SIG_DFL)):
    if signal.getsignal(number) is signal.SIG_IGN:
        signal.signal(number, handler)

ROOT = Path(__file__).parent.parent
FAULTS = ROOT / "tests" / "faults"

settings.register_profile("quick", max_examples=10)  # of `make unit`; `make test` has Hypothesis' own 100

READY_PROFILE = """
title: Ready audio, for tests
engine: draft
model: {repo: none, revision: "1"}
device: cpu
dtype: float32
threads: 1
slots: 16
generation:
  cfg_scale: {golden: 1.3, min: 1.0, max: 3.0}
  steps: {golden: 10, min: 1, max: 50}
patience: {step_s: 4, step_s_per_char: 0}
text: {max_chars: 2000}
"""


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """`make unit` does not import files in which every test is slow: some import a model library for seconds."""
    if config.option.markexpr != "not slow" or collection_path.suffix != ".py":
        return None
    text = collection_path.read_text(encoding="utf-8")
    return True if re.search(r"^pytestmark = (\[\s*)?pytest\.mark\.slow\b", text, re.MULTILINE) else None


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Every test of tests/faults has the marker `faults`; commands and servers are `slow`."""
    for item in items:
        if item.path.is_relative_to(FAULTS):
            item.add_marker(pytest.mark.faults)
        if {"shell", "module_home"} & set(getattr(item, "fixturenames", ())):
            item.add_marker(pytest.mark.slow)


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """VVBATCH_HOME for this test and the processes it starts; the profiles are `ready` and `ready2`."""
    from vvbatch import profiles

    profiles.load.cache_clear()  # an earlier test may have loaded other profiles of these names
    configs = tmp_path / "configs"
    configs.mkdir()
    for name in ("ready", "ready2"):
        (configs / f"{name}.yaml").write_text(READY_PROFILE)
    monkeypatch.setenv("VVBATCH_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("VVBATCH_CONFIGS", str(configs))
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv("COLUMNS", "120")
    for name in ("VVBATCH_REDIS_URL", "VVBATCH_LEDGER_URL"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path / "home"


class Shell:
    """Runs vvbatch as a user would, and ends its background processes with the test."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.running: list[subprocess.Popen[str]] = []

    def __call__(self, *words: str, code: int | None = 0, timeout: float = 120) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            [sys.executable, "-m", "vvbatch", *words],
            capture_output=True,
            text=True,
            cwd=self.folder,
            timeout=timeout,
            check=False,
        )
        if code is not None:
            assert done.returncode == code, f"{words}: exit {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done

    def json(self, *words: str, code: int | None = 0) -> Any:
        return json.loads(self(*words, "--json", code=code).stdout)

    def start(
        self, *argv: str, before: Sequence[str] = (), output: int | IO[bytes] = subprocess.PIPE, **environment: str
    ) -> subprocess.Popen[str]:
        """Start `python -m argv…` after the command prefix `before`, with `environment` added to this process's.

        A pipe that is not read holds 64 KiB: a process that prints more needs a file for its `output`, or it blocks.
        """
        process = subprocess.Popen(
            [*before, sys.executable, "-m", *argv],
            stdout=output,
            stderr=subprocess.STDOUT,
            text=True,
            cwd=self.folder,
            env={**os.environ, **environment},
            start_new_session=True,
        )
        self.running.append(process)
        return process

    def end(self) -> None:
        for process in self.running:
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
        for process in self.running:
            try:
                process.wait(timeout=20)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
            if process.stdout:
                process.stdout.close()


@pytest.fixture
def shell(home: Path, tmp_path: Path) -> Iterator[Shell]:
    shell = Shell(tmp_path)
    yield shell
    shell.end()


@pytest.fixture
def script(tmp_path: Path) -> Callable[..., Path]:
    """Write a script of plain lines: script("One.", "Two.", title="t")."""

    def write(*texts: str, title: str = "Test", name: str = "script.yaml", model: str = "ready") -> Path:
        path = tmp_path / name
        path.write_text(json.dumps({"version": 1, "title": title, "model": model, "lines": list(texts)}))
        return path

    return write


def wait_until(condition: Callable[..., Any], timeout: float = 30.0, pause: float = 0.1) -> Any:
    """The first true value of `condition()`, called every `pause` seconds; fails the test after `timeout` seconds."""
    end = time.monotonic() + timeout
    while time.monotonic() < end:
        if value := condition():
            return value
        time.sleep(pause)
    raise AssertionError(f"not within {timeout} s: {condition}")
