"""The job: one line, from its claim in the ledger to a checked file, or to the reason why there is none.

`render_line` is a generator, so that a worker can have many lines in flight. It yields a Request for the engine and is
sent what was rendered, then a ListenRequest for the listening models and is sent their checks. Every way in which a
take can end is one arm of the try statement in `render_takes`.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path
from typing import Literal, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from jobs.takes import Candidates, EndedTakes, EngineFailed, Judged, Paces, Rendered, Take, audio_room, judge
from vvbatch import fault_points, profiles, store
from vvbatch.batch import plan
from vvbatch.batch.finish import end_if_complete
from vvbatch.batch.held_takes import LedgerAway, Note, Pending
from vvbatch.batch.output import Store, line_name, open_store
from vvbatch.engine.contract import EngineFacts, Request, RequestRefused
from vvbatch.ledger import Claim, Ledger, Outcome
from vvbatch.ledger.queues import pause_queue
from vvbatch.ledger.records import FirstTake
from vvbatch.ledger.states import LineState, TakeState, Trouble
from vvbatch.profiles import Profile, QcLimits, Retries
from vvbatch.qc.check import Check
from vvbatch.voices import VoiceError, require_unchanged

ANOTHER_WORKER = "the line was given to another worker"


class Ended(NamedTuple):
    """How a job ended: the line's state, or `lost` (its claim), `not wanted` (there was nothing to claim), or `held`
    (rendered, while the ledger takes no writes).
    """

    how: LineState | Literal["lost", "not wanted", "held"]
    trouble: Trouble | None = None


@dataclass(frozen=True)
class ListenRequest:
    """A take that has passed every check without a model, to be evaluated by the listening models."""

    take_id: str
    samples: NDArray[np.float32]  # (frames,), 24 kHz
    text: str
    voice: Path | None  # the prompt, when a single voice speaks
    limits: QcLimits
    language: str | None = None  # of the text, as the script declares it
    written: str | None = None  # the text as the author wrote it, where it is spoken otherwise


Answer = Rendered | list[Check]
"""To a Request, to a ListenRequest."""

End = TypeVar("End")
Waiting = Generator[Request | ListenRequest, Answer, End]
Rendering = Waiting[Ended]


class Cancelled(Exception):
    """Thrown in by the worker: the line was cancelled."""


class PutBack(Exception):
    """Thrown in by the worker: it stops before the line is ready."""


class ClaimLost(Exception):
    """Thrown in by the worker: the line belongs to another worker now."""


class TimedOut(Exception):
    """Thrown in by the worker: the take took longer than the profile allows."""


class NoVerdict(Exception):
    """Thrown in by the worker: the listening models could not evaluate the take."""


@dataclass(frozen=True)
class Context:
    """What a worker provides to its jobs."""

    ledger: Ledger
    worker: str
    profile: str  # of its engine
    facts: EngineFacts
    pending: Pending
    paces: Paces = field(default_factory=Paces)


def render_line(line_id: str, context: Context) -> Rendering:
    """Render a line. Raises the database's error when the ledger does not answer before the line is rendered."""
    # A job for a line of another profile is forged or in the wrong queue. The right queue has the line too.
    first = FirstTake(context.facts, next_seed)
    claim = context.ledger.claim(line_id, context.worker, first, profile=context.profile)
    if claim is None:
        return Ended("not wanted")
    fault_points.point("render.claimed")
    try:
        output = open_store(claim.out)
        name = line_name(claim.batch_id, claim.chapter, claim.number, claim.line)
        if serve_from_cache(claim, name, output, context):
            end_if_complete(context.ledger, claim.batch_id)
            return Ended(LineState.CACHED)
        output.check_writable(name.rpartition("/")[0], audio_room(claim.text) * claim.takes)
    except (OSError, store.StoreError) as error:
        ended = without_room(claim, context, error, drop_take=claim.take)
    else:
        ended = yield from render_takes(claim, name, context)
    if ended.how != "held":
        end_if_complete(context.ledger, claim.batch_id)
    return ended


def next_seed(claim: Claim, taken: int = 0) -> int:
    """The seed of the claim's next take: the first that is not used up or rejected."""
    return next(islice(plan.seeds_from(claim.request.seed, claim.rolls, claim.rejected), taken, None))[1]


