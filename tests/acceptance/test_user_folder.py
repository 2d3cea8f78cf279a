"""The current folder holds modules with the names of Python's, of packages and of ours: no process imports them."""

from __future__ import annotations

import json
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest

from tests.conftest import Shell, wait_until

VVBATCH = str(Path(sys.executable).with_name("vvbatch"))  # the installed command, as a shell runs it
OURS = ("jobs", "workers", "vvbatch", "tests", "bench", "tools")
NOTE = "with open(__file__.partition('/user/')[0] + '/imported', 'a') as file:\n    file.write(__file__ + '\\n')\n"


@pytest.fixture
def user_folder(tmp_path: Path) -> Path:
    """A folder with a module of every name that Python, an installed package or vvbatch has, and a script."""
    folder = tmp_path / "user"
    folder.mkdir()
    for name in {*sys.stdlib_module_names, *metadata.packages_distributions()} - {*OURS}:
        (folder / f"{name}.py").write_text(NOTE)
    for name in OURS:
        (folder / name).mkdir()
        (folder / name / "__init__.py").write_text(NOTE)
    (folder / "script.yaml").write_text(json.dumps({"version": 1, "lines": ["The lamp went out."]}))
    return folder


def imported(tmp_path: Path) -> str:
    file = tmp_path / "imported"
    return file.read_text() if file.exists() else ""


def test_run_its_worker_and_the_listening_process_import_nothing_from_the_users_folder(
    home: Path, user_folder: Path, tmp_path: Path
) -> None:
    pytest.importorskip("piper")
    pytest.importorskip("faster_whisper")
    draft = Path(__file__).parents[2] / "configs" / "draft.yaml"
    (tmp_path / "configs" / "attentive.yaml").write_text(draft.read_text() + "\nlisten: [words]\n")
    command = [VVBATCH, "run", "script.yaml", "--model", "attentive", "--json"]
    done = subprocess.run(command, cwd=user_folder, capture_output=True, text=True, timeout=250, check=False)
    assert imported(tmp_path) == ""
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["counts"]["done"] == 1


def test_up_and_the_nightly_process_import_nothing_from_the_users_folder(
    shell: Shell, user_folder: Path, tmp_path: Path
) -> None:
    pytest.importorskip("piper")
    shell("regress", "schedule", "draft", "--cron", "30 2 * * *")
    up = subprocess.Popen([VVBATCH, "up", "--workers", "draft"], cwd=user_folder, stderr=subprocess.DEVNULL)
    try:
        wait_until(lambda: shell.json("regress", "schedule")["running"], timeout=60)
        wait_until(lambda: shell.json("status")["workers"], timeout=60)
    finally:
        up.terminate()
        up.wait(timeout=60)
    assert imported(tmp_path) == ""


@pytest.mark.parametrize("name", ["workers", "workers.draft", "workers.nightly", "workers.books"])
def test_the_programs_of_the_procfile_import_nothing_from_the_users_folder(
    home: Path, user_folder: Path, tmp_path: Path, name: str
) -> None:
    procfile = (Path(__file__).parents[2] / "Procfile").read_text()
    assert name == "workers" or f": python -P -m {name}\n" in procfile
    command = [sys.executable, "-P", "-m", name]
    try:
        done = subprocess.run(command, cwd=user_folder, capture_output=True, text=True, timeout=3, check=False)
        assert "Traceback" not in done.stderr
    except subprocess.TimeoutExpired:
        pass  # it waits for the queue's server
    assert imported(tmp_path) == ""


@pytest.mark.parametrize("name", ["queue", "random", "typing", "yaml", "redis", "torch", "numpy", "click", "logging"])
def test_python_m_vvbatch_imports_no_module_of_that_name_from_the_users_folder(
    shell: Shell, tmp_path: Path, name: str
) -> None:
    (tmp_path / f"{name}.py").write_text(NOTE.replace("/user/", f"/{name}.py"))
    shell("status")
    assert not (tmp_path / "imported").exists()
