from __future__ import annotations

import signal
import sys
import time
from types import FrameType

import click


@click.command()
def redis() -> None:
    """Run the home folder's own Redis in the foreground until Ctrl-C, for a process manager.

    \b
    Example:  honcho start
    """
    from vvbatch.home import Home
    from vvbatch.transport import server

    def stop(_signal: int, _frame: FrameType | None) -> None:
        sys.exit(0)

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    with server.own_server(Home.from_environment()) as own:
        while True:
            time.sleep(1)
            own.ensure()
