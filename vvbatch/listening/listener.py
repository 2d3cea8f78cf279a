"""The models that listen to takes, in a process of their own beside the worker: `submit` a take, `poll` for verdicts.

The process is niced and has few threads, so that it hardly slows the engine's step. Nothing here waits for it but
`start`. When it dies or stands still it is started again, and what it had in hand is asked once more, one take at a
time, so that a take on which it dies fails alone: with an `error` instead of checks.
"""

from __future__ import annotations

import contextlib
import logging
import os
import queue
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, NamedTuple

import msgspec
import numpy as np
import psutil
from numpy.typing import NDArray

from vvbatch.listening import EarsUnavailable
from vvbatch.listening.wire import Answer, Ask, read_answer, write
from vvbatch.processes import die_with_parent
from vvbatch.profiles import Listen, QcLimits
from vvbatch.qc.check import Check

START_S = 120.0  # until the models are loaded
STILL_S = 120.0  # in which a listener with takes in hand neither answers nor computes: it stands still
LOST_CPU_S = 120.0  # of computing without an answer, and …
LOST_CPU_S_PER_S = 5.0  # … for each second of audio in hand: it has lost itself
TIMES_ASKED = 2
SENT_AT_ONCE = 16  # takes: two batches of the process, so that it never waits; the others can still be forgotten
DIE_WITH_PARENT = Path(die_with_parent.__file__)

log = logging.getLogger("vvbatch.listening.listener")


@dataclass(frozen=True)
class Verdict:
    """What was heard of a take: its checks, or why there are none."""

    take_id: str
    checks: tuple[Check, ...] = ()
    error: str | None = None


@dataclass
class Asked:
    ask: Ask
    samples: NDArray[np.float32] = field(repr=False)
    times: int = 0
    forgotten: bool = False  # by the caller; the process still evaluates it


class Progress(NamedTuple):
    moved: float  # when it last answered or was seen to have computed, by time.monotonic
    cpu_s: float  # what it had computed by then
    cpu_s_at_answer: float


