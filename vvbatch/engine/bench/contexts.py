"""The cost of a step, a new line and a cache's growth when every line has a context of a given length."""

from __future__ import annotations

import gc
import statistics
import time
from collections.abc import Callable, Iterator, Mapping, Sequence

import msgspec
import torch

from vvbatch.engine.bench.speed import PARTS, ForcedEngine, Setup, build, fill, machine, request
from vvbatch.engine.vibevoice.device import peak_bytes
from vvbatch.engine.vibevoice.key_values import KeyValues


class Cost(msgspec.Struct, kw_only=True):
    """Of engines at one context: medians of steps, then the cost of one more line."""

    step_s: float
    step_cpu_s: float
    parts: Mapping[str, float]  # wall seconds
    growth_cpu_s: float
    admission_steps: float  # CPU seconds of admitting a line, in steps


class Row(Cost, kw_only=True):
    slots: int
    context: int  # positions
    speed: float  # x real time, all lines together
    load_peak_bytes: int
    peak_bytes: int


class Report(msgspec.Struct, kw_only=True):
    """What `bench engine --context … --json` prints."""

    shape: str
    dtype: str
    machine: Mapping[str, object]
    contexts: list[Row]


def measure(
    setup: Setup, slots: Sequence[int], contexts: Sequence[int], progress: Callable[[str], object] = lambda line: None
) -> Report:
    """Measure engines with so many slots at these contexts. Raises EngineUnavailable.

    Both branches of every line hold `context` positions of random keys and values: no frame was made to get there.
    """
    if setup.threads is not None:
        torch.set_num_threads(setup.threads)
    results: list[Row] = []
    for count in slots:
        progress(f"{count} slots: building the engine")
        engine, frame_s = build(setup, count)
        loaded = peak_bytes()
        for context in contexts:
            cost = at(engine, context, setup.frames)
            row = Row(
                **msgspec.structs.asdict(cost),
                slots=count,
                context=context,
                speed=count * frame_s / cost.step_s,
                load_peak_bytes=loaded,
                peak_bytes=peak_bytes(),
            )
            results.append(row)
            progress(f"{count} slots, {context} positions: {row.step_cpu_s:.3f} CPU seconds a step")
        engine.close()
        del engine
        gc.collect()
    return Report(shape=setup.shape, dtype=setup.dtype, machine=machine(setup.device), contexts=results)


def at(engine: ForcedEngine, context: int, frames: int) -> Cost:
    """Medians of `frames` steps with every line at `context` positions, and the cost of admitting one more line."""
    lines = fill(engine)
    with torch.inference_mode():
        for line in lines:
            stretch(line.cache, context)
            stretch(line.negative, context)
    steps = [clocked(engine) for _ in range(frames)]
    step_cpu_s = statistics.median(cpu for _, cpu, _ in steps)
    growth_cpu_s = grow(lines[0].cache)
    last = engine.slots - 1
    engine.cancel(request(last).id)
    # Its voice has been read before. The others speak while its prompt is read: the cost of their steps is taken off.
    begun, spoke = time.process_time(), 0
    engine.admit(request(last))
    while engine.reading:
        spoke += bool(engine.step())
    admission_cpu_s = time.process_time() - begun - spoke * step_cpu_s
    for number in range(engine.slots):
        engine.cancel(request(number).id)
    return Cost(
        step_s=statistics.median(wall for wall, _, _ in steps),
        step_cpu_s=step_cpu_s,
        parts={part: statistics.median(parts[part] for _, _, parts in steps) for part in PARTS},
        growth_cpu_s=growth_cpu_s,
        admission_steps=admission_cpu_s / step_cpu_s,
    )


def stretch(cache: KeyValues, positions: int) -> None:
    """Random keys and values up to so many positions, and at the next: the unconditional branch's newest, which counts
    only when its token is known."""
    if positions > cache.length:
        cache.reserve(positions + 1)
        cache.data[:, :, :, cache.length : positions + 1].normal_()
        cache.length = positions


def clocked(engine: ForcedEngine) -> tuple[float, float, dict[str, float]]:
    """One step: its wall seconds, its CPU seconds over all threads, and wall seconds by part."""
    before, wall, cpu = engine.seconds.copy(), time.perf_counter(), time.process_time()
    engine.step()
    cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
    return wall, cpu, {part: engine.seconds[part] - before[part] for part in PARTS}


def grow(cache: KeyValues) -> float:
    """CPU seconds of one growth of a cache, which comes when its context is half as long again."""
    begun = time.process_time()
    with torch.inference_mode():
        cache.reserve(cache.data.shape[3] + 1)
    return time.process_time() - begun


def table(report: Report) -> str:
    """The report for reading."""
    return "\n".join(rows(report))


def rows(report: Report) -> Iterator[str]:
    yield f"{report.shape} {report.dtype} on {report.machine['cpu']}, {report.machine['threads']} threads"
    yield (
        f"{'slots':>5} {'context':>8} {'step':>8} {'CPU':>8} {'language':>9} {'growth':>8} {'admission':>11}"
        f" {'loading':>8} {'peak':>8}"
    )
    for row in report.contexts:
        yield (
            f"{row.slots:5} {row.context:8} {row.step_s:6.3f} s {row.step_cpu_s:6.3f} s"
            f" {row.parts['language']:7.3f} s {row.growth_cpu_s:6.3f} s"
            f" {row.admission_steps:5.2f} steps {row.load_peak_bytes / 1e9:5.1f} GB"
            f" {row.peak_bytes / 1e9:5.1f} GB"
        )
