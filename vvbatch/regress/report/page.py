"""The page: a night against its baselines, the nights before it, and what was missed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from vvbatch.regress.report.media import Budget, media_of
from vvbatch.regress.report.trends import HEIGHT, LEFT, RIGHT, WIDTH, charts
from vvbatch.voices.errors import MissingExtra

SECTIONS = ("worse", "changed", "unblessed", "equivalent", "same")
OPEN = ("worse", "changed", "unblessed")
MEANINGS = {
    "worse": "beyond a limit",
    "changed": "different, within the limits of worse",
    "unblessed": "nothing to compare with",
    "equivalent": "other bits, within every limit",
    "same": "bit for bit",
}
UNITS = {
    "duration_s": "s", "missing_s": "s", "added_s": "s", "pause_s": "s", "loudness_db": "dB", "peak_db": "dB",
    "noise_db": "dB", "spectrum_db": "dB", "pitch_semitones": "semitones", "pitch_range_semitones": "semitones",
}  # fmt: skip


def page(
    title: str,
    night: Mapping[str, Any],
    history: Sequence[Mapping[str, Any]],
    verdicts: Mapping[str, Sequence[Mapping[str, Any]]],
    missed: Sequence[str],
) -> str:
    """HTML for a night's `summary`. `history`: nights that have ended, oldest first. Raises MissingExtra."""
    try:
        import jinja2
    except ImportError as error:
        raise MissingExtra("the report needs Jinja: pip install 'vvbatch[regress]'") from error
    here = Path(__file__).parent
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(here), autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True
    )
    budget = Budget()
    # Worst first, so that it is the good ones that have no player when there are too many.
    cards = [
        {**line, "media": media_of(line, budget), "figures": figures(line["measures"])}
        for verdict in SECTIONS
        for line in night["lines"]
        if line["verdict"] == verdict
    ]
    return environment.get_template("page.html").render(
        title=title,
        night=night,
        style=(here / "style.css").read_text(encoding="utf-8"),
        sections=[
            {
                "verdict": verdict,
                "meaning": MEANINGS[verdict],
                "open": verdict in OPEN,
                "lines": [card for card in cards if card["verdict"] == verdict],
            }
            for verdict in SECTIONS
        ],
        total=len(night["lines"]),
        charts=charts(history, verdicts),
        chart={"width": WIDTH, "height": HEIGHT, "left": LEFT, "right": WIDTH - RIGHT},
        nights=len(history),
        missed=list(missed),
        left_out=budget.left_out,
    )


def figures(measures: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Measured differences as a person reads them."""
    return [
        (name.removesuffix("_s").removesuffix("_db").removesuffix("_semitones").replace("_", " "), figure(name, value))
        for name, value in measures.items()
        if value is not None
    ]


def figure(name: str, value: float) -> str:
    if name == "rate":
        return f"{100 * value:+.1f} %"
    if name in ("duration_ratio",):
        return f"{value:.3f}"
    unit = UNITS.get(name, "")
    return f"{value:+.2f} {unit}".strip()
