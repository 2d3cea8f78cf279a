"""What is installed: the wheel's content, that it works away from the repository, and that every package is pinned."""

from __future__ import annotations

import importlib.metadata
import os
import re
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.conftest import ROOT

PACKAGES = ("vvbatch", "jobs", "workers")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(folder)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    (file,) = folder.glob("*.whl")
    return file


def test_the_wheel_holds_the_packages_the_profiles_and_the_voices_and_nothing_else(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = {name for name in archive.namelist() if ".dist-info/" not in name}
    code = {str(file.relative_to(ROOT)) for package in PACKAGES for file in (ROOT / package).rglob("*.py")}
    profiles = (ROOT / "configs").rglob("*.yaml")  # and the suites
    configs = {f"vvbatch/bundled/configs/{file.relative_to(ROOT / 'configs')}" for file in profiles}
    voices = {f"vvbatch/bundled/voices/{file.name}" for file in (ROOT / "voices").glob("*.wav")}
    weights = {f"vvbatch/bundled/weights/{file.name}" for file in (ROOT / "weights").glob("*.onnx")}
    assert {f"vvbatch/bundled/configs/{name}.yaml" for name in ("draft", "regress/draft")} <= configs
    assert len(voices) >= 4 and weights
    data = {
        name for name in names if name.startswith(PACKAGES) and not name.endswith(".py") and "/bundled/" not in name
    }
    assert names - data == code | configs | voices | weights | {"vvbatch/bundled/voices/manifest.yaml"}
    assert {Path(name).suffix for name in data} <= {".html", ".css", ".js", ".tcss", ".typed", ".yaml", ".mako", ".sql"}


def test_the_wheels_metadata_name_licence_pythons_extras_and_the_command(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        (folder,) = {name.split("/")[0] for name in archive.namelist() if ".dist-info/" in name}
        metadata = archive.read(f"{folder}/METADATA").decode()
        assert "vvbatch = vvbatch.cli:main" in archive.read(f"{folder}/entry_points.txt").decode()
        assert "Apache License" in archive.read(f"{folder}/licenses/LICENSE").decode()
    assert "License-Expression: Apache-2.0" in metadata and "Requires-Python: <3.14,>=3.11" in metadata
    extras = set(re.findall(r"^Provides-Extra: (.+)$", metadata, re.MULTILINE))
    assert {"all", "dev", "draft", "qc", "vibevoice"} <= extras


def test_an_installed_wheel_plans_a_script_with_its_own_profiles_and_voices(wheel: Path, tmp_path: Path) -> None:
    site = tmp_path / "site packages"
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(site)
    (tmp_path / "first.yaml").write_text("version: 1\ntitle: First\nlines: [The lamp went out at midnight.]\n")
    environment = {**os.environ, "PYTHONPATH": str(site), "VVBATCH_HOME": str(tmp_path / "home")}
    environment.pop("VVBATCH_CONFIGS", None)
    ran = subprocess.run(
        [sys.executable, "-m", "vvbatch", "check", "first.yaml", "--model", "draft"],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    where = subprocess.run(
        [sys.executable, "-c", "from vvbatch import profiles; print(profiles.bundled('voices'))"],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    assert Path(where.stdout.strip()) == site / "vvbatch" / "bundled" / "voices"


def test_every_package_that_an_install_brings_is_pinned_for_every_platform() -> None:
    text = (ROOT / "constraints.txt").read_text()
    pins = {canonicalize_name(name): version for name, version in re.findall(r"^(\S+)==(\S+)$", text, re.MULTILINE)}
    assert len(pins) == len(text.splitlines()), "one name==version a line"
    assert not [version for version in pins.values() if "+" in version], "a local build exists on one platform only"
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    wanted = [line for lines in [project["dependencies"], *extras.values()] for line in lines]
    needed = closure([line for line in wanted if not line.startswith("vvbatch[")])
    assert "sqlalchemy" in needed and "onnxruntime" in needed  # one of ours, and one of somebody else's
    assert needed - pins.keys() == set()


def closure(lines: list[str]) -> set[str]:
    """Names of all packages that these requirements bring here, as far as they are installed."""
    found: set[str] = set()
    seen: set[str] = set()
    while lines:
        line = lines.pop()
        requirement = Requirement(line)
        if line in seen or not applies(requirement):
            continue
        seen.add(line)
        found.add(canonicalize_name(requirement.name))
        try:
            brought = importlib.metadata.requires(requirement.name) or []
        except importlib.metadata.PackageNotFoundError:
            continue
        for each in map(Requirement, brought):
            wanted_by = [extra for extra in ("", *requirement.extras) if applies(each, extra)]
            if wanted_by:
                each.marker = None
                lines.append(str(each))
    return found


def applies(requirement: Requirement, extra: str = "") -> bool:
    return requirement.marker is None or requirement.marker.evaluate({"extra": extra})
