"""What the ledger keeps of regression: nights, verdicts of their lines, and blessed baselines."""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Mapping, Sequence

import msgspec
from sqlalchemy import Connection, RowMapping, select

from vvbatch.errors import InputError
from vvbatch.ledger import Ledger
from vvbatch.ledger.database import write
from vvbatch.ledger.schema import baselines, lines, nights, takes, verdicts, workers
from vvbatch.regress.verdict import Reason

FEW = 5


class UnknownNight(InputError, LookupError):
    """No night, or more than one, matches the id or prefix; the message lists the nights that exist."""


class Change(msgspec.Struct, frozen=True):
    """One fact that differs between two takes."""

    what: str
    then: object
    now: object


class WorkerFacts(msgspec.Struct, frozen=True, kw_only=True):
    """What the ledger recorded of the worker that rendered a take; empty for a worker that it does not know."""

    details: dict[str, object] | None = None  # of the engine
    versions: dict[str, object] | None = None  # of the installed packages
    machine: dict[str, object] | None = None


class Facts(msgspec.Struct, frozen=True, kw_only=True):
    """What the samples of a take depend on, and where it was rendered."""

    engine: str
    model: str
    revision: str
    device: str
    dtype: str
    control_hash: str
    seed: int
    gain_db: float = 0.0  # applied to keep the file's peak under its limit
    voices: dict[str, str] = {}  # sha256 by name
    details: dict[str, object] = {}
    versions: dict[str, object] = {}
    machine: dict[str, object] = {}


class KeptTake(msgspec.Struct, frozen=True, kw_only=True):
    id: str
    sha256: str
    duration_s: float | None
    rtf: float | None
    first_chunk_s: float | None
    peak_bytes: int | None  # memory of the worker


class LineResult(msgspec.Struct, frozen=True):
    """A line of a night as rendered; `take` and `facts` are None if it failed."""

    position: int
    line: str
    text: str
    path: str | None
    error: str | None
    take: KeptTake | None
    facts: Facts | None
    part_of: str | None = None  # of a part: the id of the line that was divided


class Night(msgspec.Struct, frozen=True, kw_only=True):
    """One run of a suite. `verdict`, `reasons`, `speed` and `facts` are None until it has ended."""

    id: str
    suite: str
    profile: str
    batch_id: str | None
    state: str  # running, ended, interrupted
    verdict: str | None
    reasons: list[Reason] | None
    speed: dict[str, float | int] | None
    facts: Facts | None
    started_at: str
    ended_at: str | None
    pruned_at: str | None


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """The result of a night as a whole."""

    verdict: str
    reasons: list[Reason]
    speed: dict[str, float]
    facts: Facts | None


class LineVerdict(msgspec.Struct, frozen=True, kw_only=True):
    night_id: str
    position: int
    line: str
    take_id: str | None
    baseline_id: str | None
    verdict: str
    reasons: list[Reason]
    measures: dict[str, float | None]


class Baseline(msgspec.Struct, frozen=True, kw_only=True):
    """A blessed take of one line. The file at `path` has the hash `sha256`."""

    id: str
    suite: str
    profile: str
    line: str
    text: str
    night_id: str
    take_id: str
    path: str
    sha256: str
    facts: Facts
    blessed_at: str
    blessed_by: str
    why: str
    retired_at: str | None = None


def begin(ledger: Ledger, night_id: str, suite: str, profile: str) -> None:
    """Record a running night. Earlier nights of the suite that still count as running become interrupted."""
    with write(ledger.engine) as connection:
        unfinished = nights.update().where(nights.c.suite == suite, nights.c.state == "running")
        connection.execute(unfinished.values(state="interrupted", ended_at=ledger.now()))
        row = {"id": night_id, "suite": suite, "profile": profile, "state": "running", "started_at": ledger.now()}
        connection.execute(nights.insert().values(row))


def set_batch(ledger: Ledger, night_id: str, batch_id: str) -> None:
    with write(ledger.engine) as connection:
        connection.execute(nights.update().where(nights.c.id == night_id).values(batch_id=batch_id))


def interrupt(ledger: Ledger, night_id: str) -> None:
    with write(ledger.engine) as connection:
        running = nights.update().where(nights.c.id == night_id, nights.c.state == "running")
        connection.execute(running.values(state="interrupted", ended_at=ledger.now()))


def end(ledger: Ledger, night_id: str, outcome: Outcome, line_verdicts: Sequence[LineVerdict]) -> None:
    """Record the verdicts of a night and of its lines in one transaction."""
    found = msgspec.to_builtins(outcome) | {"facts": msgspec.to_builtins(outcome.facts) or {}}
    with write(ledger.engine) as connection:
        ended = {"state": "ended", "ended_at": ledger.now(), **found}
        connection.execute(nights.update().where(nights.c.id == night_id).values(ended))
        if line_verdicts:
            connection.execute(verdicts.insert(), msgspec.to_builtins(line_verdicts))