class Listener:
    """One thread's: `submit`, `poll` and `close` are called by the same."""

    def __init__(self, listen: Sequence[Listen], threads: int = 2, program: Sequence[str] = ()) -> None:
        self._argv = [*(program or (sys.executable, "-m", "vvbatch.listening")), *listen]
        self._threads = threads
        self._in_hand: dict[str, Asked] = {}  # sent, in the order of sending
        self._unsent: list[Asked] = []  # first those that were in hand when a process ended
        self._spent: list[Verdict] = []
        self._child: Child | None = None
        self._lately = Progress(time.monotonic(), 0.0, 0.0)
        self.versions: dict[str, str] = {}

    @classmethod
    def start(cls, listen: Sequence[Listen], threads: int = 2, program: Sequence[str] = ()) -> Listener:
        """Start the process and wait until its models are loaded. Raises EarsUnavailable."""
        listener = cls(listen, threads, program)
        child = listener._child = Child(listener._argv, threads)
        try:
            answer = child.answers.get(timeout=START_S)
        except queue.Empty:
            listener.close()
            raise EarsUnavailable(f"the listener was not ready after {START_S:.0f} s") from None
        if answer is None or answer.ready is None:
            listener.close()
            raise EarsUnavailable((answer and answer.unavailable) or "the listener ended at its start: see the log")
        listener.versions = answer.ready
        return listener

    @property
    def waiting(self) -> int:
        """Takes without a verdict yet."""
        sent = sum(not asked.forgotten for asked in self._in_hand.values())
        return sent + len(self._unsent) + len(self._spent)

    def submit(
        self,
        take_id: str,
        samples: NDArray[np.float32],
        text: str | None,
        voice: Path | None,
        limits: QcLimits,
        sample_rate: int = 24_000,
    ) -> None:
        """Ask for a verdict on finite, mono samples (frames,), which must not be changed until it is there."""
        ask = Ask(
            id=take_id,
            frames=len(samples),
            sample_rate=sample_rate,
            text=text,
            voice=str(voice) if voice else None,
            limits=limits,
        )
        self._unsent.append(Asked(ask, samples))
        self._send_what_fits()

    def poll(self) -> list[Verdict]:
        """The verdicts that have come since the last call; never waits."""
        verdicts, self._spent = self._spent, []
        while self._child and not self._child.answers.empty():
            self._lately = Progress(time.monotonic(), self._child.cpu_s(), self._child.cpu_s())
            answer = self._child.answers.get()
            if answer is None:
                self._lost(f"it ended with {self._child.process.wait()}")
            elif answer.unavailable:
                log.error("the listener cannot start again: %s", answer.unavailable)
            elif answer.id and (asked := self._in_hand.pop(answer.id, None)):
                checks = tuple(answer.checks or ())
                if not asked.forgotten:
                    verdicts.append(Verdict(asked.ask.id, checks, answer.error))
        if self._child and self._in_hand and (why := self._stuck(self._child)):
            self._lost(why)
        self._send_what_fits()
        return verdicts

    def forget(self, take_id: str) -> None:
        """No verdict is wanted any more. A take that was not sent yet is never evaluated."""
        if take_id in self._in_hand:
            self._in_hand[take_id].forgotten = True
        self._unsent = [asked for asked in self._unsent if asked.ask.id != take_id]
        self._spent = [verdict for verdict in self._spent if verdict.take_id != take_id]

    def close(self) -> None:
        """End the process; what it has in hand gets no verdict."""
        if self._child:
            self._child.end()
            self._child = None
        self._in_hand.clear()
        self._unsent.clear()

    def _send_what_fits(self) -> None:
        """A take that was sent before is sent alone: if the process ends again, it is the culprit."""
        while self._unsent:
            alone = self._unsent[0].times or any(asked.times > 1 for asked in self._in_hand.values())
            if len(self._in_hand) >= (1 if alone else SENT_AT_ONCE):
                return
            self._send(self._unsent.pop(0))

    def _send(self, asked: Asked) -> None:
        if not self._in_hand:
            used_s = self._child.cpu_s() if self._child else 0.0
            self._lately = Progress(time.monotonic(), used_s, used_s)
        asked.times += 1
        self._in_hand[asked.ask.id] = asked
        if self._child is None:
            self._child = Child(self._argv, self._threads)
        self._child.asks.put((asked.ask, asked.samples))

    def _stuck(self, child: Child) -> str | None:
        """By what it has computed and not by the clock: beside a busy engine it gets little time, and that is meant."""
        since, now, used_s = self._lately, time.monotonic(), child.cpu_s()
        if used_s > since.cpu_s + 0.01:
            self._lately = since = Progress(now, used_s, since.cpu_s_at_answer)
        audio_s = sum(asked.ask.frames / asked.ask.sample_rate for asked in self._in_hand.values())
        if used_s - since.cpu_s_at_answer > LOST_CPU_S + LOST_CPU_S_PER_S * audio_s:
            return f"it computed {used_s - since.cpu_s_at_answer:.0f} s without an answer"
        return "it stood still" if now - since.moved > STILL_S else None

    def _lost(self, why: str) -> None:
        """The process is gone, or is ended: what it had in hand is asked again, or has had its chances."""
        log.error("the listener is started again, with %d takes in hand: %s", len(self._in_hand), why)
        if self._child:
            self._child.end()
            self._child = None
        asked, self._in_hand = [one for one in self._in_hand.values() if not one.forgotten], {}
        spent = [one for one in asked if one.times >= TIMES_ASKED]
        self._spent += [Verdict(one.ask.id, (), f"the listener was lost twice: {why}") for one in spent]
        self._unsent = [one for one in asked if one.times < TIMES_ASKED] + self._unsent


class Child:
    """The process, with a thread for each of its pipes: neither a full pipe nor an empty one holds the worker up."""

    def __init__(self, argv: Sequence[str], threads: int) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-I", "-S", str(DIE_WITH_PARENT), str(os.getpid()), *argv],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, "VVBATCH_LISTENER_THREADS": str(threads)},
            # Ctrl-C is for the worker. Not a session of its own: its niceness would not count there (autogroup).
            process_group=0,
        )
        self._usage = psutil.Process(self.process.pid)
        self.asks: queue.SimpleQueue[tuple[Ask, NDArray[np.float32]] | None] = queue.SimpleQueue()
        self.answers: queue.SimpleQueue[Answer | None] = queue.SimpleQueue()
        assert self.process.stdin and self.process.stdout
        for target, pipe in ((self._write, self.process.stdin), (self._read, self.process.stdout)):
            threading.Thread(target=target, args=(pipe,), name="listener", daemon=True).start()

    def cpu_s(self) -> float:
        """CPU seconds so far; 0 when it is gone."""
        try:
            times = self._usage.cpu_times()
        except psutil.Error:
            return 0.0
        return float(times.user + times.system)

    def end(self) -> None:
        self.asks.put(None)
        self.process.kill()
        self.process.wait()

    def _write(self, pipe: IO[bytes]) -> None:
        with contextlib.suppress(OSError, ValueError), pipe:  # the reader tells that it is gone
            while (asked := self.asks.get()) is not None:
                write(pipe, *asked)

    def _read(self, pipe: IO[bytes]) -> None:
        with contextlib.suppress(OSError, ValueError, msgspec.DecodeError), pipe:
            while (answer := read_answer(pipe)) is not None:
                self.answers.put(answer)
        self.answers.put(None)
