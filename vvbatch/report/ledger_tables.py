"""The columns and cells of the lists of `vvbatch ledger`: what of a row fits on a terminal."""

from __future__ import annotations

from collections.abc import Callable

from vvbatch.ledger.views import BatchRow, LineRow, MetricsRow, TakeRow
from vvbatch.report.tables import shortened

BATCH_COLUMNS = ["batch", "state", ">lines", ">done", ">cached", ">failed", ">left", "kind", "profile", "created"]
LINE_COLUMNS = ["batch", ">number", "line", "state", "profile", ">seconds", ">score", "text or error"]
TAKE_COLUMNS = [
    *("take", "batch", "line", "state", ">attempt", "device", ">seconds", ">rtf", ">LUFS", ">score", "created"),
    "chosen or error",
]


def batch_cells(row: BatchRow) -> list[object]:
    counts = row.counts
    left = counts["queued"] + counts["rendering"]
    done = [counts["total"], counts["done"], counts["cached"], counts["failed"], left]
    return [row.batch, row.state, *done, row.kind, row.profile, when(row.created_at)]


def line_cells(row: LineRow) -> list[object]:
    text = row.error or shortened(row.text)
    figures = [figure(row.duration_s, 2), figure(row.score, 2)]
    return [row.batch, row.number, row.line, row.state, row.profile, *figures, text]


def take_cells(row: TakeRow) -> list[object]:
    figures = [figure(row.duration_s, 2), figure(row.rtf, 3), figure(row.loudness_lufs, 1)]
    figures.append(figure(row.score, 2))
    made = [row.take, row.batch, row.line, row.state, row.attempt, row.device]
    return [*made, *figures, when(row.created_at), row.error or row.chosen or ""]


def metric_columns(per_day: bool) -> list[str]:
    figures = [">takes", ">failed", ">audio s", ">speed", ">rtf", ">rtf p95", ">first chunk s", ">score"]
    return [*(["day"] if per_day else []), "profile", "model", "device", "dtype", *figures]


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


def when(timestamp: str | None) -> str | None:
    """A ledger timestamp to the minute; it stays in UTC, as in the ledger and its filters."""
    return timestamp and f"{timestamp[:10]} {timestamp[11:16]}Z"
