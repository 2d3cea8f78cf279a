"""Start a worker: pin its threads, open the ledger and Redis, load the engine once, then work until stopped."""

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
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import redis

    from vvbatch.engine.contract import Engine
    from vvbatch.home import Home
    from vvbatch.ledger import Ledger
    from vvbatch.profiles import Profile

EXIT_UNAVAILABLE = 3
OLD_TEMP_S = 3600.0  # no file takes that long to write


def serve(
    profile_name: str,
    open_engine: Callable[[Profile, Path], Engine] | None = None,
    listener_program: Sequence[str] = (),
) -> int:
    """Run the worker of one profile in this process.

    Returns the exit code: 0 after a normal end, 3 when it could not start, 4 when the engine failed line after line.
    Benchmarks and tests without models pass `open_engine` and `listener_program`.
    """
    form = f"%(asctime)s {profile_name}: %(message)s"
    logging.basicConfig(level=logging.INFO, stream=sys.stderr, format=form, datefmt="%Y-%m-%d %H:%M:%S")
    from vvbatch import machine, profiles

    try:
        profile = profiles.load(profile_name)
    except profiles.ProfileError as error:
        return unavailable(error)
    # Before the import of any library that reads them. Model libraries must not use the network.
    listener_threads = min(2, machine.allowed_threads(os.environ))
    threads = machine.pin_threads(profile)
    os.environ.update(HF_HUB_OFFLINE="1", TRANSFORMERS_OFFLINE="1", TOKENIZERS_PARALLELISM="false")

    from vvbatch.engine import open_engine as open_profiles_engine
    from vvbatch.engine.contract import EngineUnavailable
    from vvbatch.home import Home, HomeError
    from vvbatch.ledger import LedgerError
    from vvbatch.ledger.journal import ledger_of
    from vvbatch.ledger.recovery import worker_started, worker_stopped
    from vvbatch.listening.contract import ListeningUnavailable
    from vvbatch.listening.process import ListeningProcess
    from vvbatch.processes.supervisor import note_loaded
    from vvbatch.transport import server
    from workers.first_start import measure_first
    from workers.pulse import Pulse
    from workers.rq_worker import RenderWorker

    name = f"{profile.name}-{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(3)}"
    try:
        home = Home.from_environment()
        connection = server.connect(home, patient=True)
        ledger = ledger_of(home)
    except (HomeError, server.ServerUnreachable, LedgerError) as error:
        return unavailable(error)
    with Pulse(home.pulse / name) as pulse, closing(ledger), ExitStack() as opened:
        listening = None
        try:
            if profile.listen:
                listening = opened.enter_context(
                    closing(ListeningProcess.start(profile.listen, listener_threads, listener_program))
                )
            engine = opened.enter_context(closing((open_engine or open_profiles_engine)(profile, home.cache)))
        except (EngineUnavailable, ListeningUnavailable) as error:
            return unavailable(error)
        if open_engine is None:
            measure_first(profile, engine, home, ledger)
        note_loaded()
        clean_up(home, ledger, connection)
        facts: dict[str, object] = {**vars(engine.facts), "slots": engine.slots, "threads": str(threads)}
        facts |= {"versions": machine.versions(), "machine": machine.identity()}
        if listening:
            facts["listener"] = listening.versions
        worker_started(ledger, name, profile.name, socket.gethostname(), os.getpid(), facts)
        where = f"{engine.facts.device} in {engine.facts.dtype}"
        logging.getLogger("vvbatch.worker").info("ready: %d lines at once on %s", engine.slots, where)
        try:
            return RenderWorker(profile, engine, ledger, connection, home, pulse, name, listening).run()
        finally:
            worker_stopped(ledger, name)


def clean_up(home: Home, ledger: Ledger, connection: redis.Redis) -> None:
    """Record the finished takes of dead workers, and remove temporary files that are no longer written."""
    from vvbatch.batch.held_takes import Pending
    from vvbatch.batch.output import open_store
    from vvbatch.ledger.recovery import open_batches
    from vvbatch.store import StoreError
    from vvbatch.transport import queue

    pending = Pending(home.pending)
    left = {note.worker for note in pending.notes()}
    pending.replay_dead(ledger, left - queue.alive(connection, left))
    keep = pending.takes()
    for out, batch_id in open_batches(ledger):
        try:
            open_store(out).sweep(batch_id, OLD_TEMP_S, time.time(), keep)
        except (OSError, StoreError) as error:  # one batch's folder must not keep the worker from starting
            logging.getLogger("vvbatch.worker").warning("temporary files are not removed: %s", error)


def unavailable(error: Exception) -> int:
    logging.getLogger("vvbatch.worker").error("cannot start: %s", error)
    return EXIT_UNAVAILABLE
