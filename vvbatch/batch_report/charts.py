"""Measures over the book, drawn as SVG: a dot for each line, and the running median of each voice."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from vvbatch.batch_report.document import Series

WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 1040, 170, 56, 8, 10, 22
VOICES = 5  # with a colour of their own, those with the most lines; the others share one
NEAR = 15  # lines on each side that a running median takes
CORNERS = 400  # at most, of a running median


@dataclass(frozen=True)
class Voice:
    """Paths in pixels: `dots` are strokes without length, `median` is a line."""

    name: str
    colour: int  # from 1; 0: one that voices share
    dots: str
    median: str


@dataclass(frozen=True)
class Chart:
    title: str
    about: str  # the text alternative
    voices: Sequence[Voice]
    ticks: Sequence[tuple[float, str]]
    chapters: Sequence[tuple[float, str]]


def charts(series: Sequence[Series], lines: int, chapters: Sequence[tuple[int, int]]) -> list[Chart]:
    """`lines` is the number of the last line; `chapters` are (number, its first line)."""
    return [chart(each, lines, chapters) for each in series]


def chart(series: Series, lines: int, chapters: Sequence[tuple[int, int]]) -> Chart:
    values = sorted(value for points in series.voices.values() for _, value in points)
    low, high = bounds(values)
    most = sorted(series.voices, key=lambda name: -len(series.voices[name]))

    def x(number: float) -> float:
        return LEFT + (number - 0.5) * (WIDTH - LEFT - RIGHT) / max(lines, 1)

    def y(value: float) -> float:
        shown = min(max(value, low), high)  # the few beyond are drawn at the edge
        return TOP + (HEIGHT - TOP - BOTTOM) * (high - shown) / (high - low)

    voices = []
    for place, name in enumerate(most):
        points = series.voices[name]
        dots = "".join(f"M{x(number):.1f} {y(value):.1f}h0" for number, value in points)
        corners = " ".join(f"{x(number):.1f},{y(value):.1f}" for number, value in running_median(points))
        voices.append(Voice(name, place + 1 if place < VOICES else 0, dots, corners))
    middle = statistics.median(values)
    about = f"{series.title} of {len(values)} lines: median {middle:.3g}, from {values[0]:.3g} to {values[-1]:.3g}."
    step = tick_step(high - low)
    first, last = math.ceil(low / step), math.floor(high / step)
    ticks = [(y(step * number), f"{step * number:g}") for number in range(first, last + 1)]
    return Chart(series.title, about, voices, ticks, chapter_marks([(number, x(at)) for number, at in chapters]))


def bounds(values: Sequence[float]) -> tuple[float, float]:
    """The range that is drawn of sorted values: a few far away do not flatten the others."""
    cut = len(values) // 200
    low, high = values[cut], values[-1 - cut]
    margin = (high - low) * 0.08 if high - low > 1e-6 else max(abs(high) * 0.1, 0.1)
    return low - margin, high + margin


def tick_step(span: float) -> float:
    """A round step of which two to five fit into a span."""
    rough = 10.0 ** math.floor(math.log10(span / 2))
    return rough * max(factor for factor in (1, 2, 5) if factor == 1 or rough * factor * 2 <= span)


def chapter_marks(places: Sequence[tuple[int, float]]) -> list[tuple[float, str]]:
    """A label at every chapter, or where they stand close at every second, fifth, …"""
    room = (WIDTH - LEFT - RIGHT) / max(len(places), 1)
    every = next((step for step in (1, 2, 5, 10, 20, 50) if step * room >= 26), 100)
    return [(at, str(number) if index % every == 0 else "") for index, (number, at) in enumerate(places)]


def running_median(points: Sequence[tuple[int, float]]) -> list[tuple[float, float]]:
    """(place, median of the NEAR points on each side); none of few points."""
    if len(points) < 2 * NEAR:
        return []
    places = range(0, len(points), max(1, len(points) // CORNERS))
    return [
        (points[place][0], statistics.median(value for _, value in points[max(0, place - NEAR) : place + NEAR + 1]))
        for place in places
    ]
