"""What the ledger has of regression: nights, their verdicts, blessed baselines, schedules."""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, RowMapping, select

from vvbatch.ledger import Ledger
from vvbatch.ledger.database import write
from vvbatch.ledger.schema import baselines, lines, nights, takes, verdicts, workers

FEW = 5


class UnknownNight(LookupError):
    """No night, or more than one, has the id or the beginning of one; the message names what there is."""


@dataclass(frozen=True)
class LineResult:
    """A line of a night as the render left it; `take` and `facts` are empty when it has failed."""

    position: int
    line: str
    text: str
    path: str | None
    error: str | None
    take: Mapping[str, Any]
    facts: Mapping[str, Any]


def begin(ledger: Ledger, night_id: str, suite: str, profile: str) -> None:
    """Record a night that runs; what the suite's earlier runs left unfinished was interrupted."""
    with write(ledger.engine) as connection:
        unfinished = nights.update().where(nights.c.suite == suite, nights.c.state == "running")
        connection.execute(unfinished.values(state="interrupted", ended_at=ledger.now()))
        row = {"id": night_id, "suite": suite, "profile": profile, "state": "running", "started_at": ledger.now()}
        connection.execute(nights.insert().values(row))


def has_batch(ledger: Ledger, night_id: str, batch_id: str) -> None:
    with write(ledger.engine) as connection:
        connection.execute(nights.update().where(nights.c.id == night_id).values(batch_id=batch_id))


def interrupt(ledger: Ledger, night_id: str) -> None:
    with write(ledger.engine) as connection:
        running = nights.update().where(nights.c.id == night_id, nights.c.state == "running")
        connection.execute(running.values(state="interrupted", ended_at=ledger.now()))


def end(ledger: Ledger, night_id: str, found: Mapping[str, Any], of_lines: Sequence[Mapping[str, Any]]) -> None:
    """Record the night's verdict with its lines' in one transaction."""
    with write(ledger.engine) as connection:
        ended = {"state": "ended", "ended_at": ledger.now(), **found}
        connection.execute(nights.update().where(nights.c.id == night_id).values(ended))
        if of_lines:
            connection.execute(verdicts.insert(), [{"night_id": night_id, **line} for line in of_lines])


def results(ledger: Ledger, batch_id: str) -> list[LineResult]:
    """A batch's lines in order, each with its kept take and what rendered it."""
    query = (
        select(
            lines.c.number, lines.c.line, lines.c.text.label("spoken"), lines.c.path.label("file"),
            lines.c.error.label("failure"), takes, workers.c.facts,
        )
        .join_from(lines, takes, takes.c.id == lines.c.take_id, isouter=True)
        .join(workers, workers.c.id == takes.c.worker, isouter=True)
        .where(lines.c.batch_id == batch_id)
        .order_by(lines.c.number)
    )  # fmt: skip
    with ledger.engine.connect() as connection:
        return [line_result(row) for row in connection.execute(query).mappings()]


def line_result(row: RowMapping) -> LineResult:
    take = {column.name: row[column.name] for column in takes.c} if row["id"] else {}
    return LineResult(
        row["number"], row["line"], row["spoken"], row["file"], row["failure"], take, facts_of(take, row["facts"])
    )


def facts_of(take: Mapping[str, Any], facts: Mapping[str, Any] | None) -> dict[str, Any]:
    """What a take's bits depend on, and where it was rendered; empty without a take."""
    if not take:
        return {}
    worker = facts or {}
    names = ("engine", "model", "revision", "device", "dtype", "control_hash", "seed")
    return {
        **{name: take[name] for name in names},
        "gain_db": (take["metrics"] or {}).get("gain_db", 0.0),  # what kept the file's peak under its limit
        "voices": {voice["name"]: voice["sha256"] for voice in take["voices"]},
        **{name: worker.get(name) or {} for name in ("details", "versions", "machine")},
    }


