"""Which part of the program may import which, and what must not be loaded before it is needed."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import ROOT

MODELS = {
    "torch",
    "transformers",
    "diffusers",
    "safetensors",
    "piper",
    "onnxruntime",
    "ctranslate2",
    "faster_whisper",
    "spokenform",
    "kaldi_native_fbank",
}
MAY_IMPORT = {"vvbatch": {"vvbatch"}, "jobs": {"jobs", "vvbatch"}, "workers": {"workers", "jobs", "vvbatch"}}
WITH_MODELS = ("vvbatch/engine/", "vvbatch/listening/", "vvbatch/engine/bench/")
"""Engines, the models that hear takes, and the benchmarks of both: imported by name, never on the way to a command."""
HEARING = {ROOT / "vvbatch/listening" / name for name in ("dnsmos.py", "vad.py", "voice.py", "words.py")}
"""One a model; `vvbatch.listening` imports those that are asked for."""
WHEN_CALLED = {("vvbatch/support/doctor/machine.py", "torch"), ("vvbatch/models/convert.py", "torch")}
"""Commands that are about torch, or write tensors: within the function that needs it."""

FILES = sorted(file for package in MAY_IMPORT for file in (ROOT / package).rglob("*.py"))


def imported(file: Path) -> Iterator[str]:
    """Top-level names that the file imports anywhere, also within functions and under TYPE_CHECKING."""
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield (node.module or "").partition(".")[0] if node.level == 0 else file.relative_to(ROOT).parts[0]


def test_there_is_something_to_look_at() -> None:
    assert {"torch", "vvbatch"} <= {name for file in FILES for name in imported(file)}


@pytest.mark.parametrize("package", MAY_IMPORT)
def test_imports_follow_the_flow_and_never_go_backwards(package: str) -> None:
    ours = {*MAY_IMPORT, "tests", "bench"}
    backwards = {
        (str(file.relative_to(ROOT)), name)
        for file in FILES
        if file.relative_to(ROOT).parts[0] == package
        for name in imported(file)
        if name in ours - MAY_IMPORT[package]
    }
    assert backwards == set()


def test_only_engines_and_their_benchmarks_import_a_model_library() -> None:
    others = [file for file in FILES if not str(file.relative_to(ROOT)).startswith(WITH_MODELS)]
    found = {(str(file.relative_to(ROOT)), name) for file in others for name in imported(file) if name in MODELS}
    assert found <= WHEN_CALLED


def test_no_model_library_is_loaded_by_anything_but_an_engines_own_modules() -> None:
    """Every command, worker and job can be imported without one: what only submits needs none installed."""
    names = [
        ".".join(file.relative_to(ROOT).with_suffix("").parts)
        for file in FILES
        if not str(file.relative_to(ROOT)).startswith(("vvbatch/engine/vibevoice/", "vvbatch/engine/bench/"))
        and file not in HEARING
        and file.name != "__main__.py"
    ]
    code = (
        f"import importlib, sys\nfor name in {names}: importlib.import_module(name)\nprint({MODELS} & set(sys.modules))"
    )
    ran = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "set()"


def test_help_loads_neither_the_database_nor_the_queue() -> None:
    """`vvbatch --help` is typed by people who wait for it."""
    code = (
        "import sys; from vvbatch.cli import main\n"
        "main(['--help'], standalone_mode=False)\n"
        "print({'sqlalchemy', 'redis', 'rq', 'numpy', 'rich', 'soundfile'} & set(sys.modules))"
    )
    ran = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert ran.stdout.splitlines()[-1] == "set()" and "Commands" in ran.stdout
