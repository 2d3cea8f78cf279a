"""The rules of the code's layout, which docs/architecture.md states: imports, rooms, documents.

Imports are read from the source, so that those within functions count too. Those under `if TYPE_CHECKING:` do not: no
process ever runs them. A package's `__init__` is a module of its own: `from vvbatch.ledger import Ledger` imports
`vvbatch.ledger`, `from vvbatch.ledger.records import Claim` imports `vvbatch.ledger.records` only.
"""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping, Set
from functools import cache
from graphlib import CycleError, TopologicalSorter
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
    "kaldi_native_fbank",
}
MAY_IMPORT = {"vvbatch": {"vvbatch"}, "jobs": {"jobs", "vvbatch"}, "workers": {"workers", "jobs", "vvbatch"}}
NOT_SHIPPED = {"tests", "bench", "tools"}
WITH_MODELS = ("vvbatch/engine/", "vvbatch/listening/")
"""Engines with their benchmarks, and the listening models: imported by name, never on the way to a command."""
LISTENING_MODELS = {ROOT / "vvbatch/listening" / name for name in ("dnsmos.py", "vad.py", "voice.py", "words.py")}
"""One file a model; `vvbatch.listening` imports those that a profile names."""
WHEN_CALLED = {("vvbatch/support/doctor/machine.py", "torch")}
"""Commands about torch itself: within the function that needs it."""
CONTRACT_MAY_IMPORT = {"vvbatch.errors"}
LOOSE_MODULES = 10
READING_LIST = 20
UNTYPED_DICTS = 19
JSON_EDGE = (
    "vvbatch/cli/",  # prints the documents of --json
    "vvbatch/ledger/export.py",  # rows of any table as JSON lines
    "vvbatch/ledger/sql.py",  # rows of any SELECT
    "vvbatch/listening/wire.py",  # the messages between a worker and its listening process
)

FILES = sorted(file for package in MAY_IMPORT for file in (ROOT / package).rglob("*.py"))


def module_of(file: Path) -> str:
    parts = file.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {module_of(file): file for file in FILES}


def run_time_nodes(tree: ast.AST) -> Iterator[ast.AST]:
    """All nodes but those under `if TYPE_CHECKING:`."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and ast.unparse(node.test) in ("TYPE_CHECKING", "typing.TYPE_CHECKING"):
            for alternative in node.orelse:
                yield alternative
                yield from run_time_nodes(alternative)
        else:
            yield node
            yield from run_time_nodes(node)


def imports(source: str, modules: Set[str] = frozenset(MODULES)) -> set[str]:
    """Full names of what a source imports at run time: `from a import b` is a.b where that is one of `modules`."""
    found = set()
    for node in run_time_nodes(ast.parse(source)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.module and not node.level, "a relative import: name the whole module"
            names = {f"{node.module}.{alias.name}" for alias in node.names}
            found |= (names & modules) | ({node.module} if names - modules else set())
    return found


@cache
def imports_of(file: Path) -> set[str]:
    return imports(file.read_text(encoding="utf-8"))


def top_level_imports(file: Path) -> set[str]:
    return {name.partition(".")[0] for name in imports_of(file)}


def circle(graph: Mapping[str, Set[str]]) -> list[str]:
    """Modules that import each other in a ring, first and last the same; empty if there is none."""
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        ring: list[str] = error.args[1]
        return ring
    return []


def section(document: str, heading: str) -> str:
    """The text of one `## heading` of a Markdown file of the project, up to the next one."""
    text = (ROOT / document).read_text(encoding="utf-8")
    found = re.search(rf"^## {re.escape(heading)}\n(.*?)(?=^## |\Z)", text, re.MULTILINE | re.DOTALL)
    assert found, f"{document} has no section {heading!r}"
    return found[1]


# Imports


def test_the_import_graph_is_read_from_every_form_of_import() -> None:
    source = """
import torch.nn
from typing import TYPE_CHECKING
from vvbatch import store, __version__
from vvbatch.ledger import Ledger
if TYPE_CHECKING:
    from vvbatch import profiles
else:
    from vvbatch import home
def later():
    from vvbatch.engine.draft import DraftEngine
