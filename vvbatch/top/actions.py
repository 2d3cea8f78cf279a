"""What keys of `vvbatch top` change: pause, resume, cancel, retry; and a take opened in the system's player.

Each returns a sentence on what was done. They raise VvbatchError, DBAPIError and RedisError.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

from vvbatch.batch.finish import end_if_complete
from vvbatch.batch.submit import restore_where_it_runs
from vvbatch.errors import UnavailableError, VvbatchError
from vvbatch.home import Home
from vvbatch.ledger import Ledger
from vvbatch.ledger.batches import cancel_lines, retry_lines, set_batch_state
from vvbatch.ledger.queues import pause_queue, resume_queue
from vvbatch.ledger.states import BatchState
from vvbatch.report.tables import counted

OPEN = (BatchState.OPEN, BatchState.PAUSED)


class NoPlayer(UnavailableError):
    """This machine has no program that opens audio files."""


class Actions:
    def __init__(self, ledger: Ledger, home: Home) -> None:
        self.ledger, self.home = ledger, home

    def pause_batch(self, batch: str) -> str:
        if not set_batch_state(self.ledger, batch, BatchState.PAUSED, only_from=OPEN):
            raise VvbatchError(f"{batch} has ended: there is nothing to pause")
        return f"{batch} is paused; lines that are being rendered are finished"

    def resume_batch(self, batch: str) -> str:
        if not set_batch_state(self.ledger, batch, BatchState.OPEN, only_from=OPEN):
            raise VvbatchError(f"{batch} has ended: t queues its failed and cancelled lines again")
        return f"{batch} is resumed{self.queue_again(batch)}"

    def pause_queue(self, profile: str) -> str:
        pause_queue(self.ledger, profile, "paused by hand")
        return f"the queue of {profile} is paused; lines that are being rendered are finished"

    def resume_queue(self, profile: str) -> str:
        if not resume_queue(self.ledger, profile):
            return f"the queue of {profile} was not paused"
        return f"the queue of {profile} is resumed"

    def cancel(self, batch: str, line: str | None = None) -> str:
        cancelled = cancel_lines(self.ledger, batch, line)
        end_if_complete(self.ledger, batch)
        return f"{batch}: {counted(len(cancelled), 'line')} cancelled"

    def retry(self, batch: str, line: str | None = None) -> str:
        count = retry_lines(self.ledger, batch, line)
        if not count:
            which = f"line {line} of {batch} has not failed" if line else f"{batch} has no failed or cancelled line"
            raise VvbatchError(f"{which}: there is nothing to retry")
        return f"{batch}: {counted(count, 'line')} queued again{self.queue_again(batch)}"

    def queue_again(self, batch: str) -> str:
        """Put the batch's queued lines into the queue; without a server, workers do so when they start."""
        running = restore_where_it_runs(self.ledger, self.home, batch)
        return "" if running else "; rendered when the queue runs: vvbatch up"

    def play(self, path: str | None) -> str:
        if path is None:
            raise VvbatchError("there is no file yet: only a take that was kept has one")
        if "://" not in path and not Path(path).is_file():
            raise VvbatchError(f"{path} is not on this machine")
        argv = [*player(), path]
        try:
            subprocess.Popen(
                argv,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
            )
        except OSError as error:
            raise NoPlayer(f"{argv[0]} cannot be started: {error.strerror}; open {path} by hand") from error
        return f"opened {path}"


def player() -> list[str]:
    """The command that opens a file in the program its user has chosen for it. Raises NoPlayer."""
    name = "open" if sys.platform == "darwin" else "xdg-open"
    found = shutil.which(name, path=os.environ.get("PATH"))
    if found is None:
        raise NoPlayer(f"{name} is not installed: install xdg-utils, or open the file by hand")
    return [found]
