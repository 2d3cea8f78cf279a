from __future__ import annotations

import re
import signal

import pytest

from vvbatch import machine
from vvbatch.processes.killed_loading import killed_while_loading
from vvbatch.processes.limits import Memory


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (signal.SIGKILL, "killed by SIGKILL 5 times while it loaded its model; the likely cause: memory ran out"),
        (signal.SIGILL, "SIGILL 5 times while it loaded its model; the likely cause: a package was built for a newer"),
        (signal.SIGSEGV, "SIGSEGV .*: a fault in a package with native code"),
        (signal.SIGBUS, "SIGBUS .*: a file of the model or of a package is cut short"),
        (signal.SIGUSR1, "SIGUSR1 .*: another program or user ended it"),
        (signal.SIGRTMIN + 1, "signal 35 5 times .*: another program or user ended it"),
    ],
)
def test_the_reason_names_signal_cause_and_memory(number: int, words: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "memory", lambda: Memory(2_000_000_000, 200_000_000))
    reason = killed_while_loading("draft", int(number), 5)
    assert "\n" not in reason and reason.startswith("the worker of profile 'draft' was killed by ")
    assert "needs about 0.3 GB, 0.2 GB of 2.0 GB are free" in reason
    assert re.search(words, reason), reason


def test_the_memory_of_a_model_that_is_not_here_is_unknown() -> None:
    assert "It needs an unknown amount of memory, " in killed_while_loading("7b", 9, 5)
