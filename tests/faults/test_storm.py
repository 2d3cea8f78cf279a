"""A short storm; `make storm FAULTS=500 LINES=1000 SEED=1` runs a long one."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from tests.conftest import ROOT


@pytest.mark.timeout(600)
def test_after_a_storm_of_40_faults_every_promise_holds() -> None:
    words = [sys.executable, "-m", "tools.storm", "--faults", "40", "--lines", "120", "--gap-s", "0.7"]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, timeout=590, check=False)
    assert done.stdout, done.stderr[-3000:]
    outcome = json.loads(done.stdout)
    assert done.returncode == 0, f"{json.dumps(outcome, indent=1)}\n{done.stderr[-3000:]}"
    assert outcome["problems"] == []
    assert outcome["rendered_again_without_a_fault"] == 0
    assert sum(outcome["faults"].values()) == 40
