"""No shell, no code from data: what may not be called anywhere in the project's own code."""

from __future__ import annotations

import ast
import re

import pytest

from tests.conftest import ROOT

FILES = [file for folder in ("vvbatch", "jobs", "workers", "voices", "bench") for file in (ROOT / folder).rglob("*.py")]
RUNS_CODE = {"eval", "exec", "compile", "__import__", "execfile"}
SHELL = re.compile(r"os\.(system|popen)|subprocess\.(getoutput|getstatusoutput)|asyncio\.create_subprocess_shell|pty\.")
UNPICKLES = re.compile(r"(pickle|cPickle|_pickle|dill|cloudpickle|joblib|shelve|marshal)(\.|$)")
LOADS = re.compile(r"(torch|np|numpy|yaml)\.(load|load_all|full_load|unsafe_load|load_module)$")
EMPTY = "exec('')"  # runs nothing; vvbatch/cli/common.py says what it is for
ALLOWED_VALUES = {"trust_remote_code": "False", "allow_pickle": "False", "weights_only": "True"}
SAFE_LOADERS = ("SafeLoader", "CSafeLoader", "LOADER", "Loader")  # the names that vvbatch has for PyYAML's safe ones


def problems(source: str, file: str = "x.py") -> list[str]:
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import | ast.ImportFrom):
            module = getattr(node, "module", None)
            found += [name for name in [module, *(each.name for each in node.names)] if UNPICKLES.match(name or "")]
        if isinstance(node, ast.keyword) and node.arg == "shell":
            found.append("shell=")
        if isinstance(node, ast.keyword) and ALLOWED_VALUES.get(node.arg or "", "") not in (
            "",
            ast.unparse(node.value),
        ):
            found.append(ast.unparse(node))
        if isinstance(node, ast.Call):
            found += call_problems(node)
    return [f"{file}: {each}" for each in found]


def call_problems(call: ast.Call) -> list[str]:
    name = ast.unparse(call.func)
    if ast.unparse(call) == EMPTY:
        return []
    if name in RUNS_CODE or SHELL.match(name) or UNPICKLES.match(name):
        return [name]
    if name.endswith(".from_pretrained"):  # which would also take pickled weights
        return [] if "use_safetensors=True" in ast.unparse(call) else [name]
    if LOADS.match(name):
        safe = name.startswith(("np", "numpy")) or any(
            ast.unparse(word.value).rpartition(".")[2] in SAFE_LOADERS for word in call.keywords if word.arg == "Loader"
        )
        return [] if safe else [name]
    argv = call.args[0] if call.args else None
    if name.startswith(("subprocess.", "os.exec", "os.spawn", "os.posix_spawn")) and isinstance(argv, ast.List):
        first = ast.unparse(argv.elts[0]) if argv.elts else ""
        return [f"{name} of a shell"] if re.search(r"['\"/](ba|da|z|k|c)?sh['\"]", first) else []
    return []


def test_no_file_starts_a_shell_or_makes_code_of_data() -> None:
    assert [each for file in FILES for each in problems(file.read_text(), str(file.relative_to(ROOT)))] == []


@pytest.mark.parametrize(
    "bad",
    [
        "import os; os.system('ls')",
        "import os; os.popen('ls')",
        "subprocess.run('ls', shell=True)",
        "subprocess.run(x, shell=wanted)",
        "subprocess.run(['/bin/sh', '-c', x])",
        "subprocess.Popen(['bash', '-c', x])",
        "subprocess.getoutput('ls')",
        "eval('1')",
        "exec(x)",
        "__import__(name)",
        "import pickle",
        "from pickle import loads",
        "import joblib",
        "torch.load(path)",
        "torch.load(path, weights_only=False)",
        "np.load(path, allow_pickle=True)",
        "yaml.load(text)",
        "yaml.load(text, Loader=yaml.UnsafeLoader)",
        "yaml.unsafe_load(text)",
        "AutoModel.from_pretrained(x, use_safetensors=True, trust_remote_code=True)",
        "AutoModel.from_pretrained(x)",
    ],
)
def test_what_is_looked_for_is_found(bad: str) -> None:
    assert problems(bad)
