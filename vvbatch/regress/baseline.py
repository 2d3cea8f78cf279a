"""Baselines: blessed takes. Their audio is kept in the home folder under its hash, which is verified at each use."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from vvbatch import store
from vvbatch.errors import InputError
from vvbatch.home import Home
from vvbatch.ledger import Ledger
from vvbatch.regress import records
from vvbatch.regress.records import Baseline, LineResult, Night
from vvbatch.regress.suite import Suite

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


class CannotBless(InputError):
    """A take cannot become a baseline; the message names the lines and the remedy."""


class Damaged(Exception):
    """A baseline's file is missing, or is not the one that was blessed."""


def folder(home: Home, suite: str) -> Path:
    """The folder of a suite's files: `baselines/` and `nights/`."""
    return home.folder("regress") / suite


def bless(
    ledger: Ledger, home: Home, suite: Suite, night: Night, who: str, why: str, only: Sequence[str] = ()
) -> list[str]:
    """Make the takes of a night the baselines of their lines: of all rendered lines, or of `only` these.

    A line stands for all its parts. Returns the lines. The files are written before the ledger refers to them.
    Raises CannotBless, OSError or StoreError; then nothing is blessed.
    """
    results = records.results(ledger, night.batch_id) if night.batch_id else []
    known = dict.fromkeys(name for result in results for name in (result.part_of, result.line) if name)
    if unknown := [line for line in only if line not in known]:
        raise CannotBless(f"no line {', '.join(unknown)} in night {night.id}: there is {', '.join(known)}")
    chosen = [result for result in results if not only or {result.line, result.part_of} & {*only}]
    if failed := [result.line for result in chosen if not result.path]:
        if night.pruned_at:
            raise CannotBless(f"the audio of night {night.id} was removed: vvbatch regress run {suite.name}")
        raise CannotBless(f"{', '.join(failed)} of night {night.id} was not rendered: bless the others with --line")
    now = ledger.now()
    records.add_baselines(ledger, [kept(home, suite, night, result, who, why, now) for result in chosen])
    return [result.line for result in chosen]


def kept(home: Home, suite: Suite, night: Night, result: LineResult, who: str, why: str, now: str) -> Baseline:
    """The baseline of a rendered line, its audio copied. Raises CannotBless, OSError, StoreError."""
    assert result.path is not None and result.take is not None and result.facts is not None
    sha256 = result.take.sha256
    path = folder(home, suite.name) / "baselines" / f"{sha256}.wav"
    # A copy, not a link: a change to the night's file must not change the baseline.
    with store.stage(path, Path(result.path).read_bytes()) as staged:
        if staged.sha256 != sha256:
            raise CannotBless(f"{result.path} has changed since it was rendered: vvbatch regress run {suite.name}")
        staged.publish()
    return Baseline(
        id=records.new_baseline_id(),
        suite=suite.name,
        profile=night.profile,
        line=result.line,
        text=result.text,
        night_id=night.id,
        take_id=result.take.id,
        path=str(path),
        sha256=sha256,
        facts=result.facts,
        blessed_at=now,
        blessed_by=who,
        why=why,
    )


def samples_of(baseline: Baseline) -> NDArray[np.float32]:
    """The audio of a baseline, float32 (frames,) at SAMPLE_RATE, its hash verified. Raises Damaged."""
    from vvbatch import audio

    path = Path(baseline.path)
    try:
        if store.sha256_file(path) != baseline.sha256:
            raise Damaged(f"{path} is not what was blessed: its sha256 differs; bless the line again")
        return audio.read(path)[0]
    except (OSError, audio.AudioError) as error:
        raise Damaged(f"{path} cannot be read: {getattr(error, 'strerror', None) or error}") from error
