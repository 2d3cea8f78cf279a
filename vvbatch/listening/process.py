"""Runs the listening models in a child process of the worker: `submit` a take, `poll` for verdicts.

The process has a low priority and few threads, so that it hardly slows the engine. Only `start` waits for it. When it
exits or stalls it is restarted, and its pending takes are sent again one at a time, so that a take that crashes the
process fails alone: its verdict has an `error` and no checks.
"""

from __future__ import annotations

import contextlib
import logging
import os
import queue
import signal
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

from vvbatch.listening.contract import ListeningUnavailable
from vvbatch.listening.wire import CheckRequest, Reply, read_reply, write
from vvbatch.processes import die_with_parent, python
from vvbatch.profiles import Listen, QcLimits
from vvbatch.qc.check import Check

START_S = 120.0  # the longest that loading the models may take
STALLED_S = 120.0  # with pending takes: without a reply and without computing for so long, the process is stalled
LOOPING_CPU_S = 120.0  # CPU seconds without a reply, and …
LOOPING_CPU_S_PER_S = 5.0  # … for each pending second of audio; beyond that it is looping
ATTEMPTS = 2  # times that a take is sent
SENT_AT_ONCE = 16  # takes: two batches of the process, so that it never waits; `forget` drops the others at once
DIE_WITH_PARENT = Path(die_with_parent.__file__)

log = logging.getLogger("vvbatch.listening.process")


@dataclass(frozen=True)
class Verdict:
    """The result for a take: its checks, or the error that prevented them."""

    take_id: str
    checks: tuple[Check, ...] = ()
    error: str | None = None


@dataclass
class Pending:
    """A request without a reply, and how often it was sent."""

    request: CheckRequest
    samples: NDArray[np.float32] = field(repr=False)
    attempts: int = 0
    forgotten: bool = False  # by the caller; the process still evaluates it


class Progress(NamedTuple):
    """When the process last made progress (a reply, or CPU time used), by `time.monotonic`."""

    at: float
    cpu_s: float  # CPU seconds that it had used by then
    cpu_s_at_reply: float  # CPU seconds that it had used at its last reply


