"""Baselines: blessed takes, their audio kept in the home folder under its hash, which is checked at each use."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vvbatch import store
from vvbatch.home import Home
from vvbatch.ledger import Ledger
from vvbatch.regress import records
from vvbatch.regress.suite import Suite

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


class CannotBless(Exception):
    """What was to be blessed is not there; the message says which lines, and what to do."""


class Damaged(Exception):
    """A baseline's file is gone or is not what was blessed."""


def folder(home: Home, suite: str) -> Path:
    """Where a suite keeps its files: `baselines/` and `nights/`."""
    return home.folder("regress") / suite


def bless(
    ledger: Ledger, home: Home, suite: Suite, night: Mapping[str, Any], who: str, why: str, only: Sequence[str] = ()
) -> list[str]:
    """Make a night's takes the baselines of their lines: of all that were rendered, or of `only` these.

    Returns the lines. Files are in place before the ledger knows of them. Raises CannotBless, and then nothing is
    blessed; OSError, StoreError.
    """
    found = {result.line: result for result in records.results(ledger, night["batch_id"])}
    if unknown := [line for line in only if line not in found]:
        raise CannotBless(f"no line {', '.join(unknown)} in night {night['id']}: there is {', '.join(found)}")
    chosen = [found[line] for line in only] if only else list(found.values())
    if failed := [result.line for result in chosen if not result.path]:
        if night["pruned_at"]:
            raise CannotBless(f"the audio of night {night['id']} was removed: vvbatch regress run {suite.name}")
        raise CannotBless(f"{', '.join(failed)} of night {night['id']} was not rendered: bless the others with --line")
    now = ledger.now()
    rows = []
    for result in chosen:
        assert result.path is not None
        sha256 = result.take["sha256"]
        path = folder(home, suite.name) / "baselines" / f"{sha256}.wav"
        # A copy, not a link: whatever happens to the night's file must not happen to the baseline.
        data = Path(result.path).read_bytes()
        with store.stage(path, data) as staged:
            if staged.sha256 != sha256:
                raise CannotBless(f"{result.path} has changed since it was rendered: vvbatch regress run {suite.name}")
            staged.publish()
        rows.append(
            {
                "suite": suite.name,
                "profile": night["profile"],
                "line": result.line,
                "text": result.text,
                "night_id": night["id"],
                "take_id": result.take["id"],
                "path": str(path),
                "sha256": sha256,
                "facts": dict(result.facts),
                "blessed_at": now,
                "blessed_by": who,
                "why": why,
            }
        )
    records.add_baselines(ledger, rows)
    return [result.line for result in chosen]


def samples_of(baseline: Mapping[str, Any]) -> NDArray[np.float32]:
    """A baseline's audio, its hash verified. Raises Damaged."""
    from vvbatch import audio

    path = Path(baseline["path"])
    try:
        if store.sha256_file(path) != baseline["sha256"]:
            raise Damaged(f"{path} is not what was blessed (its sha256 differs)")
        return audio.read(path)[0]
    except (OSError, audio.AudioError) as error:
        raise Damaged(f"{path} cannot be read: {getattr(error, 'strerror', None) or error}") from error
