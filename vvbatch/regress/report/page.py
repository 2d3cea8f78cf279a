"""The HTML page: a night against its baselines, earlier nights, and missed nights."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from vvbatch.pages.frame import template
from vvbatch.pages.media import Budget
from vvbatch.regress.records import LineVerdict, Night
from vvbatch.regress.report.media import Media, media_of
from vvbatch.regress.report.trends import HEIGHT, LEFT, RIGHT, WIDTH, charts
from vvbatch.regress.summary import LineSummary, Summary

SECTIONS = ("worse", "changed", "unblessed", "equivalent", "same")
OPEN = ("worse", "changed", "unblessed")
MEANINGS = {
    "worse": "beyond a limit",
    "changed": "different, but not worse",
    "unblessed": "nothing to compare with",
    "equivalent": "other samples, within every limit",
    "same": "bit for bit",
}
UNITS = {
    "duration_s": "s", "missing_s": "s", "added_s": "s", "pause_s": "s", "loudness_db": "dB", "peak_db": "dB",
    "noise_db": "dB", "spectrum_db": "dB", "pitch_semitones": "semitones", "pitch_range_semitones": "semitones",
}  # fmt: skip


@dataclass(frozen=True)
class Card:
    """A line on the page."""

    line: LineSummary
    media: Mapping[str, Media]
    figures: Sequence[tuple[str, str]]


@dataclass(frozen=True)
class Section:
    """The lines with one verdict."""

    verdict: str
    meaning: str
    open: bool
    cards: Sequence[Card]


def page(
    title: str,
    night: Summary,
    history: Sequence[Night],
    verdicts: Mapping[str, Sequence[LineVerdict]],
    missed: Sequence[str],
) -> str:
    """The HTML page of a night. `history`: ended nights, oldest first; `verdicts` by night id. Raises MissingExtra."""
    budget = Budget()
    # The worst first: if the media exceed the budget, the good lines have no player.
    sections = [
        Section(
            verdict,
            MEANINGS[verdict],
            verdict in OPEN,
            [
                Card(line, media_of(line, budget), figures(line.measures))
                for line in night.lines
                if line.verdict == verdict
            ],
        )
        for verdict in SECTIONS
    ]
    return template(Path(__file__).parent / "page.html").render(
        title=title,
        night=night,
        sections=sections,
        total=len(night.lines),
        charts=charts(history, verdicts),
        chart={"width": WIDTH, "height": HEIGHT, "left": LEFT, "right": WIDTH - RIGHT},
        nights=len(history),
        missed=list(missed),
        left_out=budget.left_out,
    )


def figures(measures: Mapping[str, float | None]) -> list[tuple[str, str]]:
    """The measured differences as (name, value with unit)."""
    return [
        (name.removesuffix("_s").removesuffix("_db").removesuffix("_semitones").replace("_", " "), figure(name, value))
        for name, value in measures.items()
        if value is not None
    ]


def figure(name: str, value: float) -> str:
    if name == "rate":
        return f"{100 * value:+.1f} %"
    if name == "duration_ratio":
        return f"{value:.3f}"
    unit = UNITS.get(name, "")
    return f"{value:+.2f} {unit}".strip()
