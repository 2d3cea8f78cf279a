"""Speed of a whole batch: lines of natural lengths through `vvbatch run`, with its queue, worker, ledger and files.

The command runs in a home folder of its own, with a profile whose engine is a BatchEngine: random weights, and lines
that end after the number of frames that their texts say.
"""

from __future__ import annotations

import json
import os
import re
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory

import msgspec
import numpy as np
import yaml
from transformers import VibeVoiceConfig

from vvbatch.engine.bench import shapes, speed
from vvbatch.engine.contract import Chunk, EngineUnavailable, Event, Finished, Request, Turn
from vvbatch.engine.vibevoice import device as devices
from vvbatch.engine.vibevoice.prompt import Prompt
from vvbatch.ledger import Ledger
from vvbatch.ledger.queries import batch_totals, find_batch
from vvbatch.listening.contract import LISTEN
from vvbatch.processes import die_with_parent, python
from vvbatch.processes.stop_signals import as_interrupt
from vvbatch.profiles import Profile, QcLimits

MEAN_FRAMES, SHORTEST_FRAMES, LONGEST_FRAMES = 58, 8, 234
"""Of the lines: 7.7 s, 1.1 s and 31 s."""
LENGTHS_SEED = 6095  # of 48 lines: mean 58, longest 234, the 26th
CHARACTERS_A_FRAME = 2.05  # 0.065 s of speech a character
PACE_SPREAD = 0.15  # a text's characters are within so much of what its frames call for
TOKENS_A_FRAME = 0.6  # of the text
SENTENCE = "The lamp went out at midnight, and no one on the island had touched it. "
STEADY_STEPS = 8  # with every slot busy, before the batch and again after it
STEPS_FILE = "bench-steps.json"  # in the cache folder
SECOND_SIGNAL_S = 1.5  # a worker takes signals that come sooner for the same one

OPEN_QC = QcLimits(
    dc_offset=1e9, clipped_share=1, silence_dbfs=-200, leading_silence_s=1e9, trailing_silence_s=1e9,
    inner_silence_s=1e9, speech_share=0, start_level_db=1e9, end_level_db=1e9, true_peak_dbtp=1e9,
    loudness_min_lufs=-1e9, loudness_max_lufs=1e9, noise_floor_dbfs=1e9, clicks=1e9, dropouts=1e9, bandwidth_hz=0,
    repeated_s=1e9, s_per_syllable_min=0, s_per_syllable_max=1e9, s_per_word_max=1e9, pace_deviations=1e9,
    min_s_per_char=0, max_s_per_char=1e9, duration_grace_s=1e9, wer=1e9, said_again=1e9, word_likeness=0, left_out=1e9,
    voice_similarity=-1, naturalness_mos=0, background_mos=0, music_share=1, music_grace_s=1e9,
)  # fmt: skip
"""Every check is made, and every take that is audio at all passes."""


@dataclass(frozen=True)
class Setup:
    shape: str
    dtype: str
    device: str
    slots: int
    lines: int
    listen: bool
    threads: int | None = None


class Steps(msgspec.Struct):
    """What a BatchEngine counted. `speaking`: frames of the batch's lines in its steps; `cpu_s`: of its whole process,
    all threads, from the first line's start to the end."""

    steady_step_s: list[float]  # seconds of a step with every slot busy: medians before and after the batch
    frame_s: float
    step_shape: str
    machine: Mapping[str, object]
    steps: int = 0
    speaking: int = 0
    cpu_s: float = 0.0


class Report(msgspec.Struct, kw_only=True):
    """`speed` and `steady_speed` in seconds of audio a second; the latter with a line in every slot all the time."""

    lines: int
    audio_s: float
    wall_s: float
    speed: float
    steady_speed: float
    efficiency: float  # speed / steady_speed
    listening: bool
    slots: int
    steps: int
    lines_a_step: float  # that spoke, on average
    cpu_s: float  # of the worker without the listening process: steadier than wall time where others compute too
    shape: str
    step_shape: str  # `following` the lines that speak, or `fixed`
    dtype: str
    machine: Mapping[str, object]


# The lines


