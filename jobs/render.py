"""The job: one line, from its claim in the ledger to a checked file, or to the reason why there is none.

`render_line` is a generator, so that a worker can have many lines in hand: it yields what the engine shall render and
gets the audio back, then what shall be heard and gets the checks back. Every way in which a take can end is one arm of
its one try statement.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from jobs.candidates import Candidates, Closing
from jobs.paces import Paces
from vvbatch import fault_points, profiles, store
from vvbatch.batch import plan
from vvbatch.batch.finish import end_if_complete
from vvbatch.batch.held_takes import LedgerAway, Note, Pending
from vvbatch.engine.contract import EngineFacts, Request, RequestRefused
from vvbatch.ledger import Claim, Ledger, Outcome
from vvbatch.ledger.escalation import escalate
from vvbatch.ledger.pauses import pause_queue
from vvbatch.ledger.records import FirstTake
from vvbatch.profiles import Profile, QcLimits
from vvbatch.take import EngineFailed, Judged, audio_room, judge, no_audio
from vvbatch.voices import VoiceError, require_unchanged

ANOTHER_WORKER = "the line was given to another worker"
AGAIN = ("engine", "timeout", "listen")
"""Troubles that may be the machine's: the line is tried again, as often as `retries` says."""


class Ended(NamedTuple):
    """How a job ended: a line state, or `lost`, `not wanted`, `held` (rendered, and the ledger does not take it now).

    `trouble` is the class of what went wrong: engine, timeout, listen, resource, qc, input.
    """

    how: str
    trouble: str | None = None


@dataclass(frozen=True)
class Hearing:
    """A take that has passed what can be measured without models, to be heard by them."""

    take_id: str
    samples: NDArray[np.float32]
    text: str
    voice: Path | None  # the prompt of the one voice that speaks
    limits: QcLimits


Rendering = Generator[Request | Hearing, Any, Ended]
"""Gets an Audio for a Request, a list of checks for a Hearing."""


class Cancelled(Exception):
    """Thrown in by the worker: somebody cancelled the line."""


class PutBack(Exception):
    """Thrown in by the worker: it stops before the line is ready."""


class Lost(Exception):
    """Thrown in by the worker: the line is somebody else's by now."""


class TimedOut(Exception):
    """Thrown in by the worker: the take has had more time than the profile allows."""


class NotHeard(Exception):
    """Thrown in by the worker: nobody could listen to the take."""


@dataclass(frozen=True)
class Context:
    """What a worker lends to its jobs."""

    ledger: Ledger
    worker: str
    model: str  # the profile whose engine it has
    facts: EngineFacts
    pending: Pending
    paces: Paces = field(default_factory=Paces)


def render_line(line_id: str, context: Context) -> Rendering:
    """Render a line. Raises the database's error when the ledger does not answer before the line is rendered."""
    # Of another model it is a forged job, or one in the wrong queue: its own model's queue has it as well.
    first = FirstTake(context.facts, seed_of_next)
    claim = context.ledger.claim(line_id, context.worker, first, model=context.model)
    if claim is None:
        return Ended("not wanted")
    fault_points.point("render.claimed")
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


def seed_of_next(claim: Claim, taken: int = 0) -> int:
    """The seed of the claim's next take: the first that has not been used up."""
    return plan.seed_of_take(claim.request["seed"], claim.rolls + taken)


