"""A worker's first start: measures its engine's speed, so that `vvbatch check` can say how long a batch will take."""

from __future__ import annotations

import logging

from sqlalchemy import select

from vvbatch.batch.speeds import keep_speed, known_speed, measured
from vvbatch.engine.contract import Engine, EngineUnavailable, RequestRefused
from vvbatch.home import Home
from vvbatch.ledger import Ledger
from vvbatch.ledger.queues import waiting_count
from vvbatch.ledger.schema import takes
from vvbatch.profiles import Profile
from vvbatch.voices import Library, VoiceError
from vvbatch.voices.manifest import DEFAULT

log = logging.getLogger("vvbatch.worker")


def measure_first(profile: Profile, engine: Engine, home: Home, ledger: Ledger) -> None:
    """Measure what neither the home nor the ledger knows, unless lines wait: their takes will show it."""
    known = known_speed(home, profile.name)
    if known and known.is_of(engine):
        return
    if has_takes(ledger, profile.name) or waiting_count(ledger, profile.name):
        return
    log.info("measuring its speed, once")
    try:
        voice = Library.of(home).resolve(DEFAULT)
        keep_speed(home, profile.name, measured(engine, profile, voice))
    except (EngineUnavailable, RequestRefused, VoiceError, OSError) as error:
        log.warning("its speed is not measured: %s", error)


def has_takes(ledger: Ledger, profile: str) -> bool:
    query = select(takes.c.id).where(takes.c.profile == profile, takes.c.ended_at.is_not(None)).limit(1)
    with ledger.engine.connect() as connection:
        return connection.execute(query).first() is not None