def differences(then: Mapping[str, Any], now: Mapping[str, Any]) -> list[dict[str, Any]]:
    """What of two takes' facts is not alike, by `what`, `then`, `now`; seeds and the machine's name are left out."""
    pairs = [
        (name, then.get(name), now.get(name))
        for name in ("engine", "model", "revision", "device", "dtype", "control_hash", "voices")
    ]
    for part in ("details", "versions", "machine"):
        old, new = then.get(part) or {}, now.get(part) or {}
        pairs += [(name, old.get(name), new.get(name)) for name in sorted({*old, *new} - {"host"})]
    return [{"what": name, "then": was, "now": is_now} for name, was, is_now in pairs if was != is_now]


def find_night(ledger: Ledger, suite: str, word: str) -> dict[str, Any]:
    """A night of the suite by its id, a beginning of it, or `last`: the newest that has ended. Raises UnknownNight."""
    newest = select(nights).where(nights.c.suite == suite).order_by(nights.c.started_at.desc())
    with ledger.engine.connect() as connection:
        if word == "last":
            row = connection.execute(newest.where(nights.c.state == "ended").limit(1)).mappings().first()
            if row is None:
                raise UnknownNight(f"suite {suite!r} has no night that has ended: vvbatch regress run {suite}")
            return dict(row)
        begins = nights.c.id.startswith(word, autoescape=True)
        rows = connection.execute(newest.where(begins).limit(FEW)).mappings().all() if word else []
        exact = [row for row in rows if row["id"] == word] or rows
        if len(exact) == 1:
            return dict(exact[0])
        there = [row["id"] for row in rows or connection.execute(newest.limit(FEW)).mappings()]
    kind = f"{word!r} begins several nights" if rows else f"unknown night {word!r} of suite {suite!r}; the newest are"
    raise UnknownNight(f"{kind}: {', '.join(there) or 'none'}")


def history(ledger: Ledger, suite: str, profile: str | None, limit: int) -> list[dict[str, Any]]:
    """The newest nights, newest first."""
    query = select(nights).where(nights.c.suite == suite).order_by(nights.c.started_at.desc()).limit(limit)
    if profile is not None:
        query = query.where(nights.c.profile == profile)
    with ledger.engine.connect() as connection:
        return [dict(row) for row in connection.execute(query).mappings()]


def verdicts_of(ledger: Ledger, night_ids: Iterable[str]) -> dict[str, list[dict[str, Any]]]:
    """The lines' verdicts of nights, in order."""
    found: dict[str, list[dict[str, Any]]] = {night_id: [] for night_id in night_ids}
    query = select(verdicts).where(verdicts.c.night_id.in_(found)).order_by(verdicts.c.position)
    with ledger.engine.connect() as connection:
        for row in connection.execute(query).mappings():
            found[row["night_id"]].append(dict(row))
    return found


def blessed(ledger: Ledger, suite: str, profile: str) -> dict[str, dict[str, Any]]:
    """The baselines that hold now, by line."""
    holds = (baselines.c.suite == suite, baselines.c.profile == profile, baselines.c.retired_at.is_(None))
    with ledger.engine.connect() as connection:
        rows = connection.execute(select(baselines).where(*holds)).mappings()
        return {row["line"]: dict(row) for row in rows}


def baselines_by_id(ledger: Ledger, ids: Iterable[str]) -> dict[str, dict[str, Any]]:
    with ledger.engine.connect() as connection:
        rows = connection.execute(select(baselines).where(baselines.c.id.in_(list(ids)))).mappings()
        return {row["id"]: dict(row) for row in rows}


def add_baselines(ledger: Ledger, new: Sequence[Mapping[str, Any]]) -> None:
    """Bless takes; those that were blessed for the same lines are retired. One transaction."""
    with write(ledger.engine) as connection:
        for row in new:
            retire(connection, row, ledger.now())
            connection.execute(baselines.insert().values(id=secrets.token_hex(8), **row))


def retire(connection: Connection, row: Mapping[str, Any], now: str) -> None:
    same = [baselines.c[name] == row[name] for name in ("suite", "profile", "line")]
    connection.execute(baselines.update().where(*same, baselines.c.retired_at.is_(None)).values(retired_at=now))