"""
    wanted = {"vvbatch", "vvbatch.store", "vvbatch.ledger", "vvbatch.home", "vvbatch.engine.draft"}
    assert imports(source) == wanted | {"torch.nn", "typing"}
    assert circle({"a": {"b"}, "b": {"c"}, "c": {"b"}, "d": set()}) in (["b", "c", "b"], ["c", "b", "c"])
    assert {"torch", "vvbatch"} <= {name for file in FILES for name in top_level_imports(file)}


def test_no_modules_import_each_other_in_a_circle() -> None:
    graph = {name: imports_of(file) & set(MODULES) - {name} for name, file in MODULES.items()}
    assert circle(graph) == []


@pytest.mark.parametrize("package", MAY_IMPORT)
def test_imports_point_from_workers_to_jobs_to_vvbatch(package: str) -> None:
    backwards = {
        (str(file.relative_to(ROOT)), name)
        for file in FILES
        if file.relative_to(ROOT).parts[0] == package
        for name in top_level_imports(file)
        if name in {*MAY_IMPORT, *NOT_SHIPPED} - MAY_IMPORT[package]
    }
    assert backwards == set()


def test_the_engine_contract_imports_nothing_of_ours_but_errors() -> None:
    ours = {
        name
        for name in imports_of(ROOT / "vvbatch/engine/contract.py")
        if name.partition(".")[0] in {*MAY_IMPORT, *NOT_SHIPPED}
    }
    assert ours <= CONTRACT_MAY_IMPORT


def test_only_engines_and_listening_models_import_a_model_library() -> None:
    others = [file for file in FILES if not str(file.relative_to(ROOT)).startswith(WITH_MODELS)]
    found = {(str(file.relative_to(ROOT)), name) for file in others for name in top_level_imports(file) & MODELS}
    assert found <= WHEN_CALLED


@pytest.mark.slow
def test_importing_anything_but_an_engine_loads_no_model_library() -> None:
    """Commands, workers and jobs can be imported without one: a machine that only submits needs none installed."""
    names = [
        module_of(file)
        for file in FILES
        if not str(file.relative_to(ROOT)).startswith(("vvbatch/engine/vibevoice/", "vvbatch/engine/bench/"))
        and file not in LISTENING_MODELS
        and file.name != "__main__.py"
    ]
    code = (
        f"import importlib, sys\nfor name in {names}: importlib.import_module(name)\nprint({MODELS} & set(sys.modules))"
    )
    ran = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "set()"


@pytest.mark.slow
def test_help_loads_neither_the_database_nor_the_queue() -> None:
    """`vvbatch --help` must answer at once."""
    code = (
        "import sys; from vvbatch.cli import main\n"
        "main(['--help'], standalone_mode=False)\n"
        "print({'sqlalchemy', 'redis', 'rq', 'numpy', 'rich', 'soundfile'} & set(sys.modules))"
    )
    ran = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert ran.stdout.splitlines()[-1] == "set()" and "Commands" in ran.stdout


# Rooms and types


def test_few_modules_stand_outside_of_a_room() -> None:
    loose = [file.name for file in (ROOT / "vvbatch").glob("*.py") if file.name != "__init__.py"]
    assert len(loose) <= LOOSE_MODULES, sorted(loose)


def test_few_dicts_without_types_pass_between_functions() -> None:
    """`dict[str, Any]` outside of JSON_EDGE, where documents are made or read; elsewhere data has fields with types."""
    found = {
        str(file.relative_to(ROOT)): file.read_text(encoding="utf-8").count("dict[str, Any]")
        for file in FILES
        if not str(file.relative_to(ROOT)).startswith(JSON_EDGE)
    }
    assert sum(found.values()) <= UNTYPED_DICTS, {name: count for name, count in found.items() if count}


# Documents

PATH = re.compile(r"`((?:\.?[A-Za-z_][\w.-]*/)+[\w.-]*|[\w.-]+\.(?:py|md|toml|txt|yaml)|Makefile|Procfile)`")
"""A file or folder as documents name it: in backticks, with a slash or a known ending."""


def named_paths(document: str) -> list[str]:
    """All paths but those of the tree, where files stand below their folders."""
    text = (ROOT / document).read_text(encoding="utf-8")
    return PATH.findall(re.sub(r"^## The tree\n.*?(?=^## |\Z)", "", text, flags=re.MULTILINE | re.DOTALL))


@pytest.mark.parametrize("document", ["docs/architecture.md", "CONTRIBUTING.md"])
def test_every_path_that_a_document_names_exists(document: str) -> None:
    paths = named_paths(document)
    assert len(paths) >= 10
    assert [path for path in paths if not (ROOT / path).exists()] == []


def test_the_life_of_a_line_is_a_reading_list_of_few_files() -> None:
    items = re.findall(r"^(\d+)\. (.*)$", section("docs/architecture.md", "The life of a line"), re.MULTILINE)
    assert [int(number) for number, _ in items] == list(range(1, len(items) + 1))
    paths = [match[1] if (match := re.match(r"`([^`]+\.py)`", text)) else text for _, text in items]
    assert 5 <= len(paths) <= READING_LIST and len(set(paths)) == len(paths)
    assert [path for path in paths if not (ROOT / path).is_file()] == []


def test_the_tree_has_a_line_for_every_module() -> None:
    """Each folder by its path, each file by its name below its folder."""
    tree = section("docs/architecture.md", "The tree")
    folders: dict[str, set[str]] = {}
    for line in tree.splitlines():
        if heading := re.match(r"\*\*`([\w/]+)/`\*\*", line):
            names = folders.setdefault(heading[1], set())
        elif item := re.match(r"- ((?:`[\w.]+`(?:, )?)+)", line):
            names |= set(re.findall(r"`([\w.]+)`", item[1]))
    wanted: dict[str, set[str]] = {}
    for file in FILES:
        if file.stat().st_size and file.name != "__init__.py":
            wanted.setdefault(str(file.parent.relative_to(ROOT)), set()).add(file.name)
    listed = {f"{folder}/{name}" for folder, names in folders.items() for name in names}
    assert listed == {f"{folder}/{name}" for folder, names in wanted.items() for name in names}


def test_the_readme_pictures_only_rooms_that_exist() -> None:
    picture = re.search(r"```\n(.*?)```", section("README.md", "How it is put together"), re.DOTALL)
    assert picture
    rooms = re.findall(r"[\w/]+/(?=\s|$)", picture[1])
    assert len(rooms) >= 8
    assert [room for room in rooms if not ((ROOT / room).is_dir() or (ROOT / "vvbatch" / room).is_dir())] == []
