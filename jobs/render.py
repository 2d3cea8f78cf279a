"""The job: one line, from its claim in the ledger to a checked file, or to the reason why there is none.

`render_line` is a generator, so that a worker can have many lines in hand: it yields what the engine shall render and
gets the audio back. Every way in which a take can end is one arm of its one try statement.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from vvbatch import faults, plan, profiles, store
from vvbatch.batches import end_if_complete
from vvbatch.engine import EngineFacts, Request, RequestRefused
from vvbatch.ledger import Claim, Ledger, Outcome
from vvbatch.ledger.pauses import pause_queue
from vvbatch.pending import LedgerAway, Note, Pending
from vvbatch.take import Audio, EngineFailed, Take, audio_room, judge, no_audio
from vvbatch.voices import VoiceError, still_there


class Ended(NamedTuple):
    """How a job ended: a line state, or `lost`, `not wanted`, `held` (rendered, and the ledger does not take it now).

    `trouble` is the class of what went wrong: engine, timeout, resource, qc, input.
    """

    how: str
    trouble: str | None = None


Rendering = Generator[Request, Audio, Ended]


class Cancelled(Exception):
    """Thrown in by the worker: somebody cancelled the line."""


class PutBack(Exception):
    """Thrown in by the worker: it stops before the line is ready."""


class Lost(Exception):
    """Thrown in by the worker: the line is somebody else's by now."""


class TimedOut(Exception):
    """Thrown in by the worker: the take has had more time than the profile allows."""


@dataclass(frozen=True)
class Context:
    """What a worker lends to its jobs."""

    ledger: Ledger
    worker: str
    facts: EngineFacts
    pending: Pending


def render_line(line_id: str, context: Context) -> Rendering:
    """Render a line. Raises the database's error when the ledger does not answer before the line is rendered."""
    claim = context.ledger.claim(line_id, context.worker)
    if claim is None:
        return Ended("not wanted")
    faults.point("render.claimed")
    try:
        path = store.line_path(Path(claim.out), claim.batch_id, claim.chapter, claim.number, claim.line)
        if serve_from_cache(claim, path, context):
            end_if_complete(context.ledger, claim.batch_id)
            return Ended("cached")
        store.check_writable(path.parent, audio_room(claim.text) * claim.takes)
    except (OSError, store.StoreError) as error:
        ended = without_room(claim, context, error)
    else:
        ended = yield from render_takes(claim, path, context)
    if ended.how != "held":
        end_if_complete(context.ledger, claim.batch_id)
    return ended


def render_takes(claim: Claim, path: Path, context: Context) -> Rendering:
    """Take after take until as many as wanted are good, or the profile's patience is over."""
    ledger, profile = context.ledger, profiles.load(claim.model)
    good: list[tuple[str, Take]] = []
    number, bad = claim.troubles.get("engine", 0), 0
    while len(good) < claim.takes:
        seed = plan.seed_of_take(claim.request["seed"], number)
        number += 1
        opened = ledger.open_take(claim, seed, context.facts)
        if opened is None:
            return Ended("lost")
        claim, take_id = opened
        try:
            request = plan.request_of(claim.request, take_id, seed)
            still_there(request.voices)
            take = judge((yield request), claim.text, profile.qc)
        except Cancelled:
            ledger.close_take(take_id, Outcome("cancelled", error="cancelled"))
            return Ended("cancelled")
        except PutBack:
            ledger.close_take(take_id, Outcome("cancelled", error="the worker stopped"))
            return Ended("queued" if ledger.put_back(claim) else "lost")
        except Lost:
            ledger.close_take(take_id, Outcome("superseded", error="the line was given to another worker"))
            return Ended("lost")
        except (RequestRefused, VoiceError) as refusal:
            return in_trouble(claim, context, "input", Outcome("failed", error=str(refusal)), take_id, limit=0)
        except TimedOut as late:
            limit = profile.retries.timeout
            return in_trouble(claim, context, "timeout", Outcome("failed", error=str(late)), take_id, limit)
        except EngineFailed as failure:
            outcome, trouble = failure.outcome, "engine"
        except Exception as error:  # one line's trouble must not end the worker that renders fifteen others
            outcome, trouble = Outcome("failed", error=f"{type(error).__name__}: {error}"), "engine"
        else:
            if take.outcome.state == "done":
                good.append((take_id, take))
                continue
            outcome, trouble = take.outcome, "engine" if no_audio(take.outcome) else "qc"
        if trouble == "engine" and not good:
            return in_trouble(claim, context, "engine", outcome, take_id, profile.retries.engine)
        if bad == profile.retries.qc and not good:
            return in_trouble(claim, context, "qc", outcome, take_id, limit=0)
        ledger.close_take(take_id, outcome)
        bad += 1
        if bad > profile.retries.qc:
            break
    return keep_best(claim, path, context, good)


def keep_best(claim: Claim, path: Path, context: Context, good: list[tuple[str, Take]]) -> Ended:
    """Write the take with the best score; the others are recorded as superseded.

    When the ledger does not take it now, the take is held, with its file under its temporary name.
    """
    ledger, pending = context.ledger, context.pending
    ordered = sorted(good, key=lambda each: each[1].score, reverse=True)
    (take_id, take), others = ordered[0], ordered[1:]
    for other_id, other in others:
        ledger.close_take(other_id, other.superseded())
    try:
        with store.stage(path, take.wav, take_id) as staged:
            note = Note.of(claim, take_id, take.written(path, staged.sha256, staged.size))
            with pending.noted(note, staged):
                kept = ledger.keep_take(claim, take_id, note.outcome, staged.publish)
    except LedgerAway:
        return Ended("held")
    except (OSError, store.StoreError) as error:
        ledger.close_take(take_id, Outcome("failed", error=f"{path}: {error}"))
        return without_room(claim, context, error)
    return Ended("done" if kept else "lost")


def serve_from_cache(claim: Claim, path: Path, context: Context) -> bool:
    """Use an equal take's file if it still has its hash."""
    cached = claim.cached
    if cached is None:
        return False
    try:
        staged = store.stage_copy(Path(cached.path), path, cached.sha256)
    except (OSError, store.StoreError):
        return False
    with staged:
        return context.ledger.keep_cached(claim, cached, str(path), staged.publish)


def without_room(claim: Claim, context: Context, error: Exception) -> Ended:
    """The line's folder did not take its file: it waits. When a disk is full, so does the model's queue."""
    retries, told = profiles.load(claim.model).retries, f"{claim.out}: {error}"
    if isinstance(error, store.NoRoom) or (isinstance(error, OSError) and error.errno in store.NO_ROOM):
        need = audio_room(claim.text) * claim.takes
        pause_queue(context.ledger, claim.model, f"no room: {told}", probe=claim.out, need_bytes=need)
    return Ended(context.ledger.note_trouble(claim, "resource", told, retries.resource), "resource")


def in_trouble(claim: Claim, context: Context, trouble: str, outcome: Outcome, take_id: str, limit: int) -> Ended:
    """The take has ended badly: the line waits for another try, or has failed after `limit` of them."""
    context.ledger.close_take(take_id, outcome)
    error = outcome.error or outcome.state
    return Ended(context.ledger.note_trouble(claim, trouble, error, limit), trouble)
