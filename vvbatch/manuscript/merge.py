"""Merging rows of text: what a person changed of an import, and what a new import changes of it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from difflib import SequenceMatcher


@dataclass(frozen=True)
class Conflict:
    """Rows that both changed. The person's are kept from `row` of the result on (from 1)."""

    row: int
    theirs: str  # the rows of the new import


@dataclass
class Merge:
    rows: list[str] = field(default_factory=list)
    conflicts: list[Conflict] = field(default_factory=list)


def merged(base: Sequence[str], ours: Sequence[str], theirs: Sequence[str]) -> Merge:
    """`base` with the changes of both. Where both changed the same rows in different ways, ours are kept."""
    merge = Merge()
    for of_base, of_ours, of_theirs in _regions(base, ours, theirs):
        _merge_region(merge, base[of_base], ours[of_ours], theirs[of_theirs])
    return merge


def _merge_region(merge: Merge, base: Sequence[str], ours: Sequence[str], theirs: Sequence[str]) -> None:
    if ours == theirs or theirs == base:
        merge.rows += ours
    elif ours == base:
        merge.rows += theirs
    elif len(base) == len(ours) == len(theirs) > 1:
        for rows in zip(base, ours, theirs, strict=True):
            _merge_region(merge, *([row] for row in rows))
    else:
        merge.conflicts.append(Conflict(len(merge.rows) + 1, "\n".join(theirs)))
        merge.rows += ours


def _regions(base: Sequence[str], ours: Sequence[str], theirs: Sequence[str]) -> Iterator[tuple[slice, slice, slice]]:
    """Runs of rows that all three have, and what is between them, in order."""
    at = (0, 0, 0)
    for start, in_ours, in_theirs, size in _common(base, ours, theirs):
        if (start, in_ours, in_theirs) != at:
            yield slice(at[0], start), slice(at[1], in_ours), slice(at[2], in_theirs)
        yield slice(start, start + size), slice(in_ours, in_ours + size), slice(in_theirs, in_theirs + size)
        at = start + size, in_ours + size, in_theirs + size
    yield slice(at[0], len(base)), slice(at[1], len(ours)), slice(at[2], len(theirs))


def _common(base: Sequence[str], ours: Sequence[str], theirs: Sequence[str]) -> Iterator[tuple[int, int, int, int]]:
    """Where rows of the base are in both others: three indices and how many rows."""
    of_ours = _matches(base, ours)
    of_theirs = _matches(base, theirs)
    first = second = 0
    while first < len(of_ours) and second < len(of_theirs):
        start, in_ours, size = of_ours[first]
        other, in_theirs, other_size = of_theirs[second]
        low, high = max(start, other), min(start + size, other + other_size)
        if low < high:
            yield low, in_ours + low - start, in_theirs + low - other, high - low
        if start + size < other + other_size:
            first += 1
        else:
            second += 1


def _matches(base: Sequence[str], other: Sequence[str]) -> list[tuple[int, int, int]]:
    found = SequenceMatcher(None, base, other, autojunk=len(base) > 5000).get_matching_blocks()
    return [(match.a, match.b, match.size) for match in found if match.size]
