"""Compare takes with their baselines by listening models, where the samples differ.

The models run in a niced process of their own. Their checks of a baseline are cached: its file does not change.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, cast

import msgspec

from vvbatch import store
from vvbatch.engine.contract import SAMPLE_RATE
from vvbatch.profiles import QcLimits

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from vvbatch.listening.process import ListeningProcess
    from vvbatch.profiles import Listen
    from vvbatch.qc.check import Check

POLL_S = 0.05
IN_FLIGHT = 16  # takes submitted to the listener at a time


@dataclass(frozen=True)
class Pair:
    """The audio of a baseline and of the night's take, float32 (frames,) at SAMPLE_RATE, and their text."""

    line: str
    text: str
    sha256: str  # of the baseline's file
    path: Path  # of the baseline
    before: NDArray[np.float32] = field(repr=False)
    after: NDArray[np.float32] = field(repr=False)


@dataclass(frozen=True)
class ListeningDifference:
    """`measures` by the keys of `verdict.MEASURES`: positive is worse. `details` describe some of them, by reason."""

    measures: Mapping[str, float]
    details: Mapping[str, str]


class Detail(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The parts of a check's detail that a comparison needs."""

    missing: list[object] = []
    added: list[object] = []
    wrong: list[tuple[object, object]] = []  # the word of the text, the recognised one
    not_checked: str | None = None

    def sentence(self) -> str:
        """`missing: harbour; added: the the; wrong: hinges as hin`; empty if there is nothing."""
        parts = [
            f"{kind}: {' '.join(map(str, found))}" for kind in ("missing", "added") if (found := getattr(self, kind))
        ]
        if self.wrong:
            parts.append("wrong: " + ", ".join(f"{expected} as {found}" for expected, found in self.wrong))
        return "; ".join(parts)


class ModelCheck(msgspec.Struct, frozen=True):
    """A check by a listening model, as cached."""

    name: str
    value: float
    detail: Detail


def compare_by_listening(
    pairs: Sequence[Pair],
    listen: Sequence[str],
    cache: Path,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> dict[str, ListeningDifference]:
    """By line, what the models `listen` find in both takes of each pair. Raises ListeningUnavailable.

    A take that fails twice in the listener is left out; its other measures remain valid. `progress` gets the takes done
    and the takes in all.
    """
    from vvbatch.listening.process import ListeningProcess

    if not pairs or not listen:
        return {}
    listener = ListeningProcess.start(cast("Sequence[Listen]", listen))
    try:
        cached = BaselineCache(cache / "heard", listen, listener.versions)
        known = {pair.line: checks for pair in pairs if (checks := cached.read(pair)) is not None}
        requests = [("after", pair) for pair in pairs]
        requests += [("before", pair) for pair in pairs if pair.line not in known]
        checked = check_all(listener, requests, progress)
    finally:
        listener.close()
    for pair in pairs:
        checks = checked.get(("before", pair.line))
        if checks is not None:
            known[pair.line] = checks
            cached.write(pair, checks)
    return {
        pair.line: difference(known[pair.line], after)
        for pair in pairs
        if pair.line in known and (after := checked.get(("after", pair.line))) is not None
    }


def check_all(
    listener: ListeningProcess, requests: Sequence[tuple[str, Pair]], progress: Callable[[int, int], None]
) -> dict[tuple[str, str], list[ModelCheck]]:
    """The checks of each take, by `before` or `after` and its line."""
    waiting = list(enumerate(requests))
    found: dict[tuple[str, str], list[ModelCheck]] = {}
    while waiting or listener.waiting:
        while waiting and listener.waiting < IN_FLIGHT:
            number, (which, pair) = waiting.pop(0)
            # The new take is compared with the baseline's speaker, not with the voice prompt.
            voice = pair.path if which == "after" else None
            samples = pair.after if which == "after" else pair.before
            listener.submit(str(number), samples, pair.text, voice, QcLimits(), SAMPLE_RATE)
        for verdict in listener.poll():
            which, pair = requests[int(verdict.take_id)]
            if verdict.error is None:
                found[which, pair.line] = [model_check(check) for check in verdict.checks]
            progress(len(requests) - len(waiting) - listener.waiting, len(requests))
        time.sleep(POLL_S)
    return found


def model_check(check: Check) -> ModelCheck:
    return ModelCheck(check.name, check.value, msgspec.convert(dict(check.detail or {}), Detail))


def difference(before: Sequence[ModelCheck], after: Sequence[ModelCheck]) -> ListeningDifference:
    """How much worse the new take is, by the checks that were made on both takes."""
    old, new = ({each.name: each for each in checks if each.detail.not_checked is None} for checks in (before, after))
    measures: dict[str, float] = {}
    details: dict[str, str] = {}
    if "wer" in old and "wer" in new:
        measures["words"] = new["wer"].value - old["wer"].value
        details["words"] = new["wer"].detail.sentence()
    if "voice" in new:
        measures["voice"] = 1.0 - new["voice"].value
    for name, sign in (("naturalness", -1), ("background", -1), ("music", 1)):
        if name in old and name in new:
            measures[name] = sign * (new[name].value - old[name].value)
    return ListeningDifference(measures, details)


class BaselineCache:
    """Checks of baselines in the cache folder, keyed by file hash, text, models and their versions."""

    def __init__(self, folder: Path, listen: Sequence[str], versions: Mapping[str, str]) -> None:
        self.folder = folder
        self.key = [sorted(listen), sorted(versions.items())]

    def file(self, pair: Pair) -> Path:
        name = hashlib.sha256(msgspec.json.encode([pair.sha256, pair.text, self.key])).hexdigest()
        return self.folder / f"{name}.json"

    def read(self, pair: Pair) -> list[ModelCheck] | None:
        with suppress(OSError, msgspec.DecodeError):
            return msgspec.json.decode(self.file(pair).read_bytes(), type=list[ModelCheck])
        return None

    def write(self, pair: Pair, checks: Sequence[ModelCheck]) -> None:
        with suppress(OSError):  # the baseline is checked again next time
            store.write_atomically(self.file(pair), msgspec.json.encode(checks))
