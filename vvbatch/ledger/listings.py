"""Lists out of the ledger, filtered and sorted: batches, lines, takes, and metrics over takes."""

from __future__ import annotations

import math
import re
import statistics
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

from msgspec import UNSET
from sqlalchemy import ColumnElement, Connection, Select, Table, cast, exists, func, select

from vvbatch.errors import InputError
from vvbatch.ledger.ledger import Ledger
from vvbatch.ledger.queries import batch_row, batch_rows, checks_of, time_in_work
from vvbatch.ledger.records import is_line, timestamp
from vvbatch.ledger.schema import LINE_OPEN, batches, lines, takes
from vvbatch.ledger.states import GOOD_TAKES
from vvbatch.ledger.views import BatchRow, LineRow, MetricsRow, TakeRow, tried_takes

Item = TypeVar("Item")

UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
FAILED = ("failed_qc", "failed", "crashed")
UNSORTABLE = ("voices", "params", "tried")
SHOWN_NAMES = {
    "created": "created_at",
    "seconds": "duration_s",
    "LUFS": "loudness_lufs",
    "fail rate": "fail_rate",
    "audio s": "audio_s",
    "rtf": "rtf_median",
    "p95": "rtf_p95",
    "first s": "first_chunk_s_median",
    "score": "score_median",
}
"""Names of columns in tables that are not those of the JSON."""


class BadFilter(InputError, ValueError):
    """A filter or a column to sort by that does not exist; the message names what does."""


@dataclass(frozen=True)
class Filter:
    """Which rows, in which order; None does not filter. `profile` also finds takes of a model of that name."""

    batch: str | None = None
    line: str | None = None  # also the parts of a line with this id
    take: str | None = None
    state: str | None = None
    profile: str | None = None
    since: str | None = None
    voice: str | None = None
    kind: str | None = None
    sort: str | None = None
    limit: int = 0  # 0: all


BATCH_COLUMNS: Mapping[str, ColumnElement[Any]] = {
    "batch": batches.c.id,
    "title": batches.c.title,
    "script": batches.c.script,
    "kind": batches.c.kind,
    "state": batches.c.state,
    "model": batches.c.model,
    "profile": batches.c.model,
    "priority": batches.c.priority,
    "out": batches.c.out,
    "created_at": batches.c.created_at,
    "ended_at": batches.c.ended_at,
}


def lines_of_batch(*states: str) -> ColumnElement[Any]:
    """How many lines of a batch are in these states; in any, if none is named."""
    query = select(func.count()).where(lines.c.batch_id == batches.c.id)
    return (query.where(lines.c.state.in_(states)) if states else query).scalar_subquery()


BATCH_COUNTS: Mapping[str, ColumnElement[Any]] = {
    "lines": lines_of_batch(),
    "done": lines_of_batch("done"),
    "cached": lines_of_batch("cached"),
    "failed": lines_of_batch("failed"),
    "left": lines_of_batch(*LINE_OPEN),
}

LINE_COLUMNS: Mapping[str, ColumnElement[Any]] = {
    "batch": lines.c.batch_id,
    "line": lines.c.line,
    "number": lines.c.number,
    "chapter": lines.c.chapter,
    "chapter_title": lines.c.chapter_title,
    "model": lines.c.model,
    "profile": lines.c.model,
    "state": lines.c.state,
    "attempt": lines.c.attempt,
    "crashes": lines.c.crashes,
    "text": lines.c.text,
    "spoken": lines.c.text,
    "written": func.coalesce(lines.c.written, lines.c.text),
    "take": lines.c.take_id,
    "path": lines.c.path,
    "sha256": lines.c.sha256,
    "duration_s": takes.c.duration_s,
    "score": takes.c.score,
    "chosen": takes.c.chosen,
    "tried": lines.c.tried,
    "error": lines.c.error,
    "worker": lines.c.worker,
    "created_at": lines.c.created_at,
    "updated_at": lines.c.updated_at,
    "role": lines.c.role,
    "part_of": lines.c.part_of,
    "part": lines.c.part,
    "break_after": lines.c.break_after,
    "pause_after_s": lines.c.pause_after_s,
    "pause_given_s": lines.c.pause_given_s,
    "script": batches.c.script,
    "script_line": lines.c.script_line,
    "script_column": lines.c.script_column,
}

TAKE_COLUMNS: Mapping[str, ColumnElement[Any]] = {
    "take": takes.c.id,
    "batch": takes.c.batch_id,
    "line": lines.c.line,
    "state": takes.c.state,
    "attempt": takes.c.attempt,
    "profile": takes.c.profile,
    "model": takes.c.model,
    "revision": takes.c.revision,
    "device": takes.c.device,
    "dtype": takes.c.dtype,
    "voices": takes.c.voices,
    "seed": takes.c.seed,
    "params": takes.c.params,
    "control_hash": takes.c.control_hash,
    "text": takes.c.text,
    "spoken": takes.c.text,
    "written": func.coalesce(takes.c.written, takes.c.text),
    "path": takes.c.path,
    "sha256": takes.c.sha256,
    "duration_s": takes.c.duration_s,
    "wall_s": takes.c.wall_s,
    "rtf": takes.c.rtf,
    "first_chunk_s": takes.c.first_chunk_s,
    "peak_dbfs": takes.c.peak_dbfs,
    "loudness_lufs": takes.c.loudness_lufs,
    "score": takes.c.score,
    "chosen": takes.c.chosen,
    "error": takes.c.error,
    "worker": takes.c.worker,
    "created_at": takes.c.created_at,
    "part_of": lines.c.part_of,
    "part": lines.c.part,
    "rejected_at": takes.c.rejected_at,
    "rejected_by": takes.c.rejected_by,
    "rejected_why": takes.c.rejected_why,
}


