"""Runs a command of the user's when a batch ends or makes no progress, with a summary as JSON on its standard input."""

from __future__ import annotations

import logging
import shlex
import shutil
import subprocess
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

import msgspec
from sqlalchemy.exc import DBAPIError

from vvbatch.errors import InputError
from vvbatch.ledger import Ledger
from vvbatch.ledger.ahead import ahead_of
from vvbatch.ledger.news import News, news_since, record_notification
from vvbatch.ledger.queries import batch_row_of, batch_totals, failures
from vvbatch.ledger.records import earlier
from vvbatch.report.failed import failed_words
from vvbatch.report.reasons import waiting_words
from vvbatch.report.tables import counted

if TYPE_CHECKING:
    from vvbatch.transport.served import Serving

LOOK_S = 5.0
STALLED_S = 900.0
COMMAND_S = 60.0
FAILURES_SHOWN = 10

log = logging.getLogger("vvbatch.processes.notify")


class BadCommand(InputError, ValueError):
    """A command that cannot be run; the message names it."""


class Summary(msgspec.Struct):
    """What the command reads. `event` is `ended` or `stalled`; `text` says all of it in a sentence."""

    event: str
    text: str
    batch: str
    title: str
    script: str
    state: str
    counts: Mapping[str, int]
    began_at: str | None
    ended_at: str | None
    audio_s: float
    speed: float | None
    failed: Sequence[str]
    waiting: Sequence[str]
    out: str


def command_of(given: str | Sequence[str]) -> list[str]:
    """The words of a command; a string is divided as a shell would, and no shell runs. Raises BadCommand."""
    try:
        words = shlex.split(given) if isinstance(given, str) else list(given)
    except ValueError as error:
        raise BadCommand(f"notify {given!r}: {error}") from error
    if not words:
        raise BadCommand("notify: the command is empty; give a program and its arguments")
    if shutil.which(words[0]) is None:
        raise BadCommand(f"notify: the program {words[0]!r} is not found; give its path, or install it")
    return words


class Notifier:
    """Call `look` often; it reads the ledger every LOOK_S, and runs the command in a thread."""

    def __init__(
        self,
        ledger: Ledger,
        command: Sequence[str],
        served: Callable[[str], Serving],
        among: Sequence[str] | None = None,
        stalled_s: float = STALLED_S,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.ledger, self.command, self.served, self.among = ledger, command, served, among
        self.stalled_s, self.clock = stalled_s, clock
        self.begun = ledger.now() if among is None else ""
        self.next_look = 0.0
        self.running: list[threading.Thread] = []

    def look(self, *, now: bool = False) -> None:
        if self.clock() < self.next_look and not now:
            return
        self.next_look = self.clock() + LOOK_S
        try:
            stalled_before = earlier(self.ledger.now(), self.stalled_s)
            for news in news_since(self.ledger, self.begun, stalled_before, self.among):
                if record_notification(self.ledger, news):
                    self.send(summary(self.ledger, news, self.served))
        except DBAPIError as error:
            log.warning("the ledger cannot be read now: %s", error.orig)

    def send(self, summary: Summary) -> None:
        thread = threading.Thread(target=run, args=(self.command, msgspec.json.encode(summary)), daemon=True)
        thread.start()
        self.running.append(thread)

    def close(self) -> None:
        """A last look; returns when the commands have ended, each within COMMAND_S."""
        self.look(now=True)
        for thread in self.running:
            thread.join()


def run(command: Sequence[str], document: bytes) -> None:
    """What goes wrong is logged: a notification must not end the rendering."""
    try:
        done = subprocess.run(command, input=document, capture_output=True, timeout=COMMAND_S, check=False)
    except (OSError, subprocess.SubprocessError) as error:
        log.warning("notify: %s cannot be run: %s", command[0], error)
        return
    if done.returncode:
        said = done.stderr.decode(errors="replace").strip().splitlines()
        log.warning("notify: %s ended with exit code %d: %s", command[0], done.returncode, said[-1] if said else "")


def summary(ledger: Ledger, news: News, served: Callable[[str], Serving]) -> Summary:
    row, totals = batch_row_of(ledger, news.batch), batch_totals(ledger, news.batch)
    waiting = waiting_words(ahead_of(ledger, [news.batch])[news.batch], served) if news.event == "stalled" else []
    failed = [failed_words(each) for each in failures(ledger, news.batch, FAILURES_SHOWN)]
    return Summary(
        event=news.event,
        text=sentence(news.event, row.title, row.state, row.counts, waiting),
        batch=row.batch,
        title=row.title,
        script=row.script,
        state=row.state,
        counts=row.counts,
        began_at=totals.began_at,
        ended_at=row.ended_at,
        audio_s=totals.audio_s,
        speed=totals.speed,
        failed=failed,
        waiting=waiting,
        out=f"{row.out}/{row.batch}",
    )


def sentence(event: str, title: str, state: str, counts: Mapping[str, int], waiting: Sequence[str]) -> str:
    """`The Lighthouse is done: 9 lines`, `The Lighthouse makes no progress: 4 of 9 lines left; no worker for 1.5b`."""
    total = counted(counts["total"], "line")
    if event == "stalled":
        left = counts["queued"] + counts["rendering"]
        return "; ".join([f"{title} makes no progress: {left:,} of {total} left", *waiting])
    failed = f", {counts['failed']:,} failed" if counts["failed"] else ""
    return f"{title} {'is done' if state == 'done' else f'has ended: {state}'}: {total}{failed}"
