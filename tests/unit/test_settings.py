from __future__ import annotations

from pathlib import Path

import pytest

from vvbatch import settings
from vvbatch.home import Home, HomeError


def written(folder: Path, text: str) -> Home:
    (folder / "settings.yaml").write_text(text)
    return Home(folder)


def test_settings_without_a_file_are_the_defaults(tmp_path: Path) -> None:
    assert settings.load(Home(tmp_path)).keep_speech_days == 30
    assert settings.load(written(tmp_path, "")).keep_speech_days == 30


@pytest.mark.parametrize(("text", "days"), [("keep_speech_days: 7", 7), ("keep_speech_days: null", None)])
def test_settings_are_read_from_the_home_folder(tmp_path: Path, text: str, days: int | None) -> None:
    assert settings.load(written(tmp_path, text)).keep_speech_days == days


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("keep_speech_day: 7", "unknown key 'keep_speech_day', did you mean 'keep_speech_days'"),
        ("keep_speech_days: 0", ">= 1"),
        ("keep_speech_days: soon", "int | null"),
        ("- 1", "unknown key 1"),
        ("7", "settings.yaml"),
        ("a: [", "settings.yaml"),
    ],
)
def test_settings_that_are_wrong_are_refused_with_the_file_and_the_reason(
    tmp_path: Path, text: str, message: str
) -> None:
    with pytest.raises(HomeError) as caught:
        settings.load(written(tmp_path, text))
    assert message in str(caught.value)