def list_batches(ledger: Ledger, wanted: Filter) -> list[BatchRow]:
    """Batches, newest first, with counts and ETA. Raises BadFilter."""
    query = select(batches)
    conditions = ((batches.c.state, wanted.state), (batches.c.model, wanted.profile), (batches.c.kind, wanted.kind))
    for column, value in conditions:
        query = query if value is None else query.where(column == value)
    query = cut(query, batches, wanted, {**BATCH_COLUMNS, **BATCH_COUNTS}, [batches.c.created_at.desc(), batches.c.id])
    with ledger.engine.connect() as connection:
        return batch_rows(connection, connection.execute(query).mappings().all(), ledger.now())


def list_lines(ledger: Ledger, wanted: Filter) -> list[LineRow]:
    """Lines in the order of their batch, newest batch first. Raises BadFilter, UnknownBatch."""
    query = select(*labelled(LINE_COLUMNS)).select_from(
        lines.join(batches, batches.c.id == lines.c.batch_id).outerjoin(takes, takes.c.id == lines.c.take_id)
    )
    for column, value in ((lines.c.state, wanted.state), (lines.c.model, wanted.profile)):
        query = query if value is None else query.where(column == value)
    with ledger.engine.connect() as connection:
        wanted = resolved(connection, wanted)
        if wanted.batch is not None:
            query = query.where(lines.c.batch_id == wanted.batch)
        if wanted.line is not None:
            query = query.where(is_line(wanted.line))
        if wanted.voice is not None:
            query = query.where(has_voice(lines.c.request["voices"], wanted.voice, ledger))
        order = [lines.c.created_at.desc(), lines.c.batch_id, lines.c.number]
        query = cut(query, lines, wanted, LINE_COLUMNS, order)
        return [
            LineRow(**{**row, "tried": tried_takes(row["tried"]) or None})
            for row in connection.execute(query).mappings()
        ]


def list_takes(ledger: Ledger, wanted: Filter) -> list[TakeRow]:
    """Takes with their checks, newest first, as `ledger takes --json` prints them. Raises BadFilter, UnknownBatch."""
    with ledger.engine.connect() as connection:
        wanted = resolved(connection, wanted)
        chosen = chosen_takes(ledger, wanted, [takes.c.id])
        checks = checks_of(connection, chosen)
        rows = connection.execute(chosen_takes(ledger, wanted, labelled(TAKE_COLUMNS))).mappings().all()
    return [TakeRow(**row, qc=checks.get(row["take"], [])) for row in rows]


def chosen_takes(ledger: Ledger, wanted: Filter, columns: Iterable[Any]) -> Select[Any]:
    query = select(*columns).select_from(takes.join(lines, lines.c.id == takes.c.line_id))
    given = ((takes.c.batch_id, wanted.batch), (takes.c.state, wanted.state), (takes.c.id, wanted.take))
    for column, value in given:
        query = query if value is None else query.where(column == value)
    if wanted.line is not None:
        query = query.where(is_line(wanted.line))
    if wanted.profile is not None:
        query = query.where((takes.c.profile == wanted.profile) | (takes.c.model == wanted.profile))
    if wanted.voice is not None:
        query = query.where(has_voice(takes.c.voices, wanted.voice, ledger))
    return cut(query, takes, wanted, TAKE_COLUMNS, [takes.c.created_at.desc(), takes.c.id])


def metrics(ledger: Ledger, wanted: Filter, *, per_day: bool = False) -> list[MetricsRow]:
    """Per profile, model, device and dtype (and UTC day): takes, audio, medians, speed, share of failed takes.

    `rtf` is wall seconds per second of audio of one take; `speed` is audio made per wall second in which anything of
    the group was in work, so it counts what was rendered side by side.
    """
    group = (takes.c.profile, takes.c.model, takes.c.device, takes.c.dtype)
    figures = (
        takes.c.state,
        takes.c.duration_s,
        takes.c.rtf,
        takes.c.first_chunk_s,
        takes.c.score,
        takes.c.created_at,
        takes.c.ended_at,
    )
    with ledger.engine.connect() as connection:
        wanted = resolved(connection, wanted)
        query = chosen_takes(ledger, replace(wanted, sort=None), [*group, *figures]).where(
            takes.c.ended_at.is_not(None)
        )
        groups: dict[tuple[str, ...], list[Any]] = {}
        for row in connection.execute(query):
            key = (*row[:4], row.ended_at[:10]) if per_day else tuple(row[:4])
            groups.setdefault(key, []).append(row)
    rows = [metrics_row(key, groups[key]) for key in sorted(groups)]
    if wanted.sort is None:
        return rows
    names = [name for name in MetricsRow.__struct_fields__ if per_day or name != "day"]
    name, direction = sorted_by(wanted.sort, names, {name: name for name in names})
    given = [row for row in rows if getattr(row, name) is not None]
    given.sort(key=lambda row: getattr(row, name), reverse=direction == "desc")
    return given + [row for row in rows if getattr(row, name) is None]


