"""Measures how well quality control detects defects: `python -m bench.quality`, or `make calibrate`.

The draft voice reads sentences, each defect of `bench.defects` is applied to some of them, and all takes are checked
with the limits of the draft profile. By default it uses the even lines of `quality_sentences.txt` and all of
`quality_paragraphs.txt`, which were not used to choose limits, and writes the table in docs/quality.md. `--odd` uses
the other sentences and prints the measured values, for choosing limits.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from dataclasses import dataclass, field
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import soundfile

from bench.defects import DEFECTS, Samples
from vvbatch import profiles
from vvbatch.engine.contract import SAMPLE_RATE, Chunk, Manner, Request, Turn, Voice
from vvbatch.engine.draft import DraftEngine
from vvbatch.listening.contract import Clip
from vvbatch.listening.models import ListeningModels
from vvbatch.qc.check import Check
from vvbatch.qc.judge import judge as checks_of

SENTENCES, PARAGRAPHS = (Path(__file__).with_name(f"quality_{each}.txt") for each in ("sentences", "paragraphs"))
PAGE = Path(__file__).parent.parent / "docs" / "quality.md"
BEGIN, END = "<!-- made by `make calibrate` -->\n", "<!-- end -->"
RATES = (1.0, 1.1, 0.92)  # speaking rates of the clean takes, one for each round of the sentences
OTHER_VOICES = (4.0, -4.0, 6.0, -5.0)  # semitones
BATCH = 8
PLAIN = Manner()

Speak = Callable[[list[tuple[str, Manner, int]]], Iterable[Samples]]
Takes = list[tuple[str, Samples]]
"""The expected text and the samples of each take."""


@dataclass
class Judged:
    """How many takes of one kind failed, and by which checks."""

    name: str
    takes: int = 0
    by_signal: int = 0  # failed a check without models
    by_any: int = 0
    by_check: Counter[str] = field(default_factory=Counter)

    def add(self, signal: Sequence[Check], listened: Sequence[Check]) -> None:
        off = [check.name for check in (*signal, *listened) if not check.ok]
        self.takes += 1
        self.by_signal += not all(check.ok for check in signal)
        self.by_any += bool(off)
        self.by_check.update(off)


@dataclass(frozen=True)
class Verdicts:
    """For one batch: the checks of each take without and with models, and the CPU seconds that they took."""

    signal: list[list[Check]]
    listened: list[list[Check]]
    signal_s: float
    listened_s: float
    audio_s: float


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--clean", type=int, default=124, help="clean takes")
    parser.add_argument("--each", type=int, default=30, help="takes of each defect")
    parser.add_argument("--odd", action="store_true", help="print measured values, for choosing limits")
    parser.add_argument("--jobs", type=int, default=2, help="processes")
    options = parser.parse_args()
    lines = lines_of(SENTENCES)
    texts = lines[4::2] if options.odd else mixed(lines[5::2], lines_of(PARAGRAPHS))
    with (
        tempfile.TemporaryDirectory() as folder,
        ProcessPoolExecutor(options.jobs, get_context("spawn"), open_process) as pool,
    ):
        prompt = Path(folder, "prompt.wav")  # of the expected voice, in sentences that are not checked
        spoken = pool.map(read, [(text, PLAIN, 1) for text in lines[:4]])
        soundfile.write(prompt, np.concatenate(list(spoken)), SAMPLE_RATE)
        takes = takes_of(lambda readings: pool.map(read, readings), texts, options.clean, options.each)
        judged, verdicts = judge_all(takes, prompt, pool)
    found = f"{table(judged)}\n{cost(verdicts)}\n"
    print(found)
    if options.odd:
        print(measured(judged, verdicts))
        return
    page = PAGE.read_text(encoding="utf-8")
    before, _, after = page.partition(BEGIN)
    PAGE.write_text(before + BEGIN + found + END + after.partition(END)[2], encoding="utf-8")
    clean, defective = judged[0], judged[1:]
    detected = sum(kind.by_any for kind in defective) / sum(kind.takes for kind in defective)
    sys.exit(not (detected >= 0.95 and clean.by_any <= 0.02 * clean.takes))


def lines_of(path: Path) -> list[str]:
    return [line for line in path.read_text(encoding="utf-8").splitlines() if not line.startswith("#")]


def mixed(many: Sequence[str], few: Sequence[str]) -> list[str]:
    """`many` with `few` evenly spread among them."""
    size = len(many) // len(few)
    parts = [many[at : at + size] for at in range(0, size * len(few), size)]
    return [*(text for part, one in zip(parts, few, strict=True) for text in (*part, one)), *many[size * len(few) :]]


class Reader:
    """The draft voice."""

    def __init__(self) -> None:
        self._engine = DraftEngine(profiles.load("draft"))

    def read(self, text: str, manner: Manner = PLAIN, seed: int = 1) -> Samples:
        voice = Voice("joe", Path("joe.wav"), "0" * 64, manner)
        self._engine.admit(Request("take", (Turn(0, text),), (voice,), seed, 1.3, 10))
        chunks: list[Samples] = []
        while found := [event.samples for event in self._engine.step() if isinstance(event, Chunk)]:
            chunks += found
        return np.concatenate(chunks)


def takes_of(speak: Speak, texts: Sequence[str], clean: int, each: int) -> Iterator[tuple[str, Takes]]:
    """Batches of takes by kind, the clean ones first."""
    rng = np.random.default_rng(1)
    wanted = [
        (texts[number % len(texts)], Manner(rate=RATES[number // len(texts) % 3]), number)
        for number in range(max(clean, each))
    ]
    others = [(text, Manner(pitch=OTHER_VOICES[number % 4]), number) for text, _, number in wanted[:each]]
    twice = [(said_twice(text, rng), manner, number) for text, manner, number in wanted[-each:]]
    spoken = iter(list(speak([*wanted, *others, *twice])))
    speech, other, again = (
        [(text, next(spoken)) for text, _, _ in takes] for takes in (wanted, others, wanted[-each:])
    )
    yield from in_batches("clean", speech[:clean])
    for index, (name, damage) in enumerate(DEFECTS.items()):
        chosen = [speech[(index * 7 + number) % len(speech)] for number in range(each)]
        yield from in_batches(name, [(text, damage(samples, text, rng)) for text, samples in chosen])
    yield from in_batches("other words", [(speech[number][0], speech[number - 1][1]) for number in range(each)])
    yield from in_batches("phrase said twice", again)
    yield from in_batches("wrong voice", other)


def said_twice(text: str, rng: np.random.Generator) -> str:
    """The text with three to six words repeated."""
    words = text.split()
    count = int(rng.integers(3, 7))
    end = int(rng.integers(count, max(len(words) - 1, count + 1)))
    return " ".join([*words[:end], *words[end - count :]])


def in_batches(name: str, takes: Takes) -> Iterator[tuple[str, Takes]]:
    for at in range(0, len(takes), BATCH):
        yield name, takes[at : at + BATCH]


def judge_all(
    kinds: Iterator[tuple[str, Takes]], prompt: Path, pool: ProcessPoolExecutor
) -> tuple[list[Judged], list[tuple[str, Verdicts]]]:
    """The result of each kind, and the verdicts of each batch."""
    judged: dict[str, Judged] = {}
    pending: list[tuple[str, Future[Verdicts]]] = [(name, pool.submit(judge, takes, prompt)) for name, takes in kinds]
    verdicts = []
    for name, future in pending:
        found = future.result()
        verdicts.append((name, found))
        for signal, listened in zip(found.signal, found.listened, strict=True):
            judged.setdefault(name, Judged(name)).add(signal, listened)
        kind = judged[name]
        print(f"{name}: {kind.by_any} of {kind.takes} failed", *kind.by_check.most_common(4), file=sys.stderr)
    return list(judged.values()), verdicts


models: ListeningModels
reader: Reader


def open_process() -> None:
    global models, reader
    models, reader = ListeningModels.open(threads=1), Reader()


def read(reading: tuple[str, Manner, int]) -> Samples:
    return reader.read(*reading)


def judge(takes: Takes, prompt: Path) -> Verdicts:
    limits, begun = profiles.load("draft").qc, time.process_time()
    signal = [checks_of(samples, SAMPLE_RATE, text, limits) for text, samples in takes]
    between = time.process_time()
    listened = models.check([Clip(samples, SAMPLE_RATE, text, prompt, limits) for text, samples in takes])
    audio_s = sum(len(samples) for _, samples in takes) / SAMPLE_RATE
    return Verdicts(signal, listened, between - begun, time.process_time() - between, audio_s)


def table(judged: Sequence[Judged]) -> str:
    rows = ["| takes | number | failed | without models | most frequent checks |", "|---|---:|---:|---:|---|"]
    for kind in judged:
        by = ", ".join(f"{name} {count}" for name, count in kind.by_check.most_common(3))
        any_share, signal_share = kind.by_any / kind.takes, kind.by_signal / kind.takes
        rows.append(f"| {kind.name} | {kind.takes} | {any_share:.1%} | {signal_share:.1%} | {by} |")
    defective = judged[1:]
    total = sum(kind.takes for kind in defective)
    detected, signal = (sum(getattr(kind, each) for kind in defective) / total for each in ("by_any", "by_signal"))
    rows.append(f"| **all defects** | {total} | **{detected:.1%}** | {signal:.1%} | |")
    return "\n".join(rows) + "\n"


def cost(verdicts: Sequence[tuple[str, Verdicts]]) -> str:
    takes = sum(len(batch.signal) for _, batch in verdicts)
    signal_s, listened_s, audio_s = (
        sum(getattr(batch, each) for _, batch in verdicts) for each in ("signal_s", "listened_s", "audio_s")
    )
    return (
        f"CPU time per second of audio (takes of {audio_s / takes:.1f} s, {BATCH} at a time, one thread): without "
        f"models {1000 * signal_s / audio_s:.1f} ms, with all models {listened_s / audio_s:.2f} s."
    )


def measured(judged: Sequence[Judged], verdicts: Sequence[tuple[str, Verdicts]]) -> str:
    """The 0, 5, 50, 95 and 100 % quantiles of each check by kind."""
    rows = []
    for kind in judged:
        values: dict[str, list[float]] = {}
        for name, batch in verdicts:
            for check in (check for checks in (*batch.signal, *batch.listened) for check in checks):
                if name == kind.name:
                    values.setdefault(check.name, []).append(check.value)
        for check_name, found in values.items():
            quantiles = " ".join(f"{each:9.3f}" for each in np.percentile(found, (0, 5, 50, 95, 100)))
            rows.append(f"{kind.name:16} {check_name:20} {quantiles}")
    return "\n".join(rows)


if __name__ == "__main__":
    main()
