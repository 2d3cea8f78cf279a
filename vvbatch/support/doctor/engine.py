"""The engine itself: on each device a small random model renders a few lines, in seconds."""

from __future__ import annotations

from collections.abc import Iterator

from vvbatch.engine.contract import EngineUnavailable
from vvbatch.home import Home
from vvbatch.support.doctor.finding import Finding

CHOOSE_ANOTHER = "render on another device: `device: cpu` in a profile of your own"
ONE_BY_ONE = "for takes that can be repeated bit for bit, set `slots: 1` in a profile of your own"


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
