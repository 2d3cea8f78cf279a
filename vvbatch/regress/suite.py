"""Suites: one YAML file each in `configs/regress/`, with the lines of a script and the limits of change."""

from __future__ import annotations

import os
import re
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import msgspec
import yaml

from vvbatch import profiles
from vvbatch.errors import InputError
from vvbatch.profiles import Listen, Strict
from vvbatch.script import Problem, Problems, Script, ScriptError, did_you_mean, parse, parsed_tree
from vvbatch.script import nodes as tree
from vvbatch.script.model import Position, TooManyProblems
from vvbatch.script.source import START, Source, read
from vvbatch.script.yaml_script import SCRIPT_KEYS

OWN_KEYS = ("script", "limits", "shifts", "speed", "listen", "keep_nights")
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


class SuiteError(InputError):
    """A suite is unknown or its file is wrong; the message names the file, the value and what is allowed."""


class Limit(Strict, frozen=True, kw_only=True):
    """A measure above `changed` makes a line changed, above `worse` worse. None: never."""

    changed: float | None = None
    worse: float | None = None


class Limits(Strict, frozen=True, kw_only=True):
    """Limits of one line against its baseline. They apply in both directions unless the comment says which."""

    spectrum_db: Limit = Limit(changed=0.3, worse=3.0)  # a mel band's mean difference after time alignment
    rate: Limit = Limit(changed=0.04, worse=0.1)  # share by which speech is faster or slower
    loudness_db: Limit = Limit(changed=0.5, worse=2.0)
    pitch_semitones: Limit = Limit(changed=0.7, worse=2.0)
    pitch_range_semitones: Limit = Limit(changed=6.0)
    missing_s: Limit = Limit(worse=0.12)  # of speech cut from the end
    added_s: Limit = Limit(worse=0.25)  # of sound after the end
    pause_s: Limit = Limit(changed=0.25, worse=1.0)  # longest inner silence, longer
    noise_db: Limit = Limit(changed=10.0, worse=20.0)  # level of the quietest tenth, higher
    voice: Limit = Limit(changed=0.15, worse=0.4)  # similarity to the baseline's speaker under 1
    words: Limit = Limit(changed=0.05, worse=0.15)  # word error rate minus the baseline's
    naturalness: Limit = Limit(changed=0.3, worse=0.7)  # points below the baseline's, of 5
    background: Limit = Limit(changed=0.3, worse=0.7)
    music: Limit = Limit(changed=0.1, worse=0.25)  # share of the time, minus the baseline's


class Shifts(Strict, frozen=True, kw_only=True):
    """Limits of the median over all lines of a night. A larger and statistically significant shift is worse."""

    rate: float | None = 0.015
    loudness_db: float | None = 0.3
    pitch_semitones: float | None = 0.4
    noise_db: float | None = 6.0
    naturalness: float | None = 0.2
    voice: float | None = 0.1


class Speed(Strict, frozen=True, kw_only=True):
    """Limits of the medians of a night against those of earlier nights on the same machine with as many slots."""

    nights: int = 5  # earlier nights needed for a comparison
    spreads: float = 5.0  # allowed above the median, in robust standard deviations (1.4826 x MAD)
    share: float = 0.25  # allowed above the median at least, as a share of it


class Settings(Strict, frozen=True, kw_only=True):
    """The keys of a suite that a script does not have."""

    script: str | None = None  # path of a script relative to the suite, instead of lines
    limits: Limits = Limits()
    shifts: Shifts = Shifts()
    speed: Speed = Speed()
    listen: tuple[Listen, ...] = ()  # listening models: words, voice, naturalness, music
    keep_nights: int = 14  # nights whose audio is kept


@dataclass(frozen=True)
class Suite:
    name: str
    path: Path
    script: Script
    settings: Settings


def folders() -> list[Path]:
    """The folders of suites: $VVBATCH_CONFIGS, then the bundled one. The first match wins."""
    return [folder / "regress" for folder in profiles.folders()]


def names() -> list[str]:
    return sorted({file.stem for folder in folders() for file in folder.glob("*.yaml")})


def find(suite: str) -> Path:
    """The file of a suite, by its name or its path. Raises SuiteError."""
    if suite.endswith((".yaml", ".yml")) or os.sep in suite:
        if NAME.fullmatch(Path(suite).stem):
            return Path(suite).absolute()
        raise SuiteError(f"suite {suite!r}: the file name must consist of letters, digits, '-', '_' and '.'")
    for folder in folders():
        if NAME.fullmatch(suite) and (file := folder / f"{suite}.yaml").is_file():
            return file
    raise SuiteError(f"unknown suite {suite!r}: there is {', '.join(names())}, or name a file (suite.yaml)")


def load(suite: str) -> Suite:
    """Parse a suite strictly, by name or path. Raises SuiteError, and ScriptError with all problems."""
    path = find(suite)
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
                    return Suite(path.stem, path, script_named(path, settings.script, own["script"], source), settings)
        script = parsed_tree(source, root, problems)
    if problems or script is None:
        raise ScriptError(path, problems, source.text)
    return Suite(path.stem, path, script, settings)


def settings_of(path: Path, text: str) -> Settings:
    """Raises SuiteError."""
    try:
        data = yaml.load(text, Loader=tree.LOADER)
        settings = msgspec.convert({key: data[key] for key in OWN_KEYS if key in data}, Settings)
    except (yaml.YAMLError, ValueError) as error:  # ValueError: from msgspec, or a date that does not exist
        raise SuiteError(f"{path}: {error}") from error
    if settings.keep_nights < 1:
        raise SuiteError(f"{path}: keep_nights {settings.keep_nights}: at least 1, the last night")
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


def script_named(path: Path, name: str, place: Position | None, source: Source) -> Script:
    """The script that a suite names, by a path relative to the suite's folder. Raises ScriptError."""
    file = (path.parent / name).resolve()
    if not file.is_file():
        raise ScriptError(path, [Problem(place or START, f"script {name!r}", f"no such file: {file}")], source.text)
    return parse(file)
