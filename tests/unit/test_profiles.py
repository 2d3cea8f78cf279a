from __future__ import annotations

from pathlib import Path

import pytest

from tests.conftest import READY_PROFILE
from vvbatch import profiles
from vvbatch.profiles import ProfileError, read


def profile(folder: Path, more: str) -> Path:
    file = folder / "own.yaml"
    file.write_text(READY_PROFILE + more)
    return file


@pytest.mark.parametrize("key", ["company", "crashed_with_others"])
def test_the_limit_of_crashes_with_others_is_read_under_its_old_and_new_key(tmp_path: Path, key: str) -> None:
    retries = read(profile(tmp_path, f"retries: {{qc: 5, {key}: 3}}\n")).retries
    assert (retries.qc, retries.crashed_with_others) == (5, 3)


def test_the_old_and_the_new_key_of_one_limit_are_refused_together(tmp_path: Path) -> None:
    with pytest.raises(ProfileError, match=r"own\.yaml.*unknown field `company`"):
        read(profile(tmp_path, "retries: {company: 3, crashed_with_others: 3}\n"))


@pytest.mark.parametrize("text", ["", "- a list\n", "just text\n", "retries: 3\n"])
def test_a_file_that_is_not_a_profile_is_refused(tmp_path: Path, text: str) -> None:
    file = tmp_path / "own.yaml"
    file.write_text(text)
    with pytest.raises(ProfileError, match=r"own\.yaml"):
        read(file)


def test_a_tilde_in_the_folder_of_profiles_is_the_users_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "mine").mkdir()
    profile(tmp_path / "mine", "")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("VVBATCH_CONFIGS", "~/mine")
    assert profiles.folders()[0] == tmp_path / "mine"
    assert "own" in profiles.names()


@pytest.mark.parametrize("named", ["nowhere", "file", "~nobody-here/configs", "~/nowhere"])
def test_a_folder_of_profiles_that_does_not_exist_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, named: str
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("VVBATCH_CONFIGS", named)
    with pytest.raises(ProfileError, match=f"VVBATCH_CONFIGS={named}: /.* is not a folder; set VVBATCH_CONFIGS"):
        profiles.names()
