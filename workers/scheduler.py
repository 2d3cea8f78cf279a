"""Which line goes in next: the batching policy, over deques and dicts. No I/O and no clock: the time is passed in.

A line in flight waits for a slot of the engine, occupies one, or waits for the verdict of the listening models.
Between two of these its job runs.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field


@dataclass
class Scheduler:
    slots: int  # of the engine
    reserved: int = 0  # slots for interactive lines only, while a server for them runs
    interactive: set[str] = field(default_factory=set)  # those in flight that somebody waits for
    in_flight: set[str] = field(default_factory=set)  # line ids, as everywhere here
    waiting: deque[tuple[str, float]] = field(default_factory=deque)  # with the seconds that each take may need
    rendering: dict[str, float] = field(default_factory=dict)  # with the time when each take is late
    listening: set[str] = field(default_factory=set)
    alone: str | None = None  # the suspect in flight
    suspect_waits: bool = False  # at the front of the queue, until nothing is in flight

    @property
    def for_batches(self) -> int:
        """Slots that lines of batches may occupy: at least one."""
        return max(1, self.slots - self.reserved)

    def has_room(self, *, interactive: bool = True) -> bool:
        """Whether another line may be taken from the queues: from that of interactive lines, or from the others.

        A line that waits for its verdict occupies no slot. Its audio occupies memory: hence the limit of two lines in
        flight for each slot.
        """
        if self.in_flight and (self.alone or self.suspect_waits):
            return False
        in_work = len(self.in_flight) - len(self.listening)
        if not interactive and len(self.in_flight - self.listening - self.interactive) >= self.for_batches:
            return False
        return in_work < self.slots and len(self.in_flight) < 2 * self.slots

    def must_wait(self, *, suspect: bool) -> bool:
        """Whether the line just taken goes back to the front of its queue: a suspect line renders alone."""
        self.suspect_waits = suspect and bool(self.in_flight)
        return self.suspect_waits

    def add(self, line_id: str, *, suspect: bool = False, interactive: bool = False) -> None:
        """Put a line in flight, after `has_room` and `must_wait` allowed it."""
        self.in_flight.add(line_id)
        if interactive:
            self.interactive.add(line_id)
        if suspect:
            self.alone = line_id

    def wait_for_slot(self, line_id: str, allowed_s: float) -> None:
        """The line has a take to render, which is late after this many seconds in a slot."""
        self._clear(line_id)
        self.waiting.append((line_id, allowed_s))

    def next_for_slot(self, now: float) -> str | None:
        """The line that gets a free slot: interactive ones first, and first come first served.

        None without a line or a slot for it.
        """
        if len(self.rendering) >= self.slots:
            return None
        of_batches = len(self.rendering.keys() - self.interactive)
        urgent = [entry for entry in self.waiting if entry[0] in self.interactive]
        entry = next(iter(urgent or self.waiting), None)
        if entry is None or (not urgent and of_batches >= self.for_batches):
            return None
        self.waiting.remove(entry)
        line_id, allowed_s = entry
        self.rendering[line_id] = now + allowed_s
        return line_id

    def wait_for_verdict(self, line_id: str) -> None:
        self._clear(line_id)
        self.listening.add(line_id)

    def remove(self, line_id: str) -> None:
        """The line's job has ended."""
        self._clear(line_id)
        self.in_flight.discard(line_id)
        self.interactive.discard(line_id)
        if self.alone == line_id:
            self.alone = None

    def should_step(self) -> bool:
        """Whether the engine has work, and every line that could take part in the step does.

        It rests while takes that wait for their verdicts keep lines from free slots: the cores are then better used for
        the verdicts. Without that the niced listening process gets little time beside the engine, and the engine works
        on for fewer and fewer lines. When all lines have been taken from the queue, there is nothing to wait for.
        """
        kept_out = len(self.in_flight) >= 2 * self.slots and len(self.listening) > self.slots
        return bool(self.rendering) and not kept_out

    def late(self, now: float) -> list[str]:
        """The lines whose takes have had their time."""
        return [line_id for line_id, deadline in self.rendering.items() if now > deadline]

    def _clear(self, line_id: str) -> None:
        self.rendering.pop(line_id, None)
        self.listening.discard(line_id)
        self.waiting = deque(entry for entry in self.waiting if entry[0] != line_id)