def rolls_after(claim: Claim, used: int) -> int:
    """The line's `rolls` when the claim has used up so many seeds."""
    if not used:
        return claim.rolls
    return next(islice(plan.seeds_from(claim.request.seed, claim.rolls, claim.rejected), used - 1, None))[0]


def render_takes(claim: Claim, name: str, context: Context) -> Rendering:
    """Render takes until as many as wanted are good, or as many more as the profile allows have been tried."""
    ledger, profile = context.ledger, profiles.load(claim.profile)
    streamed = claim.request.stream  # a second take would play after the first
    candidates = Candidates(claim.takes, 0 if streamed else profile.retries.qc, claim.request.keep_takes)
    newest: Claim | None = claim
    if not claim.take:  # an equal take was to serve the line, but its file is gone, or it has been rejected meanwhile
        claim = ledger.with_rejected(claim)
        newest = ledger.open_take(claim, next_seed(claim), context.facts)
    while newest is not None:
        claim = newest
        try:
            request = claim.request.for_take(claim.take, claim.seed)
            require_unchanged(request.voices)
            judged = judge((yield from rendered(request)), claim.text, profile.qc)
            if judged.ok:
                pace = context.paces.check(claim, judged.speech_s, profile.qc.pace_deviations)
                judged = judged.with_checks(pace)
            if judged.ok and profile.listen:
                judged = judged.with_checks((yield from listened(claim, request, judged, profile)))
        except Cancelled:
            ledger.close_takes(candidates.abandoned(TakeState.CANCELLED, "cancelled", claim))
            return Ended(LineState.CANCELLED)
        except PutBack:
            ended = candidates.abandoned(TakeState.CANCELLED, "the worker stopped", claim)
            put_back = ledger.put_back(claim, ended, rolls_after(claim, candidates.seeds_used))
            return Ended(LineState.QUEUED if put_back else "lost")
        except ClaimLost:
            ledger.close_takes(candidates.abandoned(TakeState.SUPERSEDED, ANOTHER_WORKER, claim))
            return Ended("lost")
        except (RequestRefused, VoiceError) as refusal:
            take = Take.failed(claim, Trouble.INPUT, str(refusal))
        except TimedOut as late:
            take = Take.failed(claim, Trouble.TIMEOUT, str(late))
        except NoVerdict as silence:
            take = Take.failed(claim, Trouble.LISTEN, str(silence))
        except EngineFailed as failure:
            take = Take.failed(claim, Trouble.ENGINE, str(failure), failure.wall_s)
        except Exception as error:  # the worker renders fifteen other lines: one must not end it
            take = Take.failed(claim, Trouble.ENGINE, f"{type(error).__name__}: {error}")
        else:
            take = Take.of(claim, judged, keep_bad=candidates.keep_audio)
        candidates.takes.append(take)
        # Another seed may help when a take is bad. When a device fails, only if it has just given a good take.
        try_another = take.trouble in (None, Trouble.QC) or (take.trouble == Trouble.ENGINE and candidates.good)
        if candidates.complete or not try_another:
            if candidates.good:
                return keep_best(claim, name, context, candidates)
            return all_failed(claim, context, candidates, profile.retries)
        seed = next_seed(claim, len(candidates.takes))
        newest = ledger.open_take(claim, seed, context.facts, candidates.to_close())
    ledger.close_takes(candidates.abandoned(TakeState.SUPERSEDED, ANOTHER_WORKER))
    return Ended("lost")


def rendered(request: Request) -> Waiting[Rendered]:
    answer = yield request
    assert isinstance(answer, Rendered)
    return answer


def listened(claim: Claim, request: Request, judged: Judged, profile: Profile) -> Waiting[list[Check]]:
    voice = request.voices[0].path if len(request.voices) == 1 else None
    language, written = claim.request.language, claim.written
    answer = yield ListenRequest(claim.take, judged.samples, claim.text, voice, profile.qc, language, written)
    assert isinstance(answer, list)
    return answer


