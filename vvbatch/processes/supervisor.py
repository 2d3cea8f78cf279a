"""Keeps worker processes running: restarts those that end, forwards signals, and ends only what it started.

Existing process managers do not fit: honcho ends everything when one process ends; circus and supervisor bring a
daemon, an ini file and a control socket of their own. What is needed here is a restart after a pause.
"""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import IO

from vvbatch.home import Home, HomeError
from vvbatch.processes.stop_signals import on_stop_signal
from vvbatch.transport.server import EmbeddedServer, ServerUnreachable, open_log, try_lock

CANNOT_START = 3  # a worker's exit code when its engine, model or server is missing
UNFIT = 4  # a worker's exit code when its engine failed line after line
FIRST_PAUSE_S, LONGEST_PAUSE_S, SLOW_PAUSE_S, SERVER_PAUSE_S = 0.5, 30.0, 30.0, 5.0
FAILURES_IN_A_ROW = 5
UNFIT_PAUSE_S = 600.0
GOOD_RUN_S = 60.0  # a run of this length resets the pauses
GRACE_S = 600.0  # to finish the lines in flight
PUT_BACK_S = 10.0
DIE_WITH_PARENT = Path(__file__).with_name("die_with_parent.py")
SUPERVISOR_VARIABLE = "VVBATCH_SUPERVISOR"
READY_VARIABLE = "VVBATCH_READY"  # the number of the file descriptor that `note_loaded` writes to

log = logging.getLogger("vvbatch.processes.supervisor")


@dataclass(frozen=True)
class Program:
    """A program that calls `note_loaded` once it is ready has `why_killed`.

    From the number of a signal and how often it ended the program before it was ready, that gives the reason in words.
    """

    name: str
    argv: Sequence[str]
    why_killed: Callable[[int, int], str] | None = None


@dataclass
class Child:
    program: Program
    process: subprocess.Popen[bytes] | None = None
    started: float = 0.0
    since: str | None = None  # UTC, as `status` shows it
    restarts: int = -1
    failures: int = 0  # exits with an error code since the last good run
    killed_loading: int = 0  # deaths by a signal before it was ready, since it last was
    served: bool = False  # it was ready at least once
    ready: int | None = None  # the end of a pipe from which the program's note can be read
    last_exit: int | None = None
    pause_s: float = 0.0
    due: float = 0.0
    output: IO[bytes] | None = field(default=None, repr=False)


@dataclass(frozen=True, kw_only=True)
class ProgramState:
    name: str
    pid: int | None
    restarts: int
    last_exit: int | None
    since: str | None


@dataclass(frozen=True, kw_only=True)
class SupervisorState:
    """`supervisor.json`, and `supervisor` in `status --json`."""

    pid: int
    programs: list[ProgramState]


