"""Reject takes and prefer others: which lines are meant, the files of the takes, and what is said of it in `--json`."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack

from msgspec import Struct

from vvbatch.batch.control import UnknownLine
from vvbatch.batch.finish import end_if_complete
from vvbatch.batch.output import Store, line_name, open_store, take_name
from vvbatch.errors import InputError, VvbatchError
from vvbatch.ledger import Ledger
from vvbatch.ledger.by_ear import (
    KEPT,
    Copy,
    LineAndTake,
    Preferable,
    lines_with_takes,
    prefer_take,
    reject_takes,
    takes_beginning,
)
from vvbatch.ledger.queries import batch_row_of
from vvbatch.ledger.records import BatchKind
from vvbatch.ledger.states import GOOD_TAKES, LineState, TakeState
from vvbatch.script.fields import did_you_mean

JUDGED_ELSEWHERE = (BatchKind.NIGHT, BatchKind.PROOF)


class NothingToReject(VvbatchError):
    """The line has no take, or a worker renders it now."""


class UnknownTake(InputError):
    """No take has the id, or begins with it."""


class NotPreferable(VvbatchError):
    """The take cannot be its line's file."""


class RejectedLine(Struct, frozen=True):
    """A line that is queued again. `take` was rejected now, or is None where that was done before."""

    id: str
    number: int
    chapter: int
    take: str | None
    seed: int  # of its next take
    path: str | None  # its file, until the next take replaces it


class Rejected(Struct):
    batch: str
    state: str  # of the batch, as `status` shows it
    queued: int
    by: str
    why: str | None
    lines: Sequence[RejectedLine]


class Preferred(Struct):
    """`before` is the take that was the line's file; `taken_back` says that the take had been rejected."""

    batch: str
    line: str
    take: str
    before: str | None
    taken_back: bool
    path: str
    state: str  # of the batch, as `status` shows it


def reject(
    ledger: Ledger,
    batch_id: str,
    words: Sequence[str],
    *,
    chapter: int | None = None,
    by: str,
    why: str | None = None,
    seed: int | None = None,
) -> Rejected:
    """Reject the takes of a batch's lines and queue the lines again. Raises UnknownLine, NothingToReject, and what
    `reject_takes` raises; nothing changes then."""
    batch = batch_row_of(ledger, batch_id)
    if batch.kind in JUDGED_ELSEWHERE:
        raise InputError(f"{batch_id} is a {batch.kind}: its takes are compared with others, not rejected")
    chosen = chosen_lines(batch_id, lines_with_takes(ledger, batch_id), words, chapter)
    for line in chosen:
        if line.state == LineState.RENDERING:
            raise NothingToReject(f"line {line.line} is being rendered: wait for its take, or cancel it")
        if line.path is None:
            raise NothingToReject(f"line {line.line} is {line.state} and has no take to reject")
    output = open_store(batch.out)
    with ExitStack() as staged:
        wanted = [(line, second_file(staged, output, batch_id, line)) for line in chosen]
        requeued = reject_takes(ledger, batch_id, wanted, by=by, why=why, seed=seed)
    lines = [
        RejectedLine(each.line.line, each.line.number, each.line.chapter, each.take, each.seed, each.line.path)
        for each in requeued
    ]
    return Rejected(batch_id, batch_row_of(ledger, batch_id).state, len(lines), by, why, lines)


def chosen_lines(
    batch_id: str, known: Sequence[LineAndTake], words: Sequence[str], chapter: int | None
) -> list[LineAndTake]:
    """The lines that words and chapter name, in their order. Raises UnknownLine."""
    ids = {line.id for word in words for line in lines_named(batch_id, known, word)}
    if chapter is not None:
        if chapter not in (chapters := {line.chapter for line in known}):
            raise UnknownLine(f"{batch_id} has no chapter {chapter}: it has {min(chapters)} to {max(chapters)}")
        ids |= {line.id for line in known if line.chapter == chapter}
    return [line for line in known if line.id in ids]


def lines_named(batch_id: str, known: Sequence[LineAndTake], word: str) -> list[LineAndTake]:
    """A line with all its parts, or a part, by its id, its number, or the beginning of its id. Raises UnknownLine."""
    if exact := [line for line in known if word in (line.line, line.part_of)]:
        return exact
    if word.isdecimal() and (found := [line for line in known if line.number == int(word)]):
        return found
    names = dict.fromkeys(name for line in known for name in (line.part_of, line.line) if name is not None)
    begun = [name for name in names if word and name.startswith(word)]
    whole = [name for name in begun if not any(line.line == name and line.part_of in begun for line in known)]
    if len(whole) == 1:
        return [line for line in known if whole[0] in (line.line, line.part_of)]
    if whole:
        raise UnknownLine(f"{word!r} begins several lines of {batch_id}: {', '.join(whole[:8])}")
    raise UnknownLine(f"{batch_id} has no line {word!r}{did_you_mean(word, names)}")


def second_file(staged: ExitStack, output: Store, batch_id: str, line: LineAndTake) -> Copy | None:
    """A file of its own for the take of a line whose file is replaced; None where the take has one."""
    if not line.owns_file or line.take_path is None or line.attempt is None:
        return None
    name = take_name(batch_id, line.number, line.line, line.attempt)
    copy = staged.enter_context(output.stage_copy(line.take_path, name, line.take_sha256 or ""))
    return Copy(copy.location, copy.publish)


def find_take(ledger: Ledger, word: str) -> Preferable:
    """The take that `word` is the id of, or the beginning of one. Raises UnknownTake, InputError for several."""
    found = takes_beginning(ledger, word) if word else []
    if not found:
        raise UnknownTake(f"unknown take {word!r}: `vvbatch ledger takes --line ID` lists those of a line")
    if len(found) > 1 and found[0].take != word:
        raise InputError(f"{word!r} begins several takes: give more of the id")
    return found[0]


def prefer(ledger: Ledger, word: str, *, by: str) -> Preferred:
    """Make a kept take its line's file; a rejection of it is taken back. Raises InputError and NotPreferable."""
    wanted = find_take(ledger, word)
    line, batch = wanted.line, batch_row_of(ledger, wanted.batch)
    if batch.kind in JUDGED_ELSEWHERE:
        raise InputError(f"take {wanted.take} is of {wanted.batch}, a {batch.kind}: its takes stay as they are")
    if wanted.state not in GOOD_TAKES:
        why = f": {wanted.error}" if wanted.error else ""
        raise NotPreferable(
            f"take {wanted.take} is {wanted.state}{why}; only a take that passed its checks can be kept"
        )
    if wanted.path is None or wanted.sha256 is None:
        raise NotPreferable(f"the audio of take {wanted.take} is gone: `--keep-takes` keeps that of all takes")
    name = line_name(wanted.batch, line.chapter, line.number, line.line)
    if not (wanted.state == TakeState.DONE and line.take == wanted.take and line.state in KEPT):
        output = open_store(wanted.out)
        with ExitStack() as staged:
            other = line.take != wanted.take
            copy = second_file(staged, output, wanted.batch, line) if other else None
            file = staged.enter_context(output.stage_copy(wanted.path, name, wanted.sha256))
            prefer_take(ledger, wanted, by, Copy(file.location, file.publish), copy)
    end_if_complete(ledger, wanted.batch)
    return Preferred(
        wanted.batch,
        line.line,
        wanted.take,
        line.take if line.take != wanted.take else None,
        wanted.state == TakeState.REJECTED,
        line.path or name,
        batch_row_of(ledger, wanted.batch).state,
    )