def render_takes(claim: Claim, path: Path, context: Context) -> Rendering:
    """Take after take until as many as wanted are good, or as many more as the profile allows have been tried."""
    ledger, profile = context.ledger, profiles.load(claim.model)
    takes = Candidates(claim.takes, profile.retries.qc, claim.request.get("keep_takes", False))
    begun: Claim | None = claim
    if not claim.take:  # the file that was to serve it is gone
        begun = ledger.open_take(claim, seed_of_next(claim), context.facts)
    while True:
        if begun is None:
            ledger.close_takes(takes.given_up("superseded", ANOTHER_WORKER))
            return Ended("lost")
        claim, wav, speech_s = begun, b"", None
        try:
            request = plan.request_of(claim.request, claim.take, claim.seed)
            require_unchanged(request.voices)
            judged = judge((yield request), claim.text, profile.qc)
            speech_s = judged.speech_s
            if judged.ok:
                judged = judged.also(context.paces.check(claim, speech_s, profile.qc.pace_deviations))
            if judged.ok and profile.listen:
                judged = judged.also((yield hearing(claim, request, judged, profile)))
        except Cancelled:
            ledger.close_takes(takes.given_up("cancelled", "cancelled", claim))
            return Ended("cancelled")
        except PutBack:
            put_back = ledger.put_back(claim, takes.given_up("cancelled", "the worker stopped", claim))
            return Ended("queued" if put_back else "lost")
        except Lost:
            ledger.close_takes(takes.given_up("superseded", ANOTHER_WORKER, claim))
            return Ended("lost")
        except (RequestRefused, VoiceError) as refusal:
            trouble, outcome = "input", Outcome("failed", error=str(refusal))
        except TimedOut as late:
            trouble, outcome = "timeout", Outcome("failed", error=str(late))
        except NotHeard as silence:
            trouble, outcome = "listen", Outcome("failed", error=str(silence))
        except EngineFailed as failure:
            trouble, outcome = "engine", failure.outcome
        except Exception as error:  # one line's trouble must not end the worker that renders fifteen others
            trouble, outcome = "engine", Outcome("failed", error=f"{type(error).__name__}: {error}")
        else:
            trouble = "" if judged.ok else "engine" if no_audio(judged) else "qc"
            outcome, wav = takes.encoded(judged)
        takes.add(claim, outcome, wav, speech_s)
        # Another seed may help against a bad take, and against a bad device only when it has given a good one.
        goes_on = trouble in ("", "qc") or (trouble == "engine" and takes.good)
        if takes.complete or not goes_on:
            break
        begun = ledger.open_take(claim, seed_of_next(claim, len(takes.takes)), context.facts, takes.to_close())
    if takes.good:
        return keep_best(claim, path, context, takes)
    return all_failed(claim, context, takes, trouble, getattr(profile.retries, trouble) if trouble in AGAIN else 0)


def hearing(claim: Claim, request: Request, judged: Judged, profile: Profile) -> Hearing:
    voice = request.voices[0].path if len(request.voices) == 1 else None
    return Hearing(claim.take, judged.samples, claim.text, voice, profile.qc)


def keep_best(claim: Claim, path: Path, context: Context, takes: Candidates) -> Ended:
    """Write the take with the best score; the others are recorded as superseded.

    When the ledger does not take it now, the take is held, with its file under its temporary name.
    """
    ledger, pending, best = context.ledger, context.pending, takes.best
    tried = [*claim.tried, *takes.tried(but=best)]
    with takes.others(claim, but=best) as closing:
        try:
            with store.stage(path, best.wav, best.id) as staged:
                outcome = replace(best.written(path, staged.sha256, staged.size), chosen=takes.chosen())
                note = Note.of(claim, best.id, outcome, tried)
                with pending.noted(note, staged):
                    kept = ledger.keep_take(claim, best.id, outcome, staged.publish, closing=closing, tried=tried)
        except LedgerAway:
            closing.clear()
            return Ended("held")
        except (OSError, store.StoreError) as error:
            failed = [*closing, (best.id, Outcome("failed", error=f"{path}: {error}"))]
            return without_room(claim, context, error, failed)
        if not kept:
            closing.clear()
    context.paces.add(claim, best.speech_s)
    return Ended("done" if kept else "lost")


def all_failed(claim: Claim, context: Context, takes: Candidates, trouble: str, limit: int) -> Ended:
    """No take is good: the line waits for another try or another model, or has failed after `limit` tries."""
    ledger, told, tried = context.ledger, takes.told(), [*claim.tried, *takes.tried()]
    with takes.others(claim) as closing:
        if trouble == "qc" and claim.escalate:
            told = f"{told}; it goes from {claim.model} to {claim.escalate['model']}"
            how = "queued" if escalate(ledger, claim, told, closing, tried) else "lost"
        else:
            used_up = len(takes.takes) if trouble in ("qc", "engine") else 0
            earlier = {each["model"]: None for each in claim.tried if each["model"] != claim.model}
            told = "; ".join([told, *(f"takes of {model} failed before" for model in earlier)])
            about = {"rolls": claim.rolls + used_up, "tried": tried}
            how = ledger.note_trouble(claim, trouble, told, limit, closing, **about)
        if how == "lost":
            closing.clear()
    return Ended(how, trouble)


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


def without_room(claim: Claim, context: Context, error: Exception, closing: Closing | None = None) -> Ended:
    """The line's folder did not take its file: it waits. When a disk is full, so does the model's queue.

    Without `closing`, its first take was begun and not rendered: it has never been.
    """
    retries, told = profiles.load(claim.model).retries, f"{claim.out}: {error}"
    if isinstance(error, store.NoRoom) or (isinstance(error, OSError) and error.errno in store.NO_ROOM):
        need = audio_room(claim.text) * claim.takes
        pause_queue(context.ledger, claim.model, f"no room: {told}", probe=claim.out, need_bytes=need)
    not_begun = claim.take if closing is None else None
    how = context.ledger.note_trouble(claim, "resource", told, retries.resource, closing or (), drop_take=not_begun)
    return Ended(how, "resource")
