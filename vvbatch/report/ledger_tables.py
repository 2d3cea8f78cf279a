"""The columns and cells of the lists of `vvbatch ledger`. `--sort` takes the names of the columns."""

from __future__ import annotations

from collections.abc import Callable

from vvbatch.ledger.views import BatchRow, LineRow, MetricsRow, TakeRow
from vvbatch.report.columns import Column, name, number, text
from vvbatch.report.tables import shortened
from vvbatch.report.times import when

BATCH_COLUMNS = [
    name("batch"),
    name("state"),
    number("lines"),
    number("done", 1),
    number("cached", 3),
    number("failed", 1),
    number("left", 1),
    name("kind", 5),
    name("profile", 4),
    name("created", 2),
]
LINE_COLUMNS = [
    name("batch", 6),
    number("number"),
    name("line"),
    name("state", 1),
    name("profile", 5),
    number("seconds", 3),
    number("score", 4),
    text("text"),
    text("error", 1),
]
TAKE_COLUMNS = [
    name("take"),
    name("batch", 6),
    name("line"),
    name("state", 1),
    number("attempt", 5),
    name("device", 7),
    number("seconds", 1),
    number("rtf", 2),
    number("LUFS", 4),
    number("score", 1),
    name("created", 3),
    text("chosen", 8),
    text("error", 1),
]


def batch_cells(row: BatchRow) -> list[object]:
    counts = row.counts
    left = counts["queued"] + counts["rendering"]
    done = [counts["total"], counts["done"], counts["cached"], counts["failed"], left]
    return [row.batch, row.state, *done, row.kind, row.profile, when(row.created_at)]


def line_cells(row: LineRow) -> list[object]:
    figures = [figure(row.duration_s, 2), figure(row.score, 2)]
    return [row.batch, row.number, row.line, row.state, row.profile, *figures, shortened(row.text), row.error]


def take_cells(row: TakeRow) -> list[object]:
    figures = [figure(row.duration_s, 2), figure(row.rtf, 3), figure(row.loudness_lufs, 1)]
    figures.append(figure(row.score, 2))
    made = [row.take, row.batch, row.line, row.state, row.attempt, row.device]
    return [*made, *figures, when(row.created_at), row.chosen, row.error]


def metric_columns(per_day: bool) -> list[Column]:
    what = [name("profile"), name("model", 6), name("device", 5), name("dtype", 4)]
    figures = [
        number("takes"),
        number("fail rate"),
        number("audio s"),
        number("speed"),
        number("rtf"),
        number("p95", 1),
    ]
    return [*([name("day")] if per_day else []), *what, *figures, number("first s", 2), number("score", 3)]


def metric_cells(per_day: bool) -> Callable[[MetricsRow], list[object]]:
    def cells(row: MetricsRow) -> list[object]:
        what = [*([row.day] if per_day else []), row.profile, row.model, row.device, row.dtype]
        failed = None if row.fail_rate is None else f"{row.fail_rate:.1%}"
        first = figure(row.first_chunk_s_median, 2)
        score = figure(row.score_median, 2)
        rtf = [figure(row.rtf_median, 3), figure(row.rtf_p95, 3)]
        return [*what, row.takes, failed, figure(row.audio_s, 1), figure(row.speed, 2), *rtf, first, score]

    return cells


def figure(value: float | None, digits: int) -> str | None:
    return None if value is None else f"{value:.{digits}f}"
