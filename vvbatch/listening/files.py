"""Checks of audio files, with and without models, for `vvbatch qc`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NotRequired, TypedDict

import numpy as np
from numpy.typing import NDArray

from vvbatch import audio
from vvbatch.listening.contract import Clip
from vvbatch.listening.models import ListeningModels
from vvbatch.profiles import QcLimits
from vvbatch.qc.check import Check, CheckJson, at_least, at_most
from vvbatch.qc.judge import judge

BATCH = 8  # files that the models check at once


@dataclass(frozen=True)
class Expected:
    """What the files should contain."""

    limits: QcLimits
    text: str | None = None
    voice: Path | None = None
    language: str | None = None  # of the text, as a language tag; None: detected in it


class FileJson(TypedDict):
    """A report in the JSON of `vvbatch qc`."""

    file: str
    ok: bool
    checks: list[CheckJson]
    not_checked: dict[str, str]
    error: NotRequired[str]


@dataclass(frozen=True)
class FileReport:
    """The checks of one file, and the reason for each check that was not made."""

    file: Path
    checks: Sequence[Check]
    not_checked: Mapping[str, str] = field(default_factory=dict)
    error: str | None = None

    @property
    def ok(self) -> bool:
        return all(check.ok for check in self.checks)

    def as_json(self) -> FileJson:
        """`{"file", "ok", "checks": [{"name", "value", "limit", "ok", "weight"}], "not_checked": {name: reason}}`.

        A file that cannot be read has an `error` as well.
        """
        plain = FileJson(
            file=str(self.file),
            ok=self.ok,
            checks=[check.as_json() for check in self.checks],
            not_checked=dict(self.not_checked),
        )
        if self.error:
            plain["error"] = self.error
        return plain


def reports(
    paths: Sequence[Path],
    expected: Expected,
    models: ListeningModels | None = None,
    not_checked: Mapping[str, str] | None = None,
) -> Iterator[FileReport]:
    """The report of each file, in order.

    Several channels are checked as one (see `vvbatch.audio.mono`), and fail the check `channels`. A file that
    cannot be read fails the check `readable` and has no other. `not_checked` gives the reason for each listening model
    that is not in `models`.
    """
    for start in range(0, len(paths), BATCH):
        batch = [_read(path, expected) for path in paths[start : start + BATCH]]
        listened = _listen(batch, expected, models)
        for file in batch:
            yield _report(file, listened.get(file.path, []), not_checked or {})


@dataclass(frozen=True)
class _File:
    path: Path
    checks: list[Check]
    samples: NDArray[np.float32] | None = None  # mono (frames,); None: nothing that a model could check
    sample_rate: int = 0
    error: str | None = None


def _read(path: Path, expected: Expected) -> _File:
    try:
        samples, rate = audio.read(path)
    except audio.AudioError as error:
        return _File(path, [at_least("readable", 0, 1)], error=str(error))
    channels = samples.shape[1] if samples.ndim > 1 else 1
    mono = audio.mono(samples, rate)[0].astype(np.float32) if channels > 1 else samples
    checks = [at_most("channels", channels, 1), *judge(mono, rate, expected.text, expected.limits)]
    audible = len(mono) and np.isfinite(mono).all() and np.abs(mono).max() > 0
    return _File(path, checks, mono if audible else None, rate)


def _listen(files: Sequence[_File], expected: Expected, models: ListeningModels | None) -> dict[Path, list[Check]]:
    """The models' checks of every audible file."""
    clips = {
        file.path: Clip(
            file.samples, file.sample_rate, expected.text, expected.voice, expected.limits, expected.language
        )
        for file in files
        if file.samples is not None
    }
    if models is None or not clips:
        return {}
    return dict(zip(clips, models.check(list(clips.values())), strict=True))


def _report(file: _File, listened: Sequence[Check], not_checked: Mapping[str, str]) -> FileReport:
    made, reasons = list(file.checks), dict(not_checked)
    for check in listened:
        if check.detail and "not_checked" in check.detail:
            reasons[check.name] = check.detail["not_checked"]
        else:
            made.append(check)
    return FileReport(file.path, made, reasons, file.error)
