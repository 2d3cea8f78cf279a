"""The engine: the shape of its steps, and on each device a small random model that renders a few lines."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing

import msgspec
from sqlalchemy import select

from vvbatch.engine.contract import EngineUnavailable
from vvbatch.home import Home
from vvbatch.ledger.schema import workers
from vvbatch.support.doctor.finding import Finding
from vvbatch.support.doctor.services import open_ledger

RECENT = 50  # workers

CHOOSE_ANOTHER = "render on another device: `device: cpu` in a profile of your own"
ONE_BY_ONE = "for takes that can be repeated bit for bit, set `slots: 1` in a profile of your own"


class StepFacts(msgspec.Struct, frozen=True):
    """What a worker's engine found out about its steps."""

    slots: int = 0
    step_shape: str | None = None  # None: the engine has none, or the worker is older
    independent: bool = True


class Facts(msgspec.Struct, frozen=True):
    details: StepFacts = StepFacts()


def step_shapes(home: Home) -> Iterator[Finding]:
    """The shape of the steps of each profile's newest worker."""
    book = open_ledger(home)
    if book is None:
        return
    query = select(workers.c.profile, workers.c.facts).order_by(workers.c.started_at.desc()).limit(RECENT)
    with closing(book), book.engine.connect() as connection:
        newest = {
            row.profile: msgspec.convert(row.facts, Facts).details for row in reversed(list(connection.execute(query)))
        }
    for profile, steps in sorted(newest.items()):
        name = f"steps of {profile}"
        if steps.step_shape == "following":
            yield Finding(name, True, "a step computes the lines that speak")
        elif steps.step_shape:
            words = f"a step computes all {steps.slots} slots, however few lines speak"
            remedy = "lower `slots` in a profile of your own for batches of few lines"
            if not steps.independent:
                words += "; a line's last bits depend on the lines rendered with it"
                remedy = ONE_BY_ONE
            yield Finding(name, True, words, remedy)


def rendering(_home: Home) -> Iterator[Finding]:
    """Whether lines have the same bits alone and together, and the tokens and latents of the CPU."""
    try:
        from vvbatch.engine.bench import devices
    except (EngineUnavailable, ModuleNotFoundError) as error:
        yield Finding("engine", True, f"not examined: {error}", "pip install 'vvbatch[vibevoice]'")
        return
    for device, found in devices.proofs():
        name = f"engine: {device}"
        if isinstance(found, RuntimeError):
            yield Finding(name, False, f"{type(found).__name__}: {found}", CHOOSE_ANOTHER)
            continue
        words = (
            f"lines {'have' if found.alone_equal else 'do not have'} the same bits alone and together, "
            f"tokens {'are' if found.tokens_equal else 'are not'} the CPU's, "
            f"latents within {found.latents_max_err:.1e} of the CPU's (limit {devices.TOLERANCE:.0e}), "
            f"{found.step_shape} step shape"
        )
        remedy = None if found.alone_equal else ONE_BY_ONE
        yield Finding(name, found.good, words, remedy if found.good else CHOOSE_ANOTHER)