def lengths(count: int) -> list[int]:
    """Frames of each line: the same for the same count, geometric within the limits."""
    drawn = np.random.default_rng(LENGTHS_SEED).geometric(1 / MEAN_FRAMES, count)
    return [int(frames) for frames in drawn.clip(SHORTEST_FRAMES, LONGEST_FRAMES)]


def texts(count: int) -> Iterator[str]:
    """A text for each of `lengths`. Its last word is its number of frames, which no engine knows from the text."""
    generator = np.random.default_rng(LENGTHS_SEED + 1)
    for number, frames in enumerate(lengths(count)):
        wanted = frames * CHARACTERS_A_FRAME * generator.uniform(1 - PACE_SPREAD, 1 + PACE_SPREAD)
        begin, end = f"Line {number} ", f" {frames}"
        size = max(0, round(wanted) - len(begin) - len(end))
        yield begin + (SENTENCE * (1 + size // len(SENTENCE)))[:size].strip() + end


def frames_of(turns: Sequence[Turn]) -> int:
    """The number of frames that the last word says; the mean for a text of any other kind."""
    found = re.search(r" (\d+)$", turns[-1].text)
    return int(found[1]) if found else MEAN_FRAMES


class TextTokens(shapes.NoTokens):
    """Prompts whose text has its share of tokens, behind a prefix that all lines have."""

    def __init__(self, config: VibeVoiceConfig) -> None:
        super().__init__(config, speed.PROMPT_TOKENS)

    def prompt(self, turns: Sequence[Turn], frames: Sequence[int]) -> Prompt:
        text = [10 + number % 40 for number in range(round(TOKENS_A_FRAME * frames_of(turns)))]
        return Prompt(super().prompt(turns, frames).prefix, [*text, self.start])


# The engine in the worker


class BatchEngine:
    """`vvbatch.engine.contract.Engine` with random weights. Opening and closing it measure steps of full slots."""

    def __init__(self, engine: speed.ForcedEngine, frame_s: float, cache: Path) -> None:
        self.engine, self.slots, self.facts, self.cache = engine, engine.slots, engine.facts, cache
        self.counted = Steps([self.steady_step_s()], frame_s, engine.shape.mode, speed.machine(self.facts.device))
        self.cpu_before_s: float | None = None

    @classmethod
    def open(cls, profile: Profile, cache: Path) -> BatchEngine:
        """Of the shape that the profile names as its model's repo. Raises EngineUnavailable."""
        setup = speed.Setup(profile.model.repo, profile.dtype, profile.device, STEADY_STEPS, 1, profile.threads)
        engine, frame_s = speed.build(setup, profile.slots)
        engine.tokens = TextTokens(engine.model.config)
        return cls(engine, frame_s, cache)

    def steady_step_s(self) -> float:
        return speed.play(self.engine, STEADY_STEPS)[0]

    def admit(self, request: Request) -> None:
        if self.cpu_before_s is None:
            self.cpu_before_s = time.process_time()
        self.engine.start(request, max_tokens=frames_of(request.turns))

    def step(self) -> list[Event]:
        events = self.engine.step()
        self.counted.steps += 1
        self.counted.speaking += sum(isinstance(event, Chunk) for event in events)
        # Every line is cut after its frames: for the worker that is its natural end.
        return [replace(event, runaway=False) if isinstance(event, Finished) else event for event in events]

    def cancel(self, request_id: str) -> None:
        self.engine.cancel(request_id)

    def close(self) -> None:
        if self.cpu_before_s is not None:
            self.counted.cpu_s = time.process_time() - self.cpu_before_s
        self.counted.steady_step_s.append(self.steady_step_s())
        (self.cache / STEPS_FILE).write_bytes(msgspec.json.encode(self.counted))
        self.engine.close()


# The measurement


def measure(setup: Setup, tell: Callable[[str], object] = lambda line: None) -> Report:
    """The report of `vvbatch bench batch --json`. The command's progress goes to stderr. Raises EngineUnavailable."""
    devices.exact_placement(setup.device, setup.dtype)  # before anything is built that takes minutes
    if not Path(setup.shape).is_dir():
        shapes.config(setup.shape.lower())
    with TemporaryDirectory(prefix="vvbatch-bench-") as folder:
        home = Path(folder)
        prepare(home, setup)
        tell(f"{setup.lines} lines, {setup.slots} slots: the worker builds the model, then renders")
        if code := run(home):
            raise EngineUnavailable(f"nothing measured: `vvbatch run` ended with exit code {code}, see above")
        with closing(Ledger(f"sqlite:///{home / 'ledger.sqlite3'}")) as ledger:
            totals = batch_totals(ledger, find_batch(ledger, "last"))
        counted = msgspec.json.decode((home / "cache" / STEPS_FILE).read_bytes(), type=Steps)
    assert totals.speed is not None  # every line is done
    steady = setup.slots * counted.frame_s / statistics.mean(counted.steady_step_s)
    return Report(
        lines=setup.lines,
        audio_s=totals.audio_s,
        wall_s=totals.wall_s,
        speed=totals.speed,
        steady_speed=steady,
        efficiency=totals.speed / steady,
        listening=setup.listen,
        slots=setup.slots,
        steps=counted.steps,
        lines_a_step=counted.speaking / counted.steps,
        cpu_s=counted.cpu_s,
        shape=setup.shape,
        step_shape=counted.step_shape,
        dtype=setup.dtype,
        machine=counted.machine,
    )


def prepare(home: Path, setup: Setup) -> None:
    """Write the profile and the script into an empty home folder."""
    shape = str(Path(setup.shape).absolute()) if Path(setup.shape).is_dir() else setup.shape.lower()
    fixed = {"golden": 10, "min": 10, "max": 10}
    profile = {
        "title": "Random weights, for measuring a batch",
        "engine": "bench",
        "model": {"repo": shape, "revision": "random"},
        "device": setup.device,
        "dtype": setup.dtype,
        "threads": setup.threads,
        "slots": setup.slots,
        "generation": {"cfg_scale": {"golden": 1.3, "min": 1, "max": 2}, "steps": fixed, "voice_seed": 0},
        "text": {"max_chars": 10_000},
        "qc": msgspec.to_builtins(OPEN_QC),
        "listen": list(LISTEN) if setup.listen else [],
    }
    (home / "configs").mkdir()
    (home / "configs" / "bench.yaml").write_text(yaml.safe_dump(profile))
    script = {"version": 1, "title": "bench", "model": "bench", "lines": list(texts(setup.lines))}
    (home / "script.yaml").write_text(json.dumps(script))


def run(home: Path) -> int:
    """`vvbatch run` in this home folder; returns its exit code. It ends with this process, and at a Ctrl-C or SIGTERM
    without waiting for its lines."""
    elsewhere = ("VVBATCH_REDIS_URL", "VVBATCH_LEDGER_URL", "VVBATCH_OUT")
    environment = {name: value for name, value in os.environ.items() if name not in elsewhere}
    environment |= {"VVBATCH_HOME": str(home), "VVBATCH_CONFIGS": str(home / "configs")}
    ends_with_this = [sys.executable, "-I", "-S", die_with_parent.__file__, str(os.getpid())]
    command = python.module("vvbatch", "run", str(home / "script.yaml"), "--out", str(home / "out"))
    with as_interrupt():
        process = subprocess.Popen(
            [*ends_with_this, *command],
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            start_new_session=True,  # a Ctrl-C comes to this process alone
        )
        try:
            return process.wait()
        except KeyboardInterrupt:
            process.terminate()
            time.sleep(SECOND_SIGNAL_S)
            process.terminate()  # the first lets its lines finish
            process.wait()
            raise


def table(report: Report) -> str:
    """The report for reading."""
    return "\n".join(
        [
            f"{report.shape} {report.dtype} on {report.machine['cpu']}, {report.machine['threads']} threads",
            f"lines       {report.lines} in {report.slots} slots{', listened to' if report.listening else ''}",
            f"audio       {report.audio_s:.1f} s in {report.wall_s:.1f} s",
            f"speed       {report.speed:.2f} x real time",
            f"full slots  {report.steady_speed:.2f} x real time",
            f"efficiency  {report.efficiency:.2f}",
            f"steps       {report.steps} of {report.step_shape} shape, {report.lines_a_step:.1f} lines a step",
            f"worker      {report.cpu_s:.1f} CPU seconds",
        ]
    )
