"""Suites: one YAML file each in `configs/regress/`, a script's lines and how much they may change."""

from __future__ import annotations

import os
import re
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import yaml

from vvbatch import profiles
from vvbatch.errors import InputError
from vvbatch.profiles import Listen, Strict
from vvbatch.script import Problem, Problems, Script, ScriptError, did_you_mean, parse, parsed_tree
from vvbatch.script import nodes as tree
from vvbatch.script.model import TooManyProblems
from vvbatch.script.source import START, read
from vvbatch.script.yaml_script import SCRIPT_KEYS

OWN_KEYS = ("script", "limits", "shifts", "speed", "listen", "keep_nights")
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


class SuiteError(InputError):
    """A suite is unknown or its file is wrong; the message names the file, the value and what is allowed."""


class Limit(Strict, frozen=True, kw_only=True):
    """From where on a measure makes a line `changed`, and from where on `worse`; None: never."""

    changed: float | None = None
    worse: float | None = None


class Limits(Strict, frozen=True, kw_only=True):
    """Of one line against its baseline. Up or down alike, unless the name says which."""

    spectrum_db: Limit = Limit(changed=0.3, worse=3.0)  # a mel band's mean difference after time alignment
    rate: Limit = Limit(changed=0.04, worse=0.1)  # share by which the speech is faster or slower
    loudness_db: Limit = Limit(changed=0.5, worse=2.0)
    pitch_semitones: Limit = Limit(changed=0.7, worse=2.0)
    pitch_range_semitones: Limit = Limit(changed=6.0)
    missing_s: Limit = Limit(worse=0.12)  # of speech cut from the end
    added_s: Limit = Limit(worse=0.25)  # of sound after the end
    pause_s: Limit = Limit(changed=0.25, worse=1.0)  # longest inner silence, longer
    noise_db: Limit = Limit(changed=10.0, worse=20.0)  # level of the quietest tenth, higher
    voice: Limit = Limit(changed=0.15, worse=0.4)  # similarity to the baseline's speaker under 1
    words: Limit = Limit(changed=0.05, worse=0.15)  # word error rate over the baseline's
    naturalness: Limit = Limit(changed=0.3, worse=0.7)  # points under the baseline's, of 5
    background: Limit = Limit(changed=0.3, worse=0.7)
    music: Limit = Limit(changed=0.1, worse=0.25)  # share of the time, over the baseline's


class Shifts(Strict, frozen=True, kw_only=True):
    """Of the whole night: the median over its lines, where it stands out of their spread; beyond is worse."""

    rate: float | None = 0.015
    loudness_db: float | None = 0.3
    pitch_semitones: float | None = 0.4
    noise_db: float | None = 6.0
    naturalness: float | None = 0.2
    voice: float | None = 0.1


class Speed(Strict, frozen=True, kw_only=True):
    """The night's medians against those of earlier nights on the same machine."""

    nights: int = 5  # as many are needed before anything is said
    spreads: float = 5.0  # allowed over the median, in spreads (1.4826 times the median deviation)
    share: float = 0.25  # and at least so much of the median


class Settings(Strict, frozen=True, kw_only=True):
    """What a suite's file has besides a script's keys."""

    script: str | None = None  # a script file beside the suite, instead of lines
    limits: Limits = Limits()
    shifts: Shifts = Shifts()
    speed: Speed = Speed()
    listen: tuple[Listen, ...] = ()  # of words, voice, naturalness, music: what models hear in both takes
    keep_nights: int = 14  # whose audio is kept


@dataclass(frozen=True)
class Suite:
    name: str
    path: Path
    script: Script
    settings: Settings


def folders() -> list[Path]:
    """Where suites are looked for, first wins: $VVBATCH_CONFIGS, then the bundled ones."""
    return [folder / "regress" for folder in profiles.folders()]


def names() -> list[str]:
    return sorted({file.stem for folder in folders() for file in folder.glob("*.yaml")})


def find(word: str) -> Path:
    """The file of a suite, by its name or its path. Raises SuiteError."""
    if word.endswith((".yaml", ".yml")) or os.sep in word:
        if NAME.fullmatch(Path(word).stem):
            return Path(word).absolute()
        raise SuiteError(f"suite {word!r}: its file's name must be letters, digits, '-', '_' and '.'")
    for folder in folders():
        if NAME.fullmatch(word) and (file := folder / f"{word}.yaml").is_file():
            return file
    raise SuiteError(f"unknown suite {word!r}: there is {', '.join(names())}, or name a file (suite.yaml)")


def load(word: str) -> Suite:
    """Parse a suite strictly. Raises SuiteError, and ScriptError with every problem of its lines and their places."""
    path = find(word)
    problems = Problems()
    source = read(path, problems)
    settings, script = Settings(), None
    with suppress(TooManyProblems):
        root = tree.read_nodes(source, problems)
        if isinstance(root, tree.Fields):
            own = {key.raw: key.position for key, _ in root.pairs if key.raw in OWN_KEYS}
            for key, _ in root.pairs:
                if key.raw not in (allowed := (*SCRIPT_KEYS, *OWN_KEYS)):
                    meant = did_you_mean(key.raw, allowed)
                    problems.add(key.position, f"unknown key {key.raw[:60]!r} in the suite{meant}", ", ".join(allowed))
            root.pairs = [(key, value) for key, value in root.pairs if key.raw in SCRIPT_KEYS]
            if not problems:
                settings = settings_of(path, source.text)
            if settings.script is not None:
                for key, _ in root.pairs:
                    if key.raw in ("lines", "chapters", "speakers", "defaults"):
                        problems.add(key.position, f"both script and {key.raw}", "one of them")
                if not problems:
                    return Suite(path.stem, path, script_beside(path, settings.script, own["script"], source), settings)
        script = parsed_tree(source, root, problems)
    if problems or script is None:
        raise ScriptError(path, problems, source.text)
    return Suite(path.stem, path, script, settings)


def settings_of(path: Path, text: str) -> Settings:
    """Raises SuiteError."""
    try:
        data: dict[str, Any] = yaml.load(text, Loader=tree.LOADER)
        settings = msgspec.convert({key: data[key] for key in OWN_KEYS if key in data}, Settings)
    except (yaml.YAMLError, ValueError) as error:  # ValueError: msgspec's, or a date that does not exist
        raise SuiteError(f"{path}: {error}") from error
    if settings.keep_nights < 1:
        raise SuiteError(f"{path}: keep_nights {settings.keep_nights}: at least 1, last night's")
    for name, value in [
        *msgspec.structs.asdict(settings.shifts).items(),
        *msgspec.structs.asdict(settings.speed).items(),
    ]:
        if value is not None and not 0 <= value < float("inf"):
            raise SuiteError(f"{path}: {name} {value}: 0 or more")
    for name in Limits.__struct_fields__:
        limit: Limit = getattr(settings.limits, name)
        if any(value is not None and not 0 <= value < float("inf") for value in (limit.changed, limit.worse)):
            raise SuiteError(f"{path}: limits: {name}: 0 or more")
        if limit.changed is not None and limit.worse is not None and limit.changed > limit.worse:
            raise SuiteError(f"{path}: limits: {name}: changed {limit.changed} is beyond worse {limit.worse}")
    return settings


def script_beside(path: Path, name: str, place: Any, source: Any) -> Script:
    """The script that a suite names, by a path from the suite's own folder. Raises ScriptError."""
    file = (path.parent / name).resolve()
    if not file.is_file():
        raise ScriptError(path, [Problem(place or START, f"script {name!r}", f"no such file: {file}")], source.text)
    return parse(file)
