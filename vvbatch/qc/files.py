"""Audio files judged with the checks of a render, for `vvbatch qc`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from vvbatch import audio
from vvbatch.profiles import QcLimits
from vvbatch.qc import Check, at_least, at_most, judge

if TYPE_CHECKING:
    from vvbatch.listening import Ears

BATCH = 8  # files that the models hear at once


@dataclass(frozen=True)
class Expected:
    """What the files should hold."""

    limits: QcLimits
    text: str | None = None
    voice: Path | None = None


def reports(
    paths: Sequence[Path], expected: Expected, ears: Ears | None = None, unheard: dict[str, str] | None = None
) -> Iterator[dict[str, Any]]:
    """`{"file", "ok", "checks": [{"name", "value", "limit", "ok", "weight"}], "not_checked": {name: why}}` of each.

    Several channels are judged as their mean, and fail a check of their own. A file that cannot be read has the one
    failed check `readable` and an `error`. `unheard` says of checks that were not asked for, or cannot be had, why.
    """
    for at in range(0, len(paths), BATCH):
        batch = [_read(path, expected) for path in paths[at : at + BATCH]]
        heard = _heard([one for one in batch if one.samples is not None], expected, ears)
        for one in batch:
            yield _report(one, heard.get(one.path, []), unheard or {})


@dataclass(frozen=True)
class File:
    path: Path
    checks: list[Check]
    samples: NDArray[np.float32] | None = None  # None: nothing that a model could hear
    sample_rate: int = 0
    error: str | None = None


def _read(path: Path, expected: Expected) -> File:
    try:
        samples, rate = audio.read(path)
    except audio.AudioError as error:
        return File(path, [at_least("readable", 0, 1)], error=str(error))
    channels = samples.shape[1] if samples.ndim > 1 else 1
    mono = samples.mean(axis=1) if channels > 1 else samples
    checks = [at_most("channels", channels, 1), *judge(mono, rate, expected.text, expected.limits)]
    audible = len(mono) and np.isfinite(mono).all() and np.abs(mono).max() > 0
    return File(path, checks, mono if audible else None, rate)


def _heard(files: Sequence[File], expected: Expected, ears: Ears | None) -> dict[Path, list[Check]]:
    if ears is None or not files:
        return {}
    from vvbatch.listening import Heard

    takes = [
        Heard(file.samples, file.sample_rate, expected.text, expected.voice, expected.limits)
        for file in files
        if file.samples is not None
    ]
    return dict(zip((file.path for file in files), ears.hear(takes), strict=True))


def _report(file: File, heard: Sequence[Check], unheard: dict[str, str]) -> dict[str, Any]:
    made = [check for check in (*file.checks, *heard) if not _why_not(check)]
    found = {
        "file": str(file.path),
        "ok": all(check.ok for check in made),
        "checks": [check.as_json() for check in made],
        "not_checked": unheard | {check.name: _why_not(check) for check in heard if _why_not(check)},
    }
    return found | ({"error": file.error} if file.error else {})


def _why_not(check: Check) -> str | None:
    return (check.detail or {}).get("not_checked")
