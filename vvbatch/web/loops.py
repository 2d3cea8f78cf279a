"""Background tasks: a step that is repeated for as long as the server runs."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

from vvbatch.web.errors import known_error

log = logging.getLogger("vvbatch.web")


async def again(pause_s: float, what: str, step: Callable[[], Awaitable[object]]) -> None:
    """Repeat a step until the task is cancelled. A failure is logged, and the next step follows after the same pause.

    This holds for errors of every kind: else the task would end, the server would go on, and no request would show it.
    """
    while True:
        try:
            await step()
        except Exception as error:
            if known := known_error(error):
                log.warning("%s failed: %s", what, known)
            else:
                log.exception("%s failed", what)
        await asyncio.sleep(pause_s)
