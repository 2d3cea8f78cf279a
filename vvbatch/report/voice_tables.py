"""Tables of the quality of voices: each measure with its unit, its limit, and the likely cause when it is off."""

from __future__ import annotations

from collections.abc import Sequence

from vvbatch.report.columns import name, number, text
from vvbatch.report.tables import print_table, printable
from vvbatch.voices.quality import MEASURES, Quality


def print_quality(reports: Sequence[Quality]) -> None:
    """A table for each voice or recording, then how many are fit."""
    for report in reports:
        cells = []
        for check in report.checks:
            sign, unit, hint = MEASURES[check.name]
            limit = f"{sign} {measured(check.limit)} {unit}"
            cells.append([check.name, measured(check.value), limit, "ok" if check.ok else f"off: {hint}"])
        print_table(
            [name("measure"), number("value"), name("limit"), text("")], cells, title=report.voice or report.file
        )
        for note in report.notes:
            print(printable(f"note: {note}"))
        if report.error:
            print(printable(report.error))
        print()
    good = sum(report.ok for report in reports)
    print(f"{good} of {len(reports)} fit for cloning")


def print_comparison(reports: Sequence[Quality]) -> None:
    """A voice and its variants side by side, one measure per row."""
    checks = [{check.name: check for check in report.checks} for report in reports]
    rows = [["sha256", None, *((report.sha256 or "-")[:12] for report in reports)]]
    for measure, (sign, unit, _) in MEASURES.items():
        limits = {measured(each[measure].limit) for each in checks if measure in each}
        limit = f"{sign} {limits.pop()} {unit}" if len(limits) == 1 else None  # each file declares its own frames
        values = [
            measured(each[measure].value) + ("" if each[measure].ok else " off") if measure in each else None
            for each in checks
        ]
        rows.append([measure, limit, *values])
    print_table(["measure", "limit", *(f">{report.voice}" for report in reports)], rows)
    for report in reports:
        if report.error:
            print(printable(f"{report.voice}: {report.error}"))


def measured(value: float) -> str:
    """Two decimals, four for small values; whole numbers, and those from 100 on, without decimals."""
    if value == round(value) or abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.2f}" if abs(value) >= 0.01 else f"{value:.4f}"
