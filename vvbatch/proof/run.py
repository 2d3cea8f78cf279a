"""Prove a profile: render the sentences as a batch, measure the first take of each, judge, and record the result."""

from __future__ import annotations

import platform
import secrets
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from pathlib import Path

from sqlalchemy import select

from vvbatch.batch.finish import end_if_complete
from vvbatch.batch.plan import Overrides, Plan, digest, make_plan
from vvbatch.batch.submit import submit
from vvbatch.home import Home
from vvbatch.ledger import Ledger
from vvbatch.ledger.batches import cancel_lines
from vvbatch.ledger.records import BatchKind
from vvbatch.ledger.schema import lines, takes
from vvbatch.listening.contract import Model
from vvbatch.processes.session import wait_for, workers_for
from vvbatch.profiles import Profile
from vvbatch.proof.measure import RenderedTake, measure_all
from vvbatch.proof.record import Proof, ProofLine, hash_of, record
from vvbatch.proof.sentences import script
from vvbatch.proof.verdict import judge, likely_causes
from vvbatch.transport import server
from vvbatch.voices import Library

Show = Callable[[Sequence[str]], AbstractContextManager[Callable[[], None]]]
Count = Callable[[int, int], None]


@dataclass(frozen=True)
class FirstTake:
    """A row of the ledger: the first take of a line that ended by itself."""

    line: str
    take: str
    text: str
    path: str | None
    error: str | None
    gain_db: float
    facts: tuple[str, str, str, str, str]  # engine, model, revision, device, dtype


def prove(profile: Profile, voice: str, home: Home, ledger: Ledger, listener: Model, show: Show, count: Count) -> Proof:
    """Render, measure, judge and record. `listener` has the models `words` and `voice`.

    `show` displays the progress of the batch, `count` that of the measuring. When it is interrupted, the batch is
    cancelled and nothing is recorded. Raises VoiceError, StoreError, ServerUnreachable,
    EngineUnavailable and AudioError.
    """
    library = Library.of(home)
    prompt = library.resolve(voice).path
    overrides = Overrides(profile=profile.name, takes=1, escalate="none", keep_takes=True)
    plan = uncached(make_plan(script(voice), library, overrides), profile)
    batch_id = render(plan, home, ledger, show)
    first = first_takes(ledger, batch_id)
    audible = [each for each in first if each.path]
    rendered = [RenderedTake(Path(each.path or ""), each.text, each.gain_db) for each in audible]
    found = measure_all(rendered, prompt, listener, count)
    measures = dict(zip((each.line for each in audible), found, strict=True))
    judged = judge([measures.get(line.line) for line in plan.lines])
    errors = {each.error for each in first if each.error and not each.path}
    engine, model, revision, device, dtype = first[0].facts if first else ("", "", "", "", "")
    proof = Proof(
        profile=profile.name,
        verdict="good" if all(each.ok for each in judged) else "off",
        voice=voice,
        batch=batch_id,
        machine=platform.node(),
        control_hash=hash_of(profile),
        engine=engine,
        model=model,
        revision=revision,
        device=device,
        dtype=dtype,
        measures=judged,
        causes=likely_causes(judged, profile, voice, errors),
        lines=[ProofLine(each.line, each.take, each.path, each.error, measures.get(each.line)) for each in first],
    )
    record(ledger, proof)
    return proof


def uncached(plan: Plan, profile: Profile) -> Plan:
    """The plan with keys that only this proof has: its lines are always rendered, and serve no other batch.

    The seeds are derived from the original keys, so every proof of a profile with a voice has the same ones.
    """
    own = secrets.token_hex(8)
    changed = (replace(line, key=digest([line.key, own])) for line in plan.lines)
    return replace(plan, title=f"proof of {profile.name}", lines=tuple(changed))


def render(plan: Plan, home: Home, ledger: Ledger, show: Show) -> str:
    """Render the plan and return its batch's id; starts a worker if none runs."""
    with server.own_server(home) as own_server, server.connect(home) as connection:
        batch_id = submit(plan, ledger, connection, home.out, "high", kind=BatchKind.PROOF).id
        with show([batch_id]) as look, workers_for(own_server, connection) as workers:
            try:
                wait_for(ledger, [batch_id], workers, look)
            except BaseException:  # before the worker is stopped: it would finish its lines
                cancel_lines(ledger, batch_id)
                end_if_complete(ledger, batch_id)
                raise
    return batch_id


def first_takes(ledger: Ledger, batch_id: str) -> list[FirstTake]:
    """For each line its first take with audio, else its first take. Retries would hide how often a model fails.

    A take that was interrupted, such as one whose worker died, has no audio, and the next one is the line's first.
    """
    query = (
        select(
            lines.c.line, takes.c.id, takes.c.text, takes.c.path, takes.c.error, takes.c.metrics,
            takes.c.engine, takes.c.model, takes.c.revision, takes.c.device, takes.c.dtype,
        )
        .join_from(takes, lines, lines.c.id == takes.c.line_id)
        .where(takes.c.batch_id == batch_id)
        .order_by(lines.c.number, takes.c.path.is_(None), takes.c.attempt)
    )  # fmt: skip
    with ledger.engine.connect() as connection:
        rows = connection.execute(query).all()
    found: dict[str, FirstTake] = {}
    for row in rows:
        facts = (row.engine, row.model, row.revision, row.device, row.dtype)
        gain_db = float((row.metrics or {}).get("gain_db", 0.0))
        found.setdefault(row.line, FirstTake(row.line, row.id, row.text, row.path, row.error, gain_db, facts))
    return list(found.values())
