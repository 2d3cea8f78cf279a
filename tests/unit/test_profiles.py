from __future__ import annotations

from pathlib import Path

import pytest

from tests.conftest import READY_PROFILE
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
