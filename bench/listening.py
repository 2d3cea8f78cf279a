"""Measures how much the listening process slows a step of the engine: `python -m bench.listening`, on an idle machine.

The steps are matrix products on every core. They are timed alternately with the listening process stopped and running;
it always has pending takes. Prints both medians and the CPU time that the process used.
"""

from __future__ import annotations

import statistics
import sys
import time
from pathlib import Path

import psutil
import torch

from vvbatch import audio, profiles
from vvbatch.listening.contract import LISTEN
from vvbatch.listening.process import ListeningProcess

ROUNDS, STEPS, TAKES = 8, 60, 60
VOICE = Path(__file__).parent.parent / "voices" / "carter.wav"


def main() -> None:
    samples, _ = audio.read(VOICE)
    weights, rows = torch.randn(3072, 3072), torch.randn(32, 3072)
    listening = ListeningProcess.start(LISTEN)
    child = next(each for each in psutil.Process().children() if "vvbatch.listening" in each.cmdline())
    alone: list[float] = []
    together: list[float] = []
    computed_s = 0.0
    try:
        for take in range(TAKES):
            listening.submit(f"take {take}", samples, "Good evening.", VOICE, profiles.QcLimits())
        steps(weights, rows)
        for _ in range(ROUNDS):
            child.suspend()
            alone += steps(weights, rows)
            child.resume()
            before = child.cpu_times()
            together += steps(weights, rows)
            after = child.cpu_times()
            computed_s += after.user + after.system - before.user - before.system
        listening.poll()
        if not listening.waiting:
            sys.exit("the listening process ran out of takes: increase TAKES")
    finally:
        listening.close()
    idle, busy = statistics.median(alone), statistics.median(together)
    print(f"a step: {1000 * idle:.2f} ms alone, {1000 * busy:.2f} ms while listening ({busy / idle - 1:+.1%})")
    print(f"CPU time of the listening process: {computed_s:.1f} s in {sum(together):.1f} s")


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
