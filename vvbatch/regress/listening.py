"""What models hear in a night's takes that are not their baselines' bits, and in those baselines.

The models run in a process of their own, niced. What they heard of a baseline is kept in the cache folder: it stays.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import msgspec

from vvbatch import store
from vvbatch.engine.contract import SAMPLE_RATE
from vvbatch.profiles import QcLimits

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from vvbatch.listening.listener import Listener
    from vvbatch.profiles import Listen
    from vvbatch.qc.check import Check

LOOK_S = 0.05
IN_HAND = 16  # takes that the listener has at a time


@dataclass(frozen=True)
class Pair:
    """A baseline's audio and the night's, both mono float32 at SAMPLE_RATE, and what they should say."""

    line: str
    text: str
    sha256: str  # of the baseline's file
    path: Path
    before: NDArray[np.float32] = field(repr=False)
    after: NDArray[np.float32] = field(repr=False)


@dataclass(frozen=True)
class Heard:
    """`measures` are differences, more is worse; `told` says more of some."""

    measures: Mapping[str, float]
    told: Mapping[str, str]


def hear(
    pairs: Sequence[Pair],
    listen: Sequence[str],
    cache: Path,
    seen: Callable[[int, int], None] = lambda done, total: None,
) -> dict[str, Heard]:
    """Listen to both takes of every pair; by line. Raises EarsUnavailable.

    A take on which the listener fails twice is left out: its other measures stand.
    """
    from vvbatch.listening.listener import Listener

    if not pairs or not listen:
        return {}
    listener = Listener.start(cast("Sequence[Listen]", listen))
    try:
        kept = Kept(cache / "heard", listen, listener.versions)
        known = {pair.line: checks for pair in pairs if (checks := kept.read(pair)) is not None}
        asks = [("after", pair) for pair in pairs]
        asks += [("before", pair) for pair in pairs if pair.line not in known]
        answers = asked(listener, asks, seen)
    finally:
        listener.close()
    for pair in pairs:
        checks = answers.get(("before", pair.line))
        if checks is not None:
            known[pair.line] = checks
            kept.write(pair, checks)
    return {
        pair.line: difference(known[pair.line], after)
        for pair in pairs
        if pair.line in known and (after := answers.get(("after", pair.line))) is not None
    }


def asked(
    listener: Listener, asks: Sequence[tuple[str, Pair]], seen: Callable[[int, int], None]
) -> dict[tuple[str, str], list[dict[str, Any]]]:
    """The checks of each take, by which of the two it is and its line."""
    waiting, answers = list(enumerate(asks)), {}
    while waiting or listener.waiting:
        while waiting and listener.waiting < IN_HAND:
            number, (which, pair) = waiting.pop(0)
            # Whom a take should sound like is the baseline's speaker, whatever the voice prompt is.
            voice = pair.path if which == "after" else None
            samples = pair.after if which == "after" else pair.before
            listener.submit(str(number), samples, pair.text, voice, QcLimits(), SAMPLE_RATE)
        for verdict in listener.poll():
            which, pair = asks[int(verdict.take_id)]
            if verdict.error is None:
                answers[which, pair.line] = [plain(check) for check in verdict.checks]
            seen(len(asks) - len(waiting) - listener.waiting, len(asks))
        time.sleep(LOOK_S)
    return answers


def plain(check: Check) -> dict[str, Any]:
    return {"name": check.name, "value": check.value, "detail": dict(check.detail or {})}


def difference(before: Sequence[Mapping[str, Any]], after: Sequence[Mapping[str, Any]]) -> Heard:
    """What is worse in the night's take, by the checks of both."""
    old, new = ({check["name"]: check for check in checks if made(check)} for checks in (before, after))
    measures: dict[str, float] = {}
    told: dict[str, str] = {}
    if "wer" in old and "wer" in new:
        measures["words"] = new["wer"]["value"] - old["wer"]["value"]
        told["words"] = wording(new["wer"]["detail"])
    if "voice" in new:
        measures["voice"] = 1.0 - new["voice"]["value"]
    for name, sign in (("naturalness", -1), ("background", -1), ("music", 1)):
        if name in old and name in new:
            measures[name] = sign * (new[name]["value"] - old[name]["value"])
    return Heard(measures, told)


def made(check: Mapping[str, Any]) -> bool:
    return "not_checked" not in check["detail"]


def wording(detail: Mapping[str, Any]) -> str:
    """`missing: harbour; added: the the; wrong: hinges as hin`, as far as there is any."""
    parts = [f"{kind}: {' '.join(map(str, detail[kind]))}" for kind in ("missing", "added") if detail.get(kind)]
    if detail.get("wrong"):
        parts.append("wrong: " + ", ".join(f"{meant} as {heard}" for meant, heard in detail["wrong"]))
    return "; ".join(parts)


class Kept:
    """What was heard of baselines, by their hash and all versions that it depends on."""

    def __init__(self, folder: Path, listen: Sequence[str], versions: Mapping[str, str]) -> None:
        self.folder = folder
        self.of = [sorted(listen), sorted(versions.items())]

    def file(self, pair: Pair) -> Path:
        name = hashlib.sha256(msgspec.json.encode([pair.sha256, pair.text, self.of])).hexdigest()
        return self.folder / f"{name}.json"

    def read(self, pair: Pair) -> list[dict[str, Any]] | None:
        with suppress(OSError, msgspec.DecodeError):
            checks: list[dict[str, Any]] = msgspec.json.decode(self.file(pair).read_bytes())
            return checks
        return None

    def write(self, pair: Pair, checks: Sequence[Mapping[str, Any]]) -> None:
        with suppress(OSError):  # it is heard again next time
            store.write_atomically(self.file(pair), msgspec.json.encode(checks))
