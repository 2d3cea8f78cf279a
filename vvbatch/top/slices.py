"""Counts of a batch's lines, read in slices, so that no poll takes long, however many lines there are.

A slice has the lines of a batch whose numbers lie in one block of SIZE. A poll reads at most LINES_A_POLL lines: slices
in which lines are rendered or have ended, then those that are to be counted, then those that were read longest ago.
Small ledgers are read whole at each poll.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from sqlalchemy import Connection, bindparam, func, select

from vvbatch.ledger.queries import Left
from vvbatch.ledger.schema import lines
from vvbatch.ledger.states import LineState
from vvbatch.top.snapshot import Failure

SIZE = 400
LINES_A_POLL = 3 * SIZE
LINES_IN_WORK = 2 * SIZE  # at most, of slices in which lines are rendered
SLICES_A_POLL = 60
FAILURES_KEPT = 50


class Key(NamedTuple):
    batch: str
    place: int


class Group(NamedTuple):
    """Lines of one profile and state; `characters` and `longest` as in `Left`."""

    size: int
    characters: int
    longest: int
    updated_at: str


Groups = Mapping[tuple[str, str], Group]
"""By profile and state."""


@dataclass(frozen=True)
class Slice:
    groups: Groups
    lines: int
    read_at: int  # the number of the poll
    failures: Sequence[Failure] = ()

    def failed(self) -> list[Group]:
        return [group for (_, state), group in self.groups.items() if state == LineState.FAILED]


NOTHING = Slice({}, 0, 0)


@dataclass
class Counted:
    """What is known of a batch: its first slices, without gaps, until all were read."""

    ended_at: str | None
    slices: list[Slice] = field(default_factory=list)
    stale: set[int] = field(default_factory=set)  # to be read again soon

    @property
    def whole(self) -> bool:
        """Whether the last slice was read, which is not full."""
        return bool(self.slices) and self.slices[-1].lines < SIZE

    def counts(self) -> dict[str, int]:
        """Lines by state."""
        found: dict[str, int] = defaultdict(int)
        for each in self.slices:
            for (_, state), group in each.groups.items():
                found[state] += group.size
        return dict(found)

    def by_profile(self, state: LineState) -> dict[str, int]:
        found: dict[str, int] = defaultdict(int)
        for each in self.slices:
            for (profile, of_state), group in each.groups.items():
                if of_state == state:
                    found[profile] += group.size
        return dict(found)

    def queued(self) -> dict[str, Left]:
        """What waits, by profile; the lines in work are added by who knows them."""
        found: dict[str, Left] = {}
        for each in self.slices:
            for (profile, state), group in each.groups.items():
                if state == LineState.QUEUED:
                    old = found.get(profile, Left(0, 0, []))
                    found[profile] = Left(old.queued + group.characters, max(old.longest, group.longest), [])
        return found


class Slices:
    """What is known of the lines of the batches that are shown."""

    def __init__(self) -> None:
        self.known: dict[str, Counted] = {}
        self.poll = 0

    def read(
        self,
        connection: Connection,
        batches: Mapping[str, str | None],
        in_work: Iterable[Key],
        most: int = LINES_A_POLL,
    ) -> None:
        """Read slices of these batches (id: when it ended) with `most` lines, first those with lines `in_work`."""
        self.poll += 1
        self.keep(batches)
        chosen = self.choose(in_work, most)
        before = {key: self.at(key) for key in chosen}
        groups = read_groups(connection, chosen)
        failed = [key for key in chosen if Slice(groups[key], 0, 0).failed() != before[key].failed()]
        failures = {key: before[key].failures for key in chosen} | read_failures(connection, failed)
        for key in sorted(chosen, key=lambda key: key.place):
            counted = self.known[key.batch]
            count = sum(group.size for group in groups[key].values())
            counted.slices[key.place : key.place + 1] = [Slice(groups[key], count, self.poll, failures[key])]
            counted.stale.discard(key.place)

    def keep(self, batches: Mapping[str, str | None]) -> None:
        """Drop batches that are not shown any more; count those again that ended, or were opened again."""
        self.known = {batch: self.known.get(batch) or Counted(ended_at) for batch, ended_at in batches.items()}
        for batch, ended_at in batches.items():
            if self.known[batch].ended_at != ended_at:
                self.known[batch].ended_at = ended_at
                self.count_again(batch)

    def count_again(self, batch: str) -> None:
        """Many of its lines may have changed at once."""
        if counted := self.known.get(batch):
            counted.stale |= set(range(len(counted.slices)))

    @property
    def counting(self) -> bool:
        return any(not counted.whole or counted.stale for counted in self.known.values())

    def choose(self, in_work: Iterable[Key], most: int) -> list[Key]:
        moving = [key for key in dict.fromkeys(in_work) if self.at(key) is not NOTHING]
        unread = [Key(batch, len(counted.slices)) for batch, counted in self.known.items() if not counted.whole]
        stale = [Key(batch, index) for batch, counted in self.known.items() for index in sorted(counted.stale)]
        others = [
            Key(batch, index)
            for batch, counted in self.known.items()
            if counted.ended_at is None
            for index in range(len(counted.slices))
        ]
        others.sort(key=lambda key: self.at(key).read_at)
        chosen = self.fitting(moving, SIZE if unread or stale else min(most, LINES_IN_WORK), [])
        return self.fitting([*unread, *stale, *others], most, chosen)

    def fitting(self, wanted: Iterable[Key], most: int, chosen: Sequence[Key]) -> list[Key]:
        """`chosen` and as many of the wanted as do not make it more than `most` lines; at least one."""
        found = dict.fromkeys(chosen)
        lines_read = sum(self.cost(key) for key in found)
        for key in wanted:
            if key in found:
                continue
            lines_read += self.cost(key)
            if (lines_read > most and found) or len(found) == SLICES_A_POLL:
                break
            found[key] = None
        return list(found)

    def cost(self, key: Key) -> int:
        known = self.at(key)
        return SIZE if known is NOTHING else known.lines

    def at(self, key: Key) -> Slice:
        counted = self.known.get(key.batch)
        return counted.slices[key.place] if counted and key.place < len(counted.slices) else NOTHING

    def failures(self) -> list[Failure]:
        """The newest of all slices."""
        found = [failure for counted in self.known.values() for each in counted.slices for failure in each.failures]
        return sorted(found, key=lambda failure: failure.at, reverse=True)[:FAILURES_KEPT]


def key_of(batch: str, number: int) -> Key:
    """The slice of the line with this number, which counts from 1."""
    return Key(batch, (number - 1) // SIZE)


WITHIN = (
    lines.c.batch_id.in_(bindparam("batches", expanding=True)),
    lines.c.number.between(bindparam("first"), bindparam("last")),
)
CHARACTERS = func.length(lines.c.text) * lines.c.takes
COUNTS = (
    select(
        *(lines.c.batch_id, lines.c.model, lines.c.state, func.count(), func.sum(CHARACTERS)),
        *(func.max(CHARACTERS), func.max(lines.c.updated_at)),
    )
    .where(*WITHIN)
    .group_by(lines.c.batch_id, lines.c.model, lines.c.state)
)
FAILED = (
    select(lines.c.batch_id, lines.c.line, lines.c.number, lines.c.text, lines.c.error, lines.c.updated_at)
    .where(*WITHIN, lines.c.state == LineState.FAILED)
    .order_by(lines.c.updated_at.desc())
    .limit(FAILURES_KEPT)
)


def read_groups(connection: Connection, keys: Sequence[Key]) -> dict[Key, dict[tuple[str, str], Group]]:
    """One query for each place of slices in their batches: one for any number of small batches."""
    found: dict[Key, dict[tuple[str, str], Group]] = {key: {} for key in keys}
    for index, where in places(keys).items():
        for batch, profile, state, count, total, longest, updated_at in connection.execute(COUNTS, where):
            found[Key(batch, index)][profile, state] = Group(count, int(total), int(longest), updated_at)
    return found


def read_failures(connection: Connection, keys: Sequence[Key]) -> dict[Key, list[Failure]]:
    found: dict[Key, list[Failure]] = {key: [] for key in keys}
    for index, where in places(keys).items():
        for row in connection.execute(FAILED, where):
            found[Key(row.batch_id, index)].append(Failure(*row))
    return found


def places(keys: Iterable[Key]) -> dict[int, dict[str, list[str] | int]]:
    """The parameters of WITHIN by the index of slices."""
    found: dict[int, list[str]] = defaultdict(list)
    for key in keys:
        found[key.place].append(key.batch)
    return {
        index: {"batches": batches, "first": index * SIZE + 1, "last": (index + 1) * SIZE}
        for index, batches in found.items()
    }
