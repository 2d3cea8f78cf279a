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


@pytest.mark.parametrize(
    "proxy", ["*", "0.0.0.0/0", "::/0", "proxy.example", "10.0.0.1/8", "10.0.0.1, 10.0.0.2", "10.0.0.1:80", "", " ::1"]
)
def test_a_proxy_that_is_everyone_or_no_address_is_refused(tmp_path: Path, proxy: str) -> None:
    """Of the first kind every client could name its own address, and those of the other are never met."""
    with pytest.raises(HomeError, match=r"serve\.proxies: .*such as 192\.0\.2\.1"):
        settings.load(written(tmp_path, f"serve: {{proxies: ['127.0.0.1', '{proxy}']}}"))


def test_proxies_are_addresses_and_networks(tmp_path: Path) -> None:
    given = ("127.0.0.1", "::1", "10.0.0.0/8", "2001:db8::/64")
    assert settings.load(written(tmp_path, f"serve: {{proxies: {list(given)}}}")).serve.proxies == given
