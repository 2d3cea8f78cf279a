"""How long a batch took, and where the time went."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from vvbatch.batch_report.document import ProfileWork, TimeSpent, Work
from vvbatch.ledger.batch_takes import MadeTake
from vvbatch.ledger.queries import seconds
from vvbatch.ledger.states import TakeState
from vvbatch.ledger.views import BatchRow, Totals

KINDS: Mapping[str, str] = {
    TakeState.DONE: "kept",
    TakeState.SUPERSEDED: "good, but not kept",
    TakeState.REJECTED: "rejected by a person",
    TakeState.FAILED_QC: "failed their checks",
    TakeState.FAILED: "gave no audio",
    TakeState.CRASHED: "ended with their worker",
    TakeState.CANCELLED: "cancelled",
}
"""What became of a take's time, by its state, in the order of the report."""


def time_spent(batch: BatchRow, totals: Totals, takes: Sequence[MadeTake]) -> TimeSpent:
    ended = [take for take in takes if take.ended_at]
    all_s = sum(map(work_s, ended))
    work = []
    for state, kind in KINDS.items():
        mine = [take for take in ended if take.state == state]
        if mine:
            spent = sum(map(work_s, mine))
            work.append(Work(kind, len(mine), round(spent, 3), round(spent / all_s, 4) if all_s else 0.0))
    began = totals.began_at
    elapsed = seconds(batch.ended_at) - seconds(began) if batch.ended_at and began else None
    return TimeSpent(
        began_at=began,
        ended_at=batch.ended_at,
        elapsed_s=None if elapsed is None else round(max(0.0, elapsed), 3),
        busy_s=totals.wall_s,
        audio_s=totals.audio_s,
        rendered_s=totals.rendered_s,
        speed=totals.speed,
        cached=batch.counts["cached"],
        work=work,
        profiles=profiles(ended),
    )


def work_s(take: MadeTake) -> float:
    """From the first step of a take to the end of its checks."""
    return max(0.0, seconds(take.ended_at) - seconds(take.created_at)) if take.ended_at else 0.0


def profiles(ended: Sequence[MadeTake]) -> list[ProfileWork]:
    """Audio and RTF are those of takes that were kept."""
    groups: dict[tuple[str, str, str], list[MadeTake]] = {}
    for take in ended:
        groups.setdefault((take.profile, take.device, take.dtype), []).append(take)
    found = []
    for names, mine in sorted(groups.items()):
        kept = [take for take in mine if take.state == TakeState.DONE]
        audio_s, wall_s = sum(take.duration_s or 0.0 for take in kept), sum(take.wall_s or 0.0 for take in kept)
        rtf = round(wall_s / audio_s, 4) if audio_s else None
        found.append(ProfileWork(*names, len(mine), round(audio_s, 3), round(sum(map(work_s, mine)), 3), rtf))
    return found
