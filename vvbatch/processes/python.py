"""Python processes that vvbatch starts: their command, and the variables that a service or a cron entry needs."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Mapping

NEEDED = re.compile(
    r"VVBATCH_\w+"
    r"|(HF|HUGGINGFACE|TRANSFORMERS|TORCH|TORCHINDUCTOR|TRITON|XDG)(_\w+)?_(HOME|CACHE|CACHE_DIR)"
    r"|(OMP|MKL|OPENBLAS)_NUM_THREADS|VECLIB_MAXIMUM_THREADS|CUDA_VISIBLE_DEVICES"
    r"|PYTHONPATH|SSL_CERT_(FILE|DIR)|PG[A-Z]+"
)
"""Variables that decide where data lies, which server and device are used, and how fast lines are rendered."""
OF_ONE_PROCESS = frozenset(
    f"VVBATCH_{name}" for name in ("SUPERVISOR", "READY", "LISTENER_THREADS", "FAULTS", "COMPLETE")
)
"""Set by a process for its own children, by a test, or by the shell's completion."""
PATH = re.compile(r"\w+_(HOME|CACHE|CONFIGS|OUT|DIR|FOLDER|FILE|PATH)|PGPASSFILE")
"""Variables whose value is a path. Others may be the name of a model, such as VVBATCH_WHISPER=small.en."""
SQLITE = re.compile(r"(sqlite(?:\+\w+)?:///)([^/?:][^?]*)(.*)", re.DOTALL)


def module(name: str, *words: str) -> list[str]:
    """The command `python -P -m NAME WORD…` of this interpreter.

    Without -P the current folder comes first on the import path: a user's `queue.py` would replace Python's.
    """
    return [sys.executable, "-P", "-m", name, *words]


def needed_variables(environment: Mapping[str, str]) -> dict[str, str]:
    """The variables that `vvbatch up` or a night needs when it is started elsewhere, with absolute paths, by name."""
    return {
        name: absolute(name, value)
        for name, value in sorted(environment.items())
        if value and NEEDED.fullmatch(name) and name not in OF_ONE_PROCESS
    }


def absolute(name: str, value: str) -> str:
    """The value with its paths made absolute by the current folder, and `~` replaced by the user's folder."""
    if name == "PYTHONPATH":
        return os.pathsep.join(from_here(part) for part in value.split(os.pathsep) if part)
    if "://" in value:  # a server, a store, or the file of a ledger
        file = SQLITE.fullmatch(value)
        return f"{file[1]}{from_here(file[2])}{file[3]}" if file else value
    if PATH.fullmatch(name) or value.startswith(("~", "./", "../")):
        return from_here(os.path.expanduser(value))  # noqa: PTH111  pathlib raises for an unknown ~user
    return value


def from_here(path: str) -> str:
    return os.path.abspath(path)  # noqa: PTH100  pathlib keeps each `..`
