"""What is broken here, in one list: every finding with its value and the command that fixes it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

from vvbatch.home import Home, HomeError
from vvbatch.support.doctor.finding import Finding

Check = Callable[[Home], Iterator[Finding]]


def checks() -> list[Check]:
    from vvbatch.support.doctor import engine, holdings, machine, proofs, services

    return [
        machine.python,
        machine.packages,
        machine.home_folder,
        machine.disks,
        machine.memory,
        machine.processor,
        machine.torch_devices,
        machine.clock,
        services.server_program,
        services.queue_server,
        services.ledger,
        services.workers,
        engine.step_shapes,
        services.failures,
        services.missed_nights,
        holdings.profiles,
        holdings.models,
        proofs.proofs,
        holdings.voices,
    ]


def homeless_checks() -> list[Check]:
    """Those that do not look at the home folder."""
    from vvbatch.support.doctor import holdings, machine

    return [
        machine.python,
        machine.packages,
        machine.memory,
        machine.processor,
        machine.torch_devices,
        holdings.profiles,
    ]


def deep_checks() -> list[Check]:
    """Those that take seconds and much memory."""
    from vvbatch.support.doctor import engine

    return [engine.rendering]


def examine(home: Home | HomeError, deep: bool = False) -> Iterator[Finding]:
    """All findings; without a usable home, those that do not need one. A check that fails is a finding too."""
    if isinstance(home, HomeError):
        yield Finding("home", False, str(home), "set VVBATCH_HOME to a folder of yours, or fix its mode or its disk")
    for check in [
        *(checks() if isinstance(home, Home) else homeless_checks()),
        *(deep_checks() if deep else []),
    ]:
        try:
            yield from check(home if isinstance(home, Home) else Home(Path()))
        except Exception as error:  # one broken check must not hide the others
            name = check.__name__.replace("_", " ")
            yield Finding(name, False, f"could not be examined: {type(error).__name__}: {error}", "vvbatch bundle")
