"""Speed of the engine with a line in every slot or in some, and of transformers' own `generate`, interleaved in one
run."""

from __future__ import annotations

import gc
import os
import platform
import statistics
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import msgspec
import torch

from vvbatch.engine.bench.shapes import NoTokens, NoVoice, source
from vvbatch.engine.contract import SAMPLE_RATE, EngineFacts, EngineUnavailable, Event, Request, Turn, Voice
from vvbatch.engine.vibevoice import VibeVoiceEngine
from vvbatch.engine.vibevoice import device as devices
from vvbatch.engine.vibevoice.device import DTYPES, free_bytes, peak_bytes
from vvbatch.engine.vibevoice.model import VibeVoice
from vvbatch.engine.vibevoice.utterance import Utterance

PROMPT_TOKENS, VOICE_FRAMES = 100, 75
"""A line's prompt: system text, a voice of ten seconds, one sentence."""
PARTS = ("language", "diffusion", "decoder", "encoder")


@dataclass(frozen=True)
class Setup:
    shape: str
    dtype: str
    device: str
    frames: int
    rounds: int
    threads: int | None


class ForcedEngine(VibeVoiceEngine):
    """Every token is a frame."""

    def _choose(self, slot: int, line: Utterance) -> int | None:
        super()._choose(slot, line)
        return self.tokens.frame

    def _fail(self, slot: int, line: Utterance, what: str, events: list[Event]) -> None:
        # A slot that has become free would make every later step look cheap.
        raise EngineUnavailable(f"nothing measured: {line.request.id}: {what} at step {len(line.tokens)}")


class Row(msgspec.Struct, kw_only=True):
    """Medians over the rounds."""

    slots: int
    occupied: int | msgspec.UnsetType = msgspec.UNSET  # lines that speak; unset: a line in every slot
    speed: float  # x real time, all lines together
    step_s: float
    parts: Mapping[str, float]  # seconds
    peak_bytes: int
    ratio: float | None  # to transformers' speed with one line


class Other(msgspec.Struct):
    """transformers' own `generate` with a static batch."""

    batch: int
    speed: float
    step_s: float


class Report(msgspec.Struct, kw_only=True):
    """What `bench engine --json` prints."""

    shape: str
    dtype: str
    machine: Mapping[str, object]
    results: list[Row]
    transformers: list[Other] | msgspec.UnsetType = msgspec.UNSET


@dataclass
class Rounds:
    """What the rounds of one row measured."""

    step_s: list[float] = field(default_factory=list)
    parts: list[Mapping[str, float]] = field(default_factory=list)
    ratios: list[float] = field(default_factory=list)


def measure(
    setup: Setup,
    slots: Sequence[int],
    versus: bool,
    progress: Callable[[str], object] = lambda line: None,
    occupied: Sequence[int] = (),
) -> Report:
    """Measure steps of engines with so many slots, each with so many lines in them (none: one in every slot).

    Raises EngineUnavailable.
    """
    devices.exact_placement(setup.device, setup.dtype)  # before anything is built that takes minutes
    if setup.threads is not None:
        torch.set_num_threads(setup.threads)
    baseline = None
    if versus:
        # Here, not above: transformers' model classes take seconds to import.
        from vvbatch.engine.bench.baseline import Baseline

        progress("building transformers' model")
        baseline = Baseline(setup.shape, DTYPES[setup.dtype], torch.device(setup.device))
    results: list[Row] = []
    shapes: dict[str, str] = {}
    times: dict[int, list[float]] = {batch: [] for batch in sorted({1, *slots})}
    for count in slots:
        progress(f"{count} slots: building the engine")
        engine, frame_s = build(setup, count)
        shapes[str(count)] = engine.shape.mode
        rounds = {lines: Rounds() for lines in occupied or [count] if lines <= count}
        for number in range(setup.rounds):
            for lines, measured in rounds.items():
                step_s, parts = play(engine, setup.frames, lines)
                measured.step_s.append(step_s)
                measured.parts.append(parts)
                line = f"{count} slots, {lines} lines, round {number + 1}: {step_s:.3f} s a step"
                if baseline:
                    alone = baseline.step_s(1, setup.frames)
                    times[1].append(alone)
                    measured.ratios.append(lines * alone / step_s)
                    line += f", ratio {measured.ratios[-1]:.1f}"
                progress(line)
            if baseline and count > 1 and number == 0:
                times[count].append(baseline.step_s(count, setup.frames))
        for lines, measured in rounds.items():
            step_s = statistics.median(measured.step_s)
            results.append(
                Row(
                    slots=count,
                    occupied=lines if occupied else msgspec.UNSET,
                    speed=lines * frame_s / step_s,
                    step_s=step_s,
                    parts={part: statistics.median(parts[part] for parts in measured.parts) for part in PARTS},
                    peak_bytes=peak_bytes(),
                    ratio=statistics.median(measured.ratios) if measured.ratios else None,
                )
            )
        engine.close()
        del engine
        gc.collect()
    report = Report(
        shape=setup.shape,
        dtype=setup.dtype,
        machine={**machine(setup.device), "step_shape": shapes},
        results=results,
    )
    if baseline:
        medians = {batch: statistics.median(seconds) for batch, seconds in times.items() if seconds}
        report.transformers = [
            Other(batch, batch * baseline.frame_s / step_s, step_s) for batch, step_s in medians.items()
        ]
    return report


