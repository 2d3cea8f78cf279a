from __future__ import annotations

from pathlib import Path

import pytest

from tests.conftest import READY_PROFILE
from vvbatch import profiles
from vvbatch.profiles import PartWords, ProfileError, read


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


def with_parts(folder: Path, parts: str) -> Path:
    file = profile(folder, "")
    lines = [line for line in file.read_text().splitlines() if not line.startswith("text:")]
    file.write_text("\n".join([*lines, f"text: {{max_chars: 500{parts}}}", ""]))
    return file


@pytest.mark.parametrize("parts", ["", ", part_words: off", ", part_words: 'off'"])
def test_parts_are_off_unless_the_profile_has_them(tmp_path: Path, parts: str) -> None:
    assert read(with_parts(tmp_path, parts)).text.part_words is None


def test_a_profile_says_how_many_words_a_part_has(tmp_path: Path) -> None:
    assert read(with_parts(tmp_path, ", part_words: {best: 60, max: 90}")).text.part_words == PartWords(best=60, max=90)


@pytest.mark.parametrize(
    "parts", ["{min: 0}", "{min: 90, best: 80}", "{best: 170}", "{min: 50, best: 60, max: 90}", "{most: 3}", "on"]
)
def test_parts_that_cannot_be_cut_are_refused(tmp_path: Path, parts: str) -> None:
    with pytest.raises(ProfileError, match=r"own\.yaml.*part_words|own\.yaml.*most"):
        read(with_parts(tmp_path, f", part_words: {parts}"))


def test_the_bundled_vibevoice_profiles_have_parts_and_the_draft_voice_has_none() -> None:
    found = {file.stem: read(file) for file in profiles.bundled("configs").glob("*.yaml")}
    assert {each.text.part_words for each in found.values() if each.engine == "vibevoice"} == {PartWords()}
    assert found["draft"].text.part_words is None
