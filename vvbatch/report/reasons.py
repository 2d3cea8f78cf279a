"""Why a batch waits, in words."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from vvbatch.ledger.ahead import Ahead
from vvbatch.report.tables import counted

if TYPE_CHECKING:
    from vvbatch.transport.served import Serving

BATCHES_NAMED = 2


def waiting_words(ahead: Ahead, served: Callable[[str], Serving]) -> list[str]:
    """The reasons, the one to mend first in front."""
    answers = {profile: served(profile) for profile in sorted(ahead.waiting)}
    if "no server" in answers.values():
        return [f"no queue is running: vvbatch up --workers {','.join(answers)}"]
    reasons = [
        f"no worker for {profile}: vvbatch up --workers {profile}"
        for profile, answer in answers.items()
        if answer == "no worker"
    ]
    reasons += [
        f"the queue of {profile} is paused ({why}): vvbatch resume {profile}" for profile, why in ahead.paused.items()
    ]
    return [*reasons, *lines_before(ahead)]


def lines_before(ahead: Ahead) -> list[str]:
    """`37 lines of vol-a before it`."""
    named = [f"{counted(count, 'line')} of {batch}" for batch, count in ahead.batches[:BATCHES_NAMED]]
    if rest := ahead.batches[BATCHES_NAMED:]:
        named.append(f"{counted(sum(count for _, count in rest), 'line')} of {counted(len(rest), 'more batch')}")
    *others, last = named or [""]
    return [f"{', '.join(others)}{' and ' if others else ''}{last} before it"] if named else []
