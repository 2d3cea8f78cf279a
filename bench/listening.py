"""How much a listener slows an engine's step: `python -m bench.listening`, on a machine that does nothing else.

Steps of the engine's kind, matrix products on every core, are timed in turn while the listener rests and while it has
takes in hand, and the medians compared.
"""

from __future__ import annotations

import statistics
import time
from pathlib import Path

import torch

from vvbatch import audio, profiles
from vvbatch.ears import LISTEN
from vvbatch.listener import Listener

ROUNDS, STEPS = 6, 40
VOICE = Path(__file__).parent.parent / "voices" / "carter.wav"


def main() -> None:
    samples, _ = audio.read(VOICE)
    weights, rows = torch.randn(3072, 3072), torch.randn(32, 3072)
    listener = Listener.start(LISTEN)
    quiet: list[float] = []
    heard: list[float] = []
    verdicts = asked = 0
    try:
        for _ in range(ROUNDS):
            quiet += steps(weights, rows)
            for _ in range(8):
                listener.submit(f"take {asked}", samples, "Good evening.", VOICE, profiles.QcLimits())
                asked += 1
            while listener.waiting:
                heard += steps(weights, rows)
                verdicts += len(listener.poll())
    finally:
        listener.close()
    rest, busy = statistics.median(quiet), statistics.median(heard)
    print(f"a step: {1000 * rest:.2f} ms alone, {1000 * busy:.2f} ms while takes are heard ({busy / rest - 1:+.1%});")
    print(f"{verdicts} takes of {len(samples) / 24_000:.1f} s heard in {sum(heard):.1f} s beside it")


def steps(weights: torch.Tensor, rows: torch.Tensor) -> list[float]:
    taken = []
    for _ in range(STEPS):
        begun = time.perf_counter()
        for _ in range(8):
            rows = torch.tanh(rows @ weights)
        taken.append(time.perf_counter() - begun)
    return taken


if __name__ == "__main__":
    main()