class Supervisor:
    """A context manager: programs run within the block. Call `poll` often; it never waits."""

    def __init__(
        self,
        home: Home,
        programs: Sequence[Program],
        *,
        server: EmbeddedServer | None = None,
        fail_fast: bool = False,
        to_terminal: bool = False,
    ) -> None:
        self.home = home
        self.children = [Child(program) for program in programs]
        self.server = server
        self.fail_fast = fail_fast
        self.to_terminal = to_terminal
        self.unavailable: str | None = None  # why a program cannot start; set with fail_fast only
        self.signals = 0
        self.server_due = 0.0
        self.lock: int | None = None  # held by the home's one foreground supervisor

    def __enter__(self) -> Supervisor:
        try:
            self.poll()
        except BaseException:
            self.kill()  # those that were started before the one that failed
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.stop(0.0)

    def add(self, program: Program) -> None:
        """Start this program too, at the next `poll`."""
        self.children.append(Child(program))

    def poll(self) -> None:
        """Check which programs have ended, and start those that are due; the server first."""
        self.keep_server_running()
        now = time.monotonic()
        changed = False
        for child in self.children:
            if child.process is not None and child.process.poll() is not None:
                self.note_end(child, now)
                changed = True
            if child.process is None and now >= child.due and self.unavailable is None:
                self.launch(child, now)
                changed = True
        if changed:
            self.write_state()

    def keep_server_running(self) -> None:
        """Restart the server if it has ended; retry later when that fails (a full disk, …): the workers wait for it."""
        now = time.monotonic()
        if self.server is None or now < self.server_due:
            return
        try:
            if self.server.ensure():
                log.warning("the queue's server had ended: restarted")
        except ServerUnreachable as error:
            self.server_due = now + SERVER_PAUSE_S
            log.warning("%s; trying again in %g s", error, SERVER_PAUSE_S)

    def launch(self, child: Child, now: float) -> None:
        if not self.to_terminal:
            child.output = open_log(self.home.logs / f"worker-{child.program.name}.log")
        child.ready, writing = os.pipe()
        os.set_blocking(child.ready, False)
        try:
            child.process = subprocess.Popen(
                [sys.executable, "-I", "-S", str(DIE_WITH_PARENT), str(os.getpid()), *child.program.argv],
                stdin=subprocess.DEVNULL,
                stdout=child.output,
                stderr=subprocess.STDOUT if child.output else None,
                env={**os.environ, SUPERVISOR_VARIABLE: str(os.getpid()), READY_VARIABLE: str(writing)},
                pass_fds=[writing],
                start_new_session=True,  # Ctrl-C in the terminal reaches the supervisor only, which forwards signals
            )
        finally:
            os.close(writing)
        child.started = now
        child.since = datetime.now(UTC).isoformat(timespec="seconds")
        child.restarts += 1

    def note_end(self, child: Child, now: float) -> None:
        assert child.process is not None
        code = child.last_exit = child.process.returncode
        kill_group(child.process)  # processes that it started and left behind
        child.process = None
        loaded = child.program.why_killed is None or was_noted(child)
        close_files(child)
        if self.signals:
            child.due = float("inf")
            return
        if loaded:
            child.killed_loading = 0
        if loaded and now - child.started > GOOD_RUN_S:
            child.pause_s, child.failures = 0.0, 0
        # Once it is ready a signal is not counted: a line that kills its worker is quarantined, the worker restarted.
        child.failures += code > 0
        child.killed_loading += code < 0 and not loaded
        if self.fail_fast and (code == CANNOT_START or child.failures >= FAILURES_IN_A_ROW):
            self.unavailable = self.reason_of_failure(child)
        given_up = child.killed_loading >= FAILURES_IN_A_ROW
        if given_up and child.program.why_killed:
            reason = child.program.why_killed(-code, child.killed_loading)
            if self.fail_fast:
                self.unavailable = reason
            else:
                log.error("%s", reason)
        child.served |= loaded
        if code == CANNOT_START:
            child.pause_s = min(max(2 * child.pause_s, SLOW_PAUSE_S), UNFIT_PAUSE_S)
        elif given_up:
            child.pause_s = SLOW_PAUSE_S
        elif code == UNFIT:
            child.pause_s = min(max(2 * child.pause_s, SLOW_PAUSE_S), UNFIT_PAUSE_S)
        else:
            child.pause_s = min(max(2 * child.pause_s, FIRST_PAUSE_S), LONGEST_PAUSE_S)
        child.due = now + child.pause_s
        if self.unavailable is None:
            log.warning("%s ended (exit code %s); restarting it in %g s", child.program.name, code, child.pause_s)

    def reason_of_failure(self, child: Child) -> str:
        file = self.home.logs / f"worker-{child.program.name}.log"
        lines = file.read_text(errors="replace").strip().splitlines() if file.exists() else []
        last = lines[-1] if lines else "no output"
        reason = last.partition("cannot start: ")[2]
        return reason or f"the worker {child.program.name} fails each time it starts ({last}): see {file}"

    def signal(self, number: int) -> None:
        """Forward a signal: on the first, workers finish the lines in flight; on the second, they put them back."""
        self.signals += 1
        for child in self.children:
            child.due = float("inf")
            if child.process is not None and child.process.poll() is None:
                with contextlib.suppress(ProcessLookupError):
                    child.process.send_signal(number)

    def running(self) -> bool:
        return any(child.process is not None and child.process.poll() is None for child in self.children)

    def stop(self, grace_s: float) -> None:
        """Let every program finish within `grace_s`, then make it put its lines back, then kill it."""
        if not self.running():
            return
        self.signal(signal.SIGTERM)
        try:
            if not self.wait(grace_s):
                time.sleep(1.1)  # a worker counts two signals within a second as one
                self.signal(signal.SIGTERM)
                self.wait(PUT_BACK_S)
        except KeyboardInterrupt:
            self.signal(signal.SIGTERM)
            self.wait(PUT_BACK_S)
        finally:
            self.kill()

    def wait(self, seconds: float) -> bool:
        until = time.monotonic() + seconds
        while self.running() and time.monotonic() < until:
            time.sleep(0.05)
        return not self.running()

    def kill(self) -> None:
        for child in self.children:
            if child.process is not None:
                kill_group(child.process)
                child.last_exit = child.process.wait()
                child.process = None
            close_files(child)
        self.write_state()

    def run(self, also: Callable[[], None] = lambda: None) -> int:
        """Supervise in the foreground until a signal; returns 0, or 3 as soon as no worker can start.

        On the first SIGTERM, SIGINT or SIGHUP the workers finish the lines in flight; on the next they put them back.
        `also` is called about ten times a second. A second supervisor of the home is a HomeError.
        """
        self.lock = try_lock(
            self.home.folder("") / "supervisor.lock", within_s=1.0
        )  # `status` may hold it for a moment
        if self.lock is None:
            raise HomeError(f"vvbatch up already runs for {self.home.path}: stop it, or set another VVBATCH_HOME")
        self.write_state()
        wanted = 0

        def count() -> None:
            # Forwarded by the loop: the handler could miss a child that is just being started.
            nonlocal wanted
            wanted += 1

        until = float("inf")
        try:
            with on_stop_signal(count):
                while not self.signals or (self.running() and time.monotonic() < until):
                    self.poll()
                    also()
                    if self.none_can_start():
                        log.error("no worker can start: vvbatch up ends")
                        return CANNOT_START
                    if self.signals < wanted:
                        self.signal(signal.SIGTERM)
                        until = time.monotonic() + (GRACE_S if self.signals == 1 else PUT_BACK_S)
                    time.sleep(0.1)
            return 0
        finally:
            self.kill()
            (self.home.path / "supervisor.json").unlink(missing_ok=True)
            os.close(self.lock)

    def none_can_start(self) -> bool:
        """Whether every worker has said that it cannot start, and none of them was ever ready."""
        workers = [child for child in self.children if child.program.why_killed]
        return bool(workers) and all(
            child.process is None and child.last_exit == CANNOT_START and not child.served for child in workers
        )

    def write_state(self) -> None:
        """Write `supervisor.json` into the home folder, for `status`; the foreground supervisor only."""
        import msgspec  # here: workers and `--help` need not wait for it

        if self.lock is None:
            return
        programs = [
            ProgramState(
                name=child.program.name,
                pid=child.process.pid if child.process else None,
                restarts=max(child.restarts, 0),
                last_exit=child.last_exit,
                since=child.since,
            )
            for child in self.children
        ]
        file = self.home.path / "supervisor.json"
        temporary = file.with_suffix(f".{os.getpid()}")
        temporary.write_bytes(msgspec.json.encode(SupervisorState(pid=os.getpid(), programs=programs)))
        temporary.replace(file)


