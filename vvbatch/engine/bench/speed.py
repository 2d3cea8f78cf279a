"""Speed of the engine with every slot busy, and of transformers' own `generate` doing the same, interleaved in one
run."""

from __future__ import annotations

import gc
import os
import platform
import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from vvbatch.engine.bench.baseline import Baseline
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


def measure(
    setup: Setup, slots: list[int], versus: bool, tell: Callable[[str], object] = lambda line: None
) -> dict[str, Any]:
    """The report of `vvbatch bench engine --json`. Raises EngineUnavailable."""
    devices.exact_placement(setup.device, setup.dtype)  # before anything is built that takes minutes
    if setup.threads is not None:
        torch.set_num_threads(setup.threads)
    baseline = None
    if versus:
        tell("building transformers' model")
        baseline = Baseline(setup.shape, DTYPES[setup.dtype], torch.device(setup.device))
    results: list[dict[str, Any]] = []
    times: dict[int, list[float]] = {batch: [] for batch in sorted({1, *slots})}
    for count in slots:
        tell(f"{count} slots: building the engine")
        engine, frame_s = build(setup, count)
        steps, ratios, parts = [], [], []
        for number in range(setup.rounds):
            step_s, part_s = play(engine, setup.frames)
            steps.append(step_s)
            parts.append(part_s)
            if baseline:
                alone = baseline.step_s(1, setup.frames)
                times[1].append(alone)
                ratios.append(count * alone / step_s)
                if count > 1 and number == 0:
                    times[count].append(baseline.step_s(count, setup.frames))
            tell(
                f"{count} slots, round {number + 1}: {step_s:.3f} s a step"
                + (f", ratio {ratios[-1]:.1f}" if ratios else "")
            )
        step_s = statistics.median(steps)
        results.append(
            {
                "slots": count,
                "speed": count * frame_s / step_s,
                "step_s": step_s,
                "parts": {part: statistics.median(part_s[part] for part_s in parts) for part in PARTS},
                "peak_bytes": peak_bytes(),
                "ratio": statistics.median(ratios) if ratios else None,
            }
        )
        engine.close()
        del engine
        gc.collect()
    report: dict[str, Any] = {
        "shape": setup.shape,
        "dtype": setup.dtype,
        "machine": machine(setup.device),
        "results": results,
    }
    if baseline:
        report["transformers"] = [
            {
                "batch": batch,
                "speed": batch * baseline.frame_s / statistics.median(seconds),
                "step_s": statistics.median(seconds),
            }
            for batch, seconds in times.items()
            if seconds
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


def play(engine: ForcedEngine, frames: int) -> tuple[float, dict[str, float]]:
    """Fill every slot, then the median seconds of a step in which all of them speak, whole and by part."""
    lines = fill(engine)
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
    """A line of `PROMPT_TOKENS` with the random voice; nothing ends it but `cancel`."""
    voice = Voice("random", Path("random"), "0" * 64)
    return Request(f"line-{number}", (Turn(0, "x"),), (voice,), seed=number, cfg_scale=1.3, steps=10)


def fill(engine: ForcedEngine) -> list[Utterance]:
    """A line in every slot, all prompts read."""
    lines = [engine.start(request(number)) for number in range(engine.slots)]
    while engine.reading:
        engine.step()
    return lines


def machine(device: str) -> dict[str, Any]:
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


def table(report: dict[str, Any]) -> str:
    """The report for reading."""
    return "\n".join(rows(report))


def rows(report: dict[str, Any]) -> Iterator[str]:
    yield f"{report['shape']} {report['dtype']} on {report['machine']['cpu']}, {report['machine']['threads']} threads"
    yield (
        f"{'slots':>5} {'speed':>7} {'step':>8} "
        + " ".join(f"{part:>9}" for part in PARTS)
        + f" {'peak':>8} {'ratio':>6}"
    )
    for result in report["results"]:
        parts = " ".join(f"{result['parts'][part]:7.3f} s" for part in PARTS)
        ratio = "" if result["ratio"] is None else f"{result['ratio']:5.1f}x"
        yield (
            f"{result['slots']:5} {result['speed']:6.2f}x {result['step_s']:6.3f} s {parts}"
            f" {result['peak_bytes'] / 1e9:5.1f} GB {ratio:>6}"
        )
    for other in report.get("transformers", []):
        yield f"transformers, batch of {other['batch']}: {other['speed']:.2f}x, {other['step_s']:.3f} s a step"