def keep_best(claim: Claim, name: str, context: Context, candidates: Candidates) -> Ended:
    """Write the take with the best score; the others are recorded as superseded.

    While the ledger takes no writes, the take is held, with its file under its temporary name.
    """
    ledger, pending, best = context.ledger, context.pending, candidates.best
    tried = [*claim.tried, *candidates.tried(kept=best)]
    with candidates.others(claim, kept=best) as others:
        try:
            with open_store(claim.out).stage(name, best.wav, best.id) as staged:
                outcome = replace(best.written(staged), chosen=candidates.why_best())
                note = Note.of(claim, best.id, outcome, tried)
                with pending.noted(note, staged):
                    kept = ledger.keep_take(claim, best.id, outcome, staged.publish, closing=others.ended, tried=tried)
        except LedgerAway:
            return Ended("held")
        except (OSError, store.StoreError) as error:
            unwritten = (best.id, Outcome(TakeState.FAILED, error=f"{name}: {error}"))
            ended = without_room(claim, context, error, [*others.ended, unwritten], candidates.seeds_used)
            others.recorded = True
            return ended
        others.recorded = kept
    if not kept:  # the claim has been lost, or the seed was rejected meanwhile: the next claim takes another
        put_back = ledger.put_back(claim, (), claim.rolls)
        return Ended(LineState.QUEUED if put_back else "lost")
    context.paces.add(claim, best.speech_s)
    return Ended(LineState.DONE)


def all_failed(claim: Claim, context: Context, candidates: Candidates, retries: Retries) -> Ended:
    """No take is good: the line waits for another try or another profile, or fails."""
    ledger, trouble = context.ledger, candidates.takes[-1].trouble
    assert trouble is not None
    why, tried = candidates.why_none(), [*claim.tried, *candidates.tried()]
    how: LineState | Literal["lost"]
    with candidates.others(claim) as others:
        if trouble == Trouble.QC and claim.escalate:
            why = f"{why}; escalated from {claim.profile} to {claim.escalate.profile}"
            how = LineState.QUEUED if ledger.escalate(claim, why, others.ended, tried) else "lost"
        else:
            earlier = dict.fromkeys(take.profile for take in claim.tried if take.profile != claim.profile)
            why = "; ".join([why, *(f"takes of {name} failed before" for name in earlier)])
            rolls = rolls_after(claim, candidates.seeds_used)
            limit = 0 if claim.request.stream else allowed(retries, trouble)
            how = ledger.note_trouble(claim, trouble, why, limit, others.ended, rolls=rolls, tried=tried)
        others.recorded = how != "lost"
    return Ended(how, trouble)


def allowed(retries: Retries, trouble: Trouble) -> int:
    """How often the line is queued again after trouble that may be the machine's."""
    limits = {Trouble.ENGINE: retries.engine, Trouble.TIMEOUT: retries.timeout, Trouble.LISTEN: retries.listen}
    return limits.get(trouble, 0)


def serve_from_cache(claim: Claim, name: str, output: Store, context: Context) -> bool:
    """Use an equal take's file if it still has its hash."""
    cached = claim.cached
    if cached is None:
        return False
    try:
        staged = output.stage_copy(cached.path, name, cached.sha256)
    except (OSError, store.StoreError):
        return False
    with staged:
        return context.ledger.keep_cached(claim, cached, staged.location, staged.publish)


def without_room(
    claim: Claim,
    context: Context,
    error: Exception,
    ended: EndedTakes | None = None,
    seeds_used: int = 0,
    drop_take: str | None = None,
) -> Ended:
    """The line's folder did not take its file: the line waits. When the disk is full, its profile's queue pauses.

    `drop_take` is a take that was opened and never rendered: its row is removed.
    """
    retries, why = profiles.load(claim.profile).retries, f"{claim.out}: {error}"
    if isinstance(error, store.NoRoom) or (isinstance(error, OSError) and error.errno in store.NO_ROOM):
        need = audio_room(claim.text) * claim.takes
        pause_queue(context.ledger, claim.profile, f"no room: {why}", probe=claim.out, need_bytes=need)
    rolls = rolls_after(claim, seeds_used)
    limit = retries.resource
    how = context.ledger.note_trouble(
        claim, Trouble.RESOURCE, why, limit, ended or (), drop_take=drop_take or None, rolls=rolls
    )
    return Ended(how, Trouble.RESOURCE)
