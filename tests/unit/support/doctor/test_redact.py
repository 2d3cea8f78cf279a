from __future__ import annotations

from pathlib import Path
from urllib.parse import quote

from hypothesis import given
from hypothesis import strategies as st

from vvbatch.support.redact import redacted, secrets_of

PASSWORDS = st.text(st.characters(codec="ascii", exclude_categories=["Cc", "Zs"]), min_size=1, max_size=30)


@given(PASSWORDS.filter(lambda word: word not in "redis://user:***@host:6379/0 failed"))
def test_a_password_in_a_url_is_never_seen(password: str) -> None:
    for scheme in ("redis", "rediss", "postgresql+psycopg", "https"):
        url = f"{scheme}://user:{quote(password, safe='')}@host:6379/0 failed"
        assert redacted(url, set()) == f"{scheme}://user:***@host:6379/0 failed"


def test_a_password_that_a_url_should_have_quoted_is_not_seen_either() -> None:
    assert redacted("redis://:a@b:c/d@host/0", set()) == "redis://:***@host/0"


def test_what_the_environment_calls_secret_is_hidden_wherever_it_stands() -> None:
    environment = {
        "VVBATCH_REDIS_URL": "redis://:p%40ss%21word@db/0",
        "HF_TOKEN": "secret-token",
        "MY_API_KEY": "keykeykey",
        "HOME": "/home/mara",
        "KEYBOARD": "german",
    }
    text = "AUTH p@ss!word, p%40ss%21word; secret-token keykeykey german"
    assert redacted(text, secrets_of(environment)) == "AUTH ***, ***; *** *** german"


def test_tokens_and_query_parameters_are_hidden() -> None:
    text = "hf_abcdefghijkl https://x/y?token=abc&b=1 postgresql://h/db?password=geheim Authorization: Bearer abc.def"
    assert (
        redacted(text, set())
        == "*** https://x/y?token=***&b=1 postgresql://h/db?password=*** Authorization: Bearer ***"
    )


def test_the_users_folder_is_shortened() -> None:
    assert redacted("/home/mara/voices/a.wav", set(), Path("/home/mara")) == "~/voices/a.wav"
    assert redacted("/voices/a.wav", set(), Path("/")) == "/voices/a.wav"
