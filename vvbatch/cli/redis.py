from __future__ import annotations

import threading

import click


@click.command()
def redis() -> None:
    """Run the home folder's own Redis in the foreground until Ctrl-C, for a process manager.

    \b
    Example:  honcho start
    """
    from vvbatch.home import Home
    from vvbatch.processes.stop_signals import on_stop_signal
    from vvbatch.transport import server

    stop = threading.Event()
    with on_stop_signal(stop.set), server.own_server(Home.from_environment()) as own:
        while not stop.wait(1):
            own.ensure()