def was_noted(child: Child) -> bool:
    """Whether the program that has ended called `note_loaded`."""
    assert child.ready is not None
    try:
        return os.read(child.ready, 1) != b""
    except BlockingIOError:  # a process that it left behind still holds the pipe
        return False


def close_files(child: Child) -> None:
    if child.output:
        child.output.close()
        child.output = None
    if child.ready is not None:
        os.close(child.ready)
        child.ready = None


def note_loaded() -> None:
    """In a supervised program: it has loaded what it needs, and is ready."""
    if os.environ.get(SUPERVISOR_VARIABLE) == str(os.getppid()):  # else started by hand, with an inherited variable
        writing = int(os.environ[READY_VARIABLE])
        with contextlib.suppress(OSError):  # the supervisor has ended
            os.write(writing, b"1")
        os.close(writing)


def kill_group(process: subprocess.Popen[bytes]) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):  # macOS gives EPERM for a group of zombies
        os.killpg(process.pid, signal.SIGKILL)


def supervisor_state(home: Home) -> SupervisorState | None:
    """The state of the running supervisor; None when none runs, even if a killed one left its file."""
    import msgspec

    lock = try_lock(home.folder("") / "supervisor.lock")
    if lock is not None:
        os.close(lock)
        return None
    try:
        return msgspec.json.decode((home.path / "supervisor.json").read_bytes(), type=SupervisorState)
    except (OSError, msgspec.DecodeError):
        return None


def supervisor_is_gone() -> bool:
    """In a worker: whether the supervisor that started it has died, so that no process would ever end it."""
    started_by = os.environ.get(SUPERVISOR_VARIABLE)
    return started_by is not None and os.getppid() != int(started_by)