class ListeningProcess:
    """Not thread-safe: `submit`, `poll`, `forget` and `close` belong to one thread."""

    def __init__(self, listen: Sequence[Listen], threads: int = 2, program: Sequence[str] = ()) -> None:
        self._argv = [*(program or python.module("vvbatch.listening")), *listen]
        self._threads = threads
        self._sent: dict[str, Pending] = {}  # in the order of sending
        self._unsent: list[Pending] = []  # first those that were sent to a process that has ended
        self._failed: list[Verdict] = []
        self._child: Child | None = None
        self._progress = Progress(time.monotonic(), 0.0, 0.0)
        self.versions: dict[str, str] = {}

    @classmethod
    def start(cls, listen: Sequence[Listen], threads: int = 2, program: Sequence[str] = ()) -> ListeningProcess:
        """Start the process and wait until its models are loaded. Raises ListeningUnavailable.

        `program` replaces the module `vvbatch.listening`, for tests.
        """
        started = cls(listen, threads, program)
        child = started._child = Child(started._argv, threads)
        try:
            reply = child.replies.get(timeout=START_S)
        except queue.Empty:
            started.close()
            raise ListeningUnavailable(f"the listening process was not ready after {START_S:.0f} s") from None
        if reply is None or reply.ready is None:
            code = child.process.wait() if reply is None else 0
            started.close()
            how = f"killed by {signal.Signals(-code).name}" if code < 0 else f"code {code}"
            reason = reply and reply.unavailable
            raise ListeningUnavailable(reason or f"the listening process exited at its start ({how}): see the log")
        started.versions = reply.ready
        return started

    @property
    def waiting(self) -> int:
        """The number of takes without a verdict."""
        sent = sum(not pending.forgotten for pending in self._sent.values())
        return sent + len(self._unsent) + len(self._failed)

    def submit(
        self,
        take_id: str,
        samples: NDArray[np.float32],
        text: str | None,
        voice: Path | None,
        limits: QcLimits,
        sample_rate: int = 24_000,
        language: str | None = None,
        written: str | None = None,
    ) -> None:
        """Request a verdict on finite mono samples (frames,). Do not change the array before the verdict."""
        request = CheckRequest(
            id=take_id,
            frames=len(samples),
            sample_rate=sample_rate,
            text=text,
            voice=str(voice) if voice else None,
            limits=limits,
            language=language,
            written=written,
        )
        self._unsent.append(Pending(request, samples))
        self._send_what_fits()

    def poll(self) -> list[Verdict]:
        """The verdicts since the last call. Never waits."""
        verdicts, self._failed = self._failed, []
        while self._child and not self._child.replies.empty():
            used_s = self._child.cpu_s()
            self._progress = Progress(time.monotonic(), used_s, used_s)
            reply = self._child.replies.get()
            if reply is None:
                self._restart(f"it exited with {self._child.process.wait()}")
            elif reply.unavailable:
                log.error("the listening process cannot start again: %s", reply.unavailable)
            elif reply.id and (pending := self._sent.pop(reply.id, None)) and not pending.forgotten:
                verdicts.append(Verdict(reply.id, tuple(reply.checks or ()), reply.error))
        if self._child and self._sent and (reason := self._stuck(self._child)):
            self._restart(reason)
        self._send_what_fits()
        return verdicts

    def forget(self, take_id: str) -> None:
        """Drop a take: it gets no verdict. A take that was not sent yet is never evaluated."""
        if take_id in self._sent:
            self._sent[take_id].forgotten = True
        self._unsent = [pending for pending in self._unsent if pending.request.id != take_id]
        self._failed = [verdict for verdict in self._failed if verdict.take_id != take_id]

    def close(self) -> None:
        """End the process. Pending takes get no verdict."""
        if self._child:
            self._child.end()
            self._child = None
        self._sent.clear()
        self._unsent.clear()

    def _send_what_fits(self) -> None:
        """A take that was sent before is sent alone: if the process ends again, that take is the cause."""
        while self._unsent:
            alone = self._unsent[0].attempts or any(pending.attempts > 1 for pending in self._sent.values())
            if len(self._sent) >= (1 if alone else SENT_AT_ONCE):
                return
            self._send(self._unsent.pop(0))

    def _send(self, pending: Pending) -> None:
        if not self._sent:
            used_s = self._child.cpu_s() if self._child else 0.0
            self._progress = Progress(time.monotonic(), used_s, used_s)
        pending.attempts += 1
        self._sent[pending.request.id] = pending
        if self._child is None:
            self._child = Child(self._argv, self._threads)
        self._child.requests.put((pending.request, pending.samples))

    def _stuck(self, child: Child) -> str | None:
        """The reason to restart the process, if there is one.

        Judged by CPU time and not by the clock alone: next to a busy engine the process gets little time by design.
        """
        last, now, used_s = self._progress, time.monotonic(), child.cpu_s()
        if used_s > last.cpu_s + 0.01:
            self._progress = last = Progress(now, used_s, last.cpu_s_at_reply)
        audio_s = sum(pending.request.frames / pending.request.sample_rate for pending in self._sent.values())
        if used_s - last.cpu_s_at_reply > LOOPING_CPU_S + LOOPING_CPU_S_PER_S * audio_s:
            return f"it is looping: {used_s - last.cpu_s_at_reply:.0f} CPU seconds without a reply"
        return "it stalled" if now - last.at > STALLED_S else None

    def _restart(self, reason: str) -> None:
        """End the process. Its takes are sent again to the next one, or fail after their last attempt."""
        log.error("restarting the listening process with %d pending takes: %s", len(self._sent), reason)
        if self._child:
            self._child.end()
            self._child = None
        sent, self._sent = [pending for pending in self._sent.values() if not pending.forgotten], {}
        error = f"the listening process failed twice on this take: {reason}"
        self._failed += [Verdict(one.request.id, (), error) for one in sent if one.attempts >= ATTEMPTS]
        self._unsent = [one for one in sent if one.attempts < ATTEMPTS] + self._unsent


class Child:
    """The operating system's process, with a thread for each pipe: the worker never blocks on a full or empty pipe."""

    def __init__(self, argv: Sequence[str], threads: int) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-I", "-S", str(DIE_WITH_PARENT), str(os.getpid()), *argv],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, "VVBATCH_LISTENER_THREADS": str(threads)},
            # Ctrl-C is for the worker. Not a separate session: Linux's autogroup would ignore its niceness there.
            process_group=0,
        )
        self._usage = psutil.Process(self.process.pid)
        self.requests: queue.SimpleQueue[tuple[CheckRequest, NDArray[np.float32]] | None] = queue.SimpleQueue()
        self.replies: queue.SimpleQueue[Reply | None] = queue.SimpleQueue()
        assert self.process.stdin and self.process.stdout
        for target, pipe in ((self._write, self.process.stdin), (self._read, self.process.stdout)):
            threading.Thread(target=target, args=(pipe,), name="listening", daemon=True).start()

    def cpu_s(self) -> float:
        """CPU seconds used so far; 0 when the process has ended."""
        try:
            times = self._usage.cpu_times()
        except psutil.Error:
            return 0.0
        return float(times.user + times.system)

    def end(self) -> None:
        self.requests.put(None)
        self.process.kill()
        self.process.wait()

    def _write(self, pipe: IO[bytes]) -> None:
        with contextlib.suppress(OSError, ValueError), pipe:  # the reading thread reports that the process has ended
            while (pending := self.requests.get()) is not None:
                write(pipe, *pending)

    def _read(self, pipe: IO[bytes]) -> None:
        with contextlib.suppress(OSError, ValueError, msgspec.DecodeError), pipe:
            while (reply := read_reply(pipe)) is not None:
                self.replies.put(reply)
        self.replies.put(None)
