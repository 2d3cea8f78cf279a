"""The report of a batch as one HTML file, written line by line: a long book is never in memory."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterator
from pathlib import Path

from vvbatch import store
from vvbatch.batch_report import charts
from vvbatch.batch_report.gather import Gathered, Progress, unseen
from vvbatch.batch_report.media import Media
from vvbatch.pages.frame import template
from vvbatch.pages.waveform import COLUMNS, HEIGHT
from vvbatch.report.batch import line_counts
from vvbatch.report.tables import duration, rate, size

HERE = Path(__file__).parent
OPEN_CARDS = 6  # of each section
HEADINGS = {
    "failed": ("failed", "no take passed its checks", "worse"),
    "rejected": ("rejected", "by somebody who listened", "changed"),
    "weakest": ("weakest", "passed, with the lowest scores", "unblessed"),
}
"""By why: the heading, what it means, the colour."""
STATES = {
    "done": "equivalent", "cached": "same", "failed": "worse", "rendering": "changed", "queued": "waiting",
    "cancelled": "waiting",
}  # fmt: skip
"""The colour of each state of a line."""


def write(gathered: Gathered, path: Path, *, embed: bool = False, seen: Progress = unseen) -> None:
    """Write the page: the file is complete or unchanged. Raises OSError and MissingExtra."""

    def fill(temp: Path) -> None:
        with temp.open("w", encoding="utf-8") as file:
            file.writelines(html(gathered, path.parent, embed=embed, seen=seen))

    with store.stage_written(path, fill) as staged:
        staged.publish()


def html(gathered: Gathered, folder: Path, *, embed: bool = False, seen: Progress = unseen) -> Iterator[str]:
    """The page in pieces, for a file in `folder`. Raises MissingExtra."""
    page = template(HERE / "page.html")
    report = gathered.report
    script = (HERE / "page.js").read_text(encoding="utf-8")
    first_lines: dict[int, int] = {}
    for line in gathered.lines:
        first_lines.setdefault(line.chapter, line.number)
    last = gathered.lines[-1].number if gathered.lines else 0
    stream = page.stream(
        report=report,
        sections=[
            (why, *HEADINGS[why], [line for line in report.to_hear if line.why == why])
            for why in HEADINGS
            if any(line.why == why for line in report.to_hear)
        ],
        chapters=gathered.chapters(seen),
        charts=charts.charts(report.drift, last, list(first_lines.items())),
        chart={"width": charts.WIDTH, "height": charts.HEIGHT, "left": charts.LEFT, "right": charts.RIGHT},
        wave={"columns": COLUMNS, "height": HEIGHT},
        media=Media(folder.absolute(), embed),
        embed=embed,
        open_cards=OPEN_CARDS,
        states=STATES,
        line_counts=line_counts,
        duration=duration,
        rate=rate,
        size=size,
        script=script,
        script_hash=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
    )
    stream.enable_buffering(200)
    yield from stream