def build(setup: Setup, slots: int) -> tuple[ForcedEngine, float]:
    """An engine with random or installed weights, and the seconds of audio in a frame."""
    config, weights = source(setup.shape)
    placement = devices.exact_placement(setup.device, setup.dtype)
    tokens = NoTokens(config, PROMPT_TOKENS)
    choices = sorted({tokens.stop, tokens.start, tokens.end, tokens.frame})
    with torch.inference_mode():
        model = VibeVoice(weights, config, choices, tokens.start, slots, placement)
    facts = EngineFacts("vibevoice", "bench", setup.shape, "random", setup.device, setup.dtype)
    engine = ForcedEngine(model, tokens, NoVoice(model.latent_size, VOICE_FRAMES), facts, voice_seed=0)
    engine.synchronised = True
    return engine, model.frame_samples / SAMPLE_RATE


def play(engine: ForcedEngine, frames: int, occupied: int | None = None) -> tuple[float, dict[str, float]]:
    """The median seconds of a step in which `occupied` lines speak (None: one in every slot), whole and by part."""
    lines = fill(engine, occupied)
    whole: list[float] = []
    parts: dict[str, list[float]] = {part: [] for part in PARTS}
    for _ in range(frames):
        before, begun = engine.seconds.copy(), time.perf_counter()
        engine.step()
        whole.append(time.perf_counter() - begun)
        for part in PARTS:
            parts[part].append(engine.seconds[part] - before[part])
    for line in lines:
        engine.cancel(line.request.id)
    return statistics.median(whole), {part: statistics.median(seconds) for part, seconds in parts.items()}


def request(number: int) -> Request:
    """A line of `PROMPT_TOKENS` with the random voice; only `cancel` ends it."""
    voice = Voice("random", Path("random"), "0" * 64)
    return Request(f"line-{number}", (Turn(0, "x"),), (voice,), seed=number, cfg_scale=1.3, steps=10)


def fill(engine: ForcedEngine, occupied: int | None = None) -> list[Utterance]:
    """So many lines with their prompts read, by default one in every slot."""
    lines = [engine.start(request(number)) for number in range(engine.slots if occupied is None else occupied)]
    while engine.reading:
        engine.step()
    return lines


def machine(device: str) -> Mapping[str, object]:
    """Where a measurement was made."""
    model = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.is_file():
        lines = cpuinfo.read_text().splitlines()
        names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
        model = names[0] if names else model
    return {
        "cpu": model,
        "capability": torch.backends.cpu.get_cpu_capability(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "device": torch.cuda.get_device_name() if device.startswith("cuda") else device,
        "free_bytes": free_bytes(torch.device(device)),
        "torch": str(torch.__version__),
        "system": f"{platform.system()} {platform.machine()}",
    }


def table(report: Report) -> str:
    """The report for reading."""
    return "\n".join(rows(report))


def rows(report: Report) -> Iterator[str]:
    yield f"{report.shape} {report.dtype} on {report.machine['cpu']}, {report.machine['threads']} threads"
    yield f"shape of a step by slots: {report.machine['step_shape']}"
    yield (
        f"{'slots':>5} {'lines':>5} {'speed':>7} {'step':>8} "
        + " ".join(f"{part:>9}" for part in PARTS)
        + f" {'peak':>8} {'ratio':>6}"
    )
    for row in report.results:
        lines = row.slots if isinstance(row.occupied, msgspec.UnsetType) else row.occupied
        parts = " ".join(f"{row.parts[part]:7.3f} s" for part in PARTS)
        ratio = "" if row.ratio is None else f"{row.ratio:5.1f}x"
        yield (
            f"{row.slots:5} {lines:5} {row.speed:6.2f}x {row.step_s:6.3f} s {parts}"
            f" {row.peak_bytes / 1e9:5.1f} GB {ratio:>6}"
        )
    for other in report.transformers or []:
        yield f"transformers, batch of {other.batch}: {other.speed:.2f}x, {other.step_s:.3f} s a step"
