"""What a queue may ask for. Whoever can write to Redis can name any function: everything else is refused."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from rq.exceptions import DeserializationError
from rq.job import Job

from jobs.render import Context, Rendering, render_line
from vvbatch.queue import RENDER_LINE

ALLOWED: Mapping[str, Callable[[str, Context], Rendering]] = {RENDER_LINE: render_line}


class NotAllowed(Exception):
    """A job names something else than what this worker is for."""


def line_of(job: Job) -> str:
    """The line that a job asks for. Raises NotAllowed."""
    try:
        name, args, kwargs = job.func_name, job.args, job.kwargs
    except DeserializationError as error:
        raise NotAllowed(f"job {job.id} cannot be read: {error}") from error
    if name is None or name not in ALLOWED or len(args) != 1 or kwargs or not isinstance(args[0], str):
        raise NotAllowed(f"job {job.id} asks for {name}{tuple(args)!r}: only {RENDER_LINE}(line_id) is allowed")
    return args[0]
