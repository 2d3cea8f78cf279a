"""Start a worker: pin its threads, open the ledger and Redis, load the engine once, then work until told to stop."""

from __future__ import annotations

import logging
import os
import secrets
import socket
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack, closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import redis

    from vvbatch.engine.contract import Engine
    from vvbatch.home import Home
    from vvbatch.ledger import Ledger
    from vvbatch.profiles import Profile

EXIT_UNAVAILABLE = 3
OLD_TEMP_S = 3600.0  # nobody writes one file for that long


def serve(
    profile_name: str,
    open_engine: Callable[[Profile, Path], Engine] | None = None,
    listener_program: Sequence[str] = (),
) -> int:
    """Run the worker of one profile in this process.

    Returns the exit code: 0 ended well, 3 could not start, 4 failed line after line.
    `open_engine` and `listener_program` are given by benchmarks and tests of everything but the models.
    """
    logging.basicConfig(level=logging.INFO, stream=sys.stderr, format="%(asctime)s %(name)s %(message)s")
    from vvbatch import machine, profiles

    try:
        profile = profiles.load(profile_name)
    except profiles.ProfileError as error:
        return unavailable(error)
    # Before anything imports a library that reads them; and no model library may reach for the network.
    threads = machine.pin_threads(profile)
    os.environ.update(HF_HUB_OFFLINE="1", TRANSFORMERS_OFFLINE="1", TOKENIZERS_PARALLELISM="false")

    from vvbatch.engine import open_engine as open_profiles_engine
    from vvbatch.engine.contract import EngineUnavailable
    from vvbatch.home import Home, HomeError
    from vvbatch.ledger import LedgerError
    from vvbatch.ledger.journal import ledger_of
    from vvbatch.ledger.workers import worker_started, worker_stopped
    from vvbatch.listening.contract import ListeningUnavailable
    from vvbatch.listening.process import ListeningProcess
    from vvbatch.transport import server
    from workers.pulse import Pulse
    from workers.render_worker import RenderWorker

    name = f"{profile.name}-{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(3)}"
    try:
        home = Home.from_environment()
        connection = server.connect(home, patient=True)
        ledger = ledger_of(home)
    except (HomeError, server.ServerUnreachable, LedgerError) as error:
        return unavailable(error)
    with Pulse(home.pulse / name) as pulse, closing(ledger), ExitStack() as opened:
        listener = None
        try:
            if profile.listen:
                listener = opened.enter_context(
                    closing(ListeningProcess.start(profile.listen, program=listener_program))
                )
            engine = opened.enter_context(closing((open_engine or open_profiles_engine)(profile, home.cache)))
        except (EngineUnavailable, ListeningUnavailable) as error:
            return unavailable(error)
        clean_up(home, ledger, connection)
        facts: dict[str, Any] = {**vars(engine.facts), "slots": engine.slots, "threads": threads}
        facts |= {"versions": machine.versions(), "machine": machine.identity()}
        if listener:
            facts["listener"] = listener.versions
        worker_started(ledger, name, profile.name, socket.gethostname(), os.getpid(), facts)
        try:
            return RenderWorker(profile, engine, ledger, connection, home, pulse, name, listener).run()
        finally:
            worker_stopped(ledger, name)


def clean_up(home: Home, ledger: Ledger, connection: redis.Redis) -> None:
    """Record what dead workers had finished, and remove the temporary files that nobody writes any more."""
    from vvbatch import store
    from vvbatch.batch.held_takes import Pending
    from vvbatch.ledger.recovery import open_folders
    from vvbatch.transport import queue

    pending = Pending(home.pending)
    left = {note.worker for note in pending.notes()}
    pending.replay_dead(ledger, left - queue.alive(connection, left))
    keep = pending.temps()
    for folder in open_folders(ledger):
        store.sweep(folder, OLD_TEMP_S, time.time(), keep)


def unavailable(error: Exception) -> int:
    logging.getLogger("vvbatch.worker").error("cannot start: %s", error)
    return EXIT_UNAVAILABLE
