"""Whether what is to be submitted can be rendered, and what a submit says of its batches."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec.structs import asdict

from vvbatch.batch.plan import Plan
from vvbatch.errors import UnavailableError
from vvbatch.home import Home
from vvbatch.ledger import Ledger
from vvbatch.ledger.queries import batch_view, cached_takes
from vvbatch.ledger.records import AddedBatch
from vvbatch.ledger.views import Changes, SubmittedView
from vvbatch.models.ready import not_ready
from vvbatch.transport import queue
from vvbatch.transport.connection import ServerUnreachable, connect


class NothingRenders(UnavailableError):
    """Lines would wait for a profile that nothing can render; the message says why."""


def require_models(plans: Sequence[Plan], home: Home, ledger: Ledger) -> None:
    """Stop before anything is queued when lines would wait for a profile that nothing can render.

    Raises NothingRenders.
    """
    if found := unrendered(plans, home, ledger):
        remedy = "nothing is queued; start a worker elsewhere, or choose another --model"
        raise NothingRenders("\n".join([*found, remedy]))


def unrendered(plans: Sequence[Plan], home: Home, ledger: Ledger) -> list[str]:
    """Why nothing renders these plans' lines, for each profile that nothing can render.

    That is one without a worker anywhere whose model or package is not on this machine.
    """
    names = {name for plan in plans for name in plan.profiles}
    missing = not_ready(sorted(names), home)
    if not missing:
        return []
    try:
        with connect(home) as connection:
            missing = {name: why for name, why in missing.items() if not queue.has_worker(connection, name)}
    except ServerUnreachable:
        pass
    cached = {key for plan in plans for key in cached_takes(ledger, plan.lines)}
    wanted = {line.profile for plan in plans for line in plan.lines if line.key not in cached}
    return [why for name, why in missing.items() if name in wanted]


def submitted_views(ledger: Ledger, added: Sequence[AddedBatch]) -> list[SubmittedView]:
    """What `submit` and `run` print of each batch, with what changed of one that was open already."""
    views = []
    for each in added:
        priority = [each.old_priority, each.priority] if each.old_priority else None
        changes = Changes(priority, each.pauses_changed)
        views.append(SubmittedView(**asdict(batch_view(ledger, each.id)), created=each.created, changes=changes))
    return views