def metrics_row(key: tuple[str, ...], rows: list[Any]) -> MetricsRow:
    """`key`: profile, model, device, dtype, and the day when they are per day."""
    good = [row for row in rows if row.state in GOOD_TAKES and row.duration_s]
    judged = [row for row in rows if row.state != "cancelled"]
    busy_s, audio_s = time_in_work(rows), sum(row.duration_s for row in good)
    rtf = [row.rtf for row in good if row.rtf is not None]
    first = [row.first_chunk_s for row in good if row.first_chunk_s is not None]
    scores = [row.score for row in good if row.score is not None]
    states = Counter(row.state for row in rows)
    return MetricsRow(
        profile=key[0],
        model=key[1],
        device=key[2],
        dtype=key[3],
        day=key[4] if len(key) > 4 else UNSET,
        takes=len(rows),
        done=states["done"],
        failed_qc=states["failed_qc"],
        failed=states["failed"],
        crashed=states["crashed"],
        audio_s=round(audio_s, 3),
        wall_s=round(busy_s, 3),
        speed=rounded(audio_s / busy_s if audio_s and busy_s else None),
        rtf_median=rounded(statistics.median(rtf) if rtf else None),
        rtf_p95=rounded(sorted(rtf)[math.ceil(0.95 * len(rtf)) - 1] if rtf else None),
        first_chunk_s_median=rounded(statistics.median(first) if first else None),
        score_median=rounded(statistics.median(scores) if scores else None),
        fail_rate=rounded(sum(row.state in FAILED for row in judged) / len(judged) if judged else None),
    )


def rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 4)


def resolved(connection: Connection, wanted: Filter) -> Filter:
    """The filter with the batch's whole id. Raises UnknownBatch."""
    return replace(wanted, batch=batch_row(connection, wanted.batch)["id"]) if wanted.batch else wanted


def labelled(columns: Mapping[str, ColumnElement[Any]]) -> list[Any]:
    return [column.label(name) for name, column in columns.items()]


def has_voice(voices: ColumnElement[Any], name: str, ledger: Ledger) -> ColumnElement[bool]:
    """Whether a JSON list of voices has one with this name."""
    if ledger.engine.dialect.name == "postgresql":
        from sqlalchemy.dialects.postgresql import JSONB

        return cast(voices, JSONB).contains([{"name": name}])
    each = func.json_each(voices).table_valued("value")
    return exists(select(1).select_from(each).where(func.json_extract(each.c.value, "$.name") == name))


def cut(
    query: Select[Any],
    table: Table,
    wanted: Filter,
    columns: Mapping[str, ColumnElement[Any]],
    order: list[ColumnElement[Any]],
) -> Select[Any]:
    """The filters that every list has: since, sort, limit. Raises BadFilter."""
    if wanted.since is not None:
        query = query.where(table.c.created_at >= wanted.since)
    if wanted.sort is not None:
        column, direction = sorted_by(wanted.sort, [key for key in columns if key not in UNSORTABLE], columns)
        order = [column.is_(None), column.desc() if direction == "desc" else column.asc(), *order]
    query = query.order_by(*order)
    return query.limit(wanted.limit) if wanted.limit else query


def sorted_by(wanted: str, names: Iterable[str], columns: Mapping[str, Item]) -> tuple[Item, str]:
    """What `COLUMN[:desc]` names, by a key of the JSON or a name of the table, and the direction. Raises BadFilter."""
    name, _, direction = wanted.partition(":")
    known = {key.lower(): columns[key] for key in names}
    known |= {shown.lower(): known[key] for shown, key in SHOWN_NAMES.items() if key in known}
    found = known.get(name.strip().lower())
    if found is None or direction not in ("", "asc", "desc"):
        raise BadFilter(f"cannot sort by {wanted!r}: use a column, or column:desc; there is {', '.join(known)}")
    return found, direction


def moment(text: str, now: str) -> str:
    """A ledger timestamp from `2026-03-01`, `2026-03-01T22:00` (UTC unless it says otherwise) or an age as `90m`, `2d`.

    Raises BadFilter.
    """
    try:
        if age := re.fullmatch(r"(\d{1,9})([smhdw])", text.strip()):
            at = datetime.fromisoformat(now) - timedelta(**{UNITS[age[2]]: int(age[1])})
        else:
            at = datetime.fromisoformat(text.strip())
        return timestamp(at if at.tzinfo else at.replace(tzinfo=UTC))
    except (ValueError, OverflowError) as error:
        raise BadFilter(
            f"not a time: {text!r}; give a date (2026-03-01), a time (2026-03-01T22:00) or an age (90m, 12h, 2d)"
        ) from error
