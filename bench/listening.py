"""How much a listener slows an engine's step: `python -m bench.listening`, on a machine that does nothing else.

Steps of the engine's kind, matrix products on every core, are timed in turn while the listener, which always has takes
in hand, is stopped and while it runs; the medians are compared, and what the listener computed beside them.
"""

from __future__ import annotations

import statistics
import sys
import time
from pathlib import Path

import psutil
import torch

from vvbatch import audio, profiles
from vvbatch.listening import LISTEN
from vvbatch.listening.listener import Listener

ROUNDS, STEPS, TAKES = 8, 60, 60
VOICE = Path(__file__).parent.parent / "voices" / "carter.wav"


def main() -> None:
    samples, _ = audio.read(VOICE)
    weights, rows = torch.randn(3072, 3072), torch.randn(32, 3072)
    listener = Listener.start(LISTEN)
    process = next(each for each in psutil.Process().children() if "vvbatch.listening" in each.cmdline())
    alone: list[float] = []
    beside: list[float] = []
    computed_s = 0.0
    try:
        for take in range(TAKES):
            listener.submit(f"take {take}", samples, "Good evening.", VOICE, profiles.QcLimits())
        steps(weights, rows)
        for _ in range(ROUNDS):
            process.suspend()
            alone += steps(weights, rows)
            process.resume()
            before = process.cpu_times()
            beside += steps(weights, rows)
            after = process.cpu_times()
            computed_s += after.user + after.system - before.user - before.system
        listener.poll()
        if not listener.waiting:
            sys.exit("the listener ran out of takes: raise TAKES")
    finally:
        listener.close()
    rest, busy = statistics.median(alone), statistics.median(beside)
    print(f"a step: {1000 * rest:.2f} ms alone, {1000 * busy:.2f} ms while takes are heard ({busy / rest - 1:+.1%});")
    print(f"the listener computed for {computed_s:.1f} s in {sum(beside):.1f} s")


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
