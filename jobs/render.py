"""The job: one line, from its claim in the ledger to a checked file, or to the reason why there is none.

`render_line` is a generator, so that a worker can have many lines in hand: it yields what the engine shall render and
gets the audio back. Every way in which a take can end is one arm of its one try statement.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path

from vvbatch import plan, profiles, store
from vvbatch.batches import end_if_complete
from vvbatch.engine import EngineFacts, Request, RequestRefused
from vvbatch.ledger import Claim, Ledger, Outcome
from vvbatch.take import Audio, EngineFailed, Take, judge

Rendering = Generator[Request, Audio, str]


class Cancelled(Exception):
    """Thrown in by the worker: somebody cancelled the line."""


class PutBack(Exception):
    """Thrown in by the worker: it stops before the line is ready."""


@dataclass(frozen=True)
class Context:
    """What a worker lends to its jobs."""

    ledger: Ledger
    worker: str
    facts: EngineFacts


def render_line(line_id: str, context: Context) -> Rendering:
    """Render a line; the return value says how it ended: a line state, `lost` or `not wanted`."""
    claim = context.ledger.claim(line_id, context.worker)
    if claim is None:
        return "not wanted"
    if serve_from_cache(claim, context):
        end_if_complete(context.ledger, claim.batch_id)
        return "cached"
    ended = yield from render_takes(claim, context)
    end_if_complete(context.ledger, claim.batch_id)
    return ended


def render_takes(claim: Claim, context: Context) -> Rendering:
    """Take after take until as many as wanted are good, or the profile's patience is over."""
    ledger, profile = context.ledger, profiles.load(claim.model)
    good: list[tuple[str, Take]] = []
    left = {"failed_qc": profile.retries.qc, "failed": profile.retries.engine}
    number = 0
    while len(good) < claim.takes:
        seed = plan.seed_of_take(claim.request["seed"], number)
        number += 1
        opened = ledger.open_take(claim, seed, context.facts)
        if opened is None:
            return "lost"
        claim, take_id = opened
        try:
            request = plan.request_of(claim.request, take_id, seed)
            take = judge((yield request), claim.text, profile.qc)
        except Cancelled:
            ledger.close_take(take_id, Outcome("cancelled", error="cancelled"))
            return "cancelled"
        except PutBack:
            ledger.close_take(take_id, Outcome("cancelled", error="the worker stopped"))
            return "queued" if ledger.put_back(claim) else "lost"
        except RequestRefused as refusal:
            ledger.close_take(take_id, Outcome("failed", error=str(refusal)))
            return end_failed(claim, context, str(refusal))
        except EngineFailed as failure:
            outcome = failure.outcome
        except Exception as error:  # one line's trouble must not end the worker that renders fifteen others
            outcome = Outcome("failed", error=f"{type(error).__name__}: {error}")
        else:
            if take.outcome.state == "done":
                good.append((take_id, take))
                continue
            outcome = take.outcome
        ledger.close_take(take_id, outcome)
        left[outcome.state] -= 1
        if left[outcome.state] < 0 and not good:
            return end_failed(claim, context, outcome.error or outcome.state)
        if left[outcome.state] < 0:
            break
    return keep_best(claim, context, good)


def keep_best(claim: Claim, context: Context, good: list[tuple[str, Take]]) -> str:
    """Write the take with the most room to its limits; the others are recorded as superseded."""
    ordered = sorted(good, key=lambda each: each[1].margin, reverse=True)
    (take_id, take), others = ordered[0], ordered[1:]
    path = store.line_path(Path(claim.out), claim.batch_id, claim.chapter, claim.number, claim.line)
    try:
        staged = store.stage(path, take.wav)
    except (OSError, store.StoreError) as error:
        context.ledger.close_take(take_id, Outcome("failed", error=f"{path}: {error}"))
        return end_failed(claim, context, f"{path} could not be written: {error}")
    outcome = take.written(path, staged.sha256, staged.size)
    with staged:
        kept = context.ledger.keep_take(claim, take_id, outcome, staged.publish)
    for other_id, other in others:
        context.ledger.close_take(other_id, other.superseded())
    return "done" if kept else "lost"


def serve_from_cache(claim: Claim, context: Context) -> bool:
    """Use an equal take's file if it still has its hash."""
    cached = claim.cached
    if cached is None:
        return False
    path = store.line_path(Path(claim.out), claim.batch_id, claim.chapter, claim.number, claim.line)
    try:
        staged = store.stage_copy(Path(cached.path), path, cached.sha256)
    except (OSError, store.StoreError):
        return False
    with staged:
        return context.ledger.keep_cached(claim, cached, str(path), staged.publish)


def end_failed(claim: Claim, context: Context, error: str) -> str:
    return "failed" if context.ledger.fail_line(claim, error) else "lost"
