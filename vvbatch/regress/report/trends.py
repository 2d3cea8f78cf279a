"""Charts over nights, drawn as SVG in the page; every bar and point has its value as a label."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from vvbatch.regress.records import LineVerdict, Night
from vvbatch.report.times import when

WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 520, 150, 46, 10, 10, 22
ORDER = ("same", "equivalent", "changed", "unblessed", "worse")


@dataclass(frozen=True)
class Bar:
    x: float
    y: float
    width: float
    height: float
    verdict: str
    label: str


@dataclass(frozen=True)
class Point:
    x: float
    y: float
    label: str
    verdict: str


@dataclass(frozen=True)
class Chart:
    """A chart's shapes in pixels of a WIDTH x HEIGHT picture; `ticks` are heights with their labels."""

    title: str
    about: str  # the text alternative
    bars: Sequence[Bar] = ()
    points: Sequence[Point] = ()
    ticks: Sequence[tuple[float, str]] = ()
    days: Sequence[tuple[float, str]] = ()

    @property
    def path(self) -> str:
        return " ".join(f"{point.x:.1f},{point.y:.1f}" for point in self.points)


def charts(nights: Sequence[Night], verdicts: Mapping[str, Sequence[LineVerdict]]) -> list[Chart]:
    """The charts of ended nights, oldest first: verdicts, then each measure that any night has."""
    if not nights:
        return []
    of_lines: list[tuple[str, Callable[[Night], float | None], Callable[[float], str]]] = [
        ("Loudness against baseline, dB", median_of(verdicts, "loudness_db"), "{:+.2f}".format),
        ("Speaking rate against baseline, %", median_of(verdicts, "rate", 100), "{:+.1f}".format),
        ("Spectral distance to baseline, dB", median_of(verdicts, "spectrum_db"), "{:.2f}".format),
        ("Real-time factor (lower is faster)", speed("rtf"), "{:.3g}".format),
        ("First chunk after, s", speed("first_chunk_s"), "{:.3g}".format),
        ("Memory of the worker, MB", speed("peak_bytes", 1e-6), "{:.0f}".format),
    ]
    made = [counts(nights, verdicts), *(line(nights, *each) for each in of_lines)]
    return [chart for chart in made if chart is not None]


def speed(name: str, scale: float = 1.0) -> Callable[[Night], float | None]:
    def value(night: Night) -> float | None:
        found = (night.speed or {}).get(name)
        return None if found is None else found * scale

    return value


def median_of(
    verdicts: Mapping[str, Sequence[LineVerdict]], name: str, scale: float = 1.0
) -> Callable[[Night], float | None]:
    def value(night: Night) -> float | None:
        found = [value for row in verdicts[night.id] if (value := row.measures.get(name)) is not None]
        return statistics.median(found) * scale if found else None

    return value


def column_centre(number: int, count: int) -> float:
    """The x of the centre of a night's column, in pixels."""
    return LEFT + (number + 0.5) * (WIDTH - LEFT - RIGHT) / count


def days(nights: Sequence[Night]) -> list[tuple[float, str]]:
    """Labels of the first and the last night: their dates, or their times if the date is the same."""
    first, last = (when(nights[number].started_at) for number in (0, -1))
    part = slice(11, 16) if first[:10] == last[:10] else slice(5, 10)
    ends = {0: first, len(nights) - 1: last}
    return [(column_centre(number, len(nights)), at[part]) for number, at in ends.items()]


def counts(nights: Sequence[Night], verdicts: Mapping[str, Sequence[LineVerdict]]) -> Chart:
    """Lines by verdict as stacked bars, the worst at the bottom, where their heights compare best."""
    most = max((len(verdicts[night.id]) for night in nights), default=1) or 1
    room, width = HEIGHT - TOP - BOTTOM, min(0.8 * (WIDTH - LEFT - RIGHT) / len(nights), 40.0)
    bars = []
    for number, night in enumerate(nights):
        bottom = float(HEIGHT - BOTTOM)
        for verdict in reversed(ORDER):
            count = sum(row.verdict == verdict for row in verdicts[night.id])
            if count:
                height = room * count / most
                bottom -= height
                label = f"{night.id}, {when(night.started_at)}: {count} {verdict}"
                bars.append(Bar(column_centre(number, len(nights)) - width / 2, bottom, width, height, verdict, label))
    last = nights[-1]
    about = f"Lines by verdict over {len(nights)} nights; the last night was {last.verdict}."
    ticks = [(float(TOP), str(most)), (float(HEIGHT - BOTTOM), "0")]
    return Chart("Lines by verdict", about, bars=bars, ticks=ticks, days=days(nights))


def line(
    nights: Sequence[Night],
    title: str,
    value: Callable[[Night], float | None],
    shown: Callable[[float], str],
) -> Chart | None:
    values = [(number, found) for number, night in enumerate(nights) if (found := value(night)) is not None]
    if not values:
        return None
    low, high = min(found for _, found in values), max(found for _, found in values)
    margin = (high - low) * 0.1 or abs(high) * 0.1 or 1.0  # a constant value is drawn in the middle
    low, high = low - margin, high + margin
    room = HEIGHT - TOP - BOTTOM
    points = [
        Point(
            column_centre(number, len(nights)),
            TOP + room * (high - found) / (high - low),
            f"{nights[number].id}, {when(nights[number].started_at)}: {shown(found)}",
            nights[number].verdict or "",
        )
        for number, found in values
    ]
    about = f"{title}, medians of {len(values)} nights; the last is {shown(values[-1][1])}."
    ticks = [(float(TOP) + 4, shown(high)), (float(HEIGHT - BOTTOM), shown(low))]
    return Chart(title, about, points=points, ticks=ticks, days=days(nights))