def results(ledger: Ledger, batch_id: str) -> list[LineResult]:
    """The lines of a batch in order, each with its kept take and the facts of its worker."""
    query = (
        select(
            lines.c.number, lines.c.line, lines.c.text.label("spoken"), lines.c.path.label("file"), lines.c.part_of,
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
    take = facts = None
    if row["id"]:
        metrics = row["metrics"] or {}
        take = msgspec.convert(plain(row) | {"peak_bytes": metrics.get("peak_bytes")}, KeptTake)
        facts = facts_of(row, metrics.get("gain_db", 0.0))
    return LineResult(
        row["number"], row["line"], row["spoken"], row["file"], row["failure"], take, facts, row["part_of"]
    )


def facts_of(row: RowMapping, gain_db: float) -> Facts:
    """The facts of a take from its row joined with its worker's facts."""
    worker = msgspec.convert(row["facts"] or {}, WorkerFacts)
    parts = {name: getattr(worker, name) or {} for name in WorkerFacts.__struct_fields__}
    voices = {voice["name"]: voice["sha256"] for voice in row["voices"]}
    return msgspec.convert(plain(row) | {"gain_db": gain_db, "voices": voices, **parts}, Facts)


def differences(then: Facts, now: Facts) -> list[Change]:
    """The facts that differ between two takes. Seeds and the machine's host name are not compared."""
    pairs: list[tuple[str, object, object]] = [
        (name, getattr(then, name), getattr(now, name))
        for name in ("engine", "model", "revision", "device", "dtype", "control_hash", "voices")
    ]
    for part in ("details", "versions", "machine"):
        old: Mapping[str, object] = getattr(then, part)
        new: Mapping[str, object] = getattr(now, part)
        pairs += [(name, old.get(name), new.get(name)) for name in sorted({*old, *new} - {"host"})]
    return [Change(name, was, is_now) for name, was, is_now in pairs if was != is_now]


def plain(row: RowMapping) -> dict[str, object]:
    """A row by plain column names: SQLAlchemy's own are a subclass of str, which msgspec refuses."""
    return {str(name): value for name, value in row.items()}


def night_of(row: RowMapping) -> Night:
    return msgspec.convert(plain(row) | {"facts": row["facts"] or None}, Night)


def find_night(ledger: Ledger, suite: str, night: str) -> Night:
    """A night of the suite by its id, a unique prefix of it, or `last`: the newest that has ended.

    Raises UnknownNight.
    """
    newest = select(nights).where(nights.c.suite == suite).order_by(nights.c.started_at.desc())
    with ledger.engine.connect() as connection:
        if night == "last":
            row = connection.execute(newest.where(nights.c.state == "ended").limit(1)).mappings().first()
            if row is None:
                raise UnknownNight(f"suite {suite!r} has no night that has ended: vvbatch regress run {suite}")
            return night_of(row)
        prefix = nights.c.id.startswith(night, autoescape=True)
        rows = connection.execute(newest.where(prefix).limit(FEW)).mappings().all() if night else []
        exact = [row for row in rows if row["id"] == night] or rows
        if len(exact) == 1:
            return night_of(exact[0])
        known = [row["id"] for row in rows or connection.execute(newest.limit(FEW)).mappings()]
    kind = (
        f"{night!r} matches several nights" if rows else f"unknown night {night!r} of suite {suite!r}; the newest are"
    )
    raise UnknownNight(f"{kind}: {', '.join(known) or 'none'}")


def history(ledger: Ledger, suite: str, profile: str | None, limit: int) -> list[Night]:
    """The newest `limit` nights of a suite, newest first."""
    query = select(nights).where(nights.c.suite == suite).order_by(nights.c.started_at.desc()).limit(limit)
    if profile is not None:
        query = query.where(nights.c.profile == profile)
    with ledger.engine.connect() as connection:
        return [night_of(row) for row in connection.execute(query).mappings()]


def verdicts_of(ledger: Ledger, night_ids: Iterable[str]) -> dict[str, list[LineVerdict]]:
    """By night id, the verdicts of its lines in order."""
    found: dict[str, list[LineVerdict]] = {night_id: [] for night_id in night_ids}
    query = select(verdicts).where(verdicts.c.night_id.in_(found)).order_by(verdicts.c.position)
    with ledger.engine.connect() as connection:
        for row in connection.execute(query).mappings():
            found[row["night_id"]].append(msgspec.convert(plain(row), LineVerdict))
    return found


def blessed(ledger: Ledger, suite: str, profile: str) -> dict[str, Baseline]:
    """The current baselines, by line."""
    current = (baselines.c.suite == suite, baselines.c.profile == profile, baselines.c.retired_at.is_(None))
    with ledger.engine.connect() as connection:
        rows = connection.execute(select(baselines).where(*current)).mappings()
        return {row["line"]: msgspec.convert(plain(row), Baseline) for row in rows}


def baselines_by_id(ledger: Ledger, ids: Iterable[str]) -> dict[str, Baseline]:
    with ledger.engine.connect() as connection:
        rows = connection.execute(select(baselines).where(baselines.c.id.in_(list(ids)))).mappings()
        return {row["id"]: msgspec.convert(plain(row), Baseline) for row in rows}


def new_baseline_id() -> str:
    return secrets.token_hex(8)


def add_baselines(ledger: Ledger, new: Sequence[Baseline]) -> None:
    """Add baselines and retire those of the same lines, in one transaction."""
    with write(ledger.engine) as connection:
        for baseline in new:
            retire(connection, baseline, ledger.now())
            connection.execute(baselines.insert().values(msgspec.to_builtins(baseline)))


def retire(connection: Connection, baseline: Baseline, now: str) -> None:
    same = [baselines.c[name] == getattr(baseline, name) for name in ("suite", "profile", "line")]
    connection.execute(baselines.update().where(*same, baselines.c.retired_at.is_(None)).values(retired_at=now))
