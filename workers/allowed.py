"""The only jobs that a worker runs. Whoever can write to Redis can name any function: all others are refused."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from rq.exceptions import NoSuchJobError
from rq.job import Job

from jobs.render import Context, Rendering, render_line
from vvbatch.transport.queue import RENDER_LINE

ALLOWED: Mapping[str, Callable[[str, Context], Rendering]] = {RENDER_LINE: render_line}


class NotAllowed(Exception):
    """A job names another function than the allowed one, or other arguments."""


class LineJob(Job):
    """A job without the callbacks, webhooks, retries and repeats that its record names.

    rq would import and call the callbacks, and post to the webhooks.
    """

    def restore(self, raw_data: Any) -> Any:
        try:
            restored = super().restore(raw_data)
            _ = str(self.func_name), len(self.args), len(self.kwargs)  # rq reads them from the record on first use
        except NoSuchJobError:
            raise
        except Exception as error:  # a forged record: rq skips a job that does not exist
            raise NoSuchJobError(f"the record of job {self.id} cannot be read: {error}") from error
        self._success_callback_name = self._failure_callback_name = self._stopped_callback_name = None
        self.webhooks = []
        self.retries_left = self.repeats_left = None
        return restored


def line_of(job: Job) -> str:
    """The id of the line that a job is for. Raises NotAllowed."""
    name, args, kwargs = job.func_name, job.args, job.kwargs
    if name is None or name not in ALLOWED or len(args) != 1 or kwargs or not isinstance(args[0], str):
        raise NotAllowed(f"job {job.id} calls {name}{tuple(args)!r}: only {RENDER_LINE}(line_id) is allowed")
    return args[0]
