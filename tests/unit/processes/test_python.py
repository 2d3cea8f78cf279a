from __future__ import annotations

from pathlib import Path

import pytest

from vvbatch.processes.python import needed_variables


@pytest.mark.parametrize(
    "name",
    [
        "VVBATCH_REDIS_URL",
        "VVBATCH_REDIS_INSECURE",
        "VVBATCH_LEDGER_URL",
        "VVBATCH_WHISPER",
        "VVBATCH_ANY_LATER_ONE",
        "OMP_NUM_THREADS",
        "CUDA_VISIBLE_DEVICES",
        "PGPASSWORD",
    ],
)
def test_a_variable_is_passed_on_as_it_is(name: str) -> None:
    assert needed_variables({name: "small.en", "EDITOR": "vi"}) == {name: "small.en"}


@pytest.mark.parametrize(
    "name",
    [
        "VVBATCH_HOME",
        "VVBATCH_CONFIGS",
        "VVBATCH_OUT",
        "HF_HOME",
        "HF_HUB_CACHE",
        "HUGGINGFACE_HUB_CACHE",
        "TRANSFORMERS_CACHE",
        "TORCH_HOME",
        "TORCHINDUCTOR_CACHE_DIR",
        "XDG_CACHE_HOME",
        "XDG_DATA_HOME",
        "XDG_CONFIG_HOME",
    ],
)
def test_a_path_is_passed_on_absolute(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", "/users/me")
    for given, passed in [("a b", f"{tmp_path}/a b"), ("~/x", "/users/me/x"), ("/x", "/x")]:
        assert needed_variables({name: given}) == {name: passed}


def test_paths_within_other_values_are_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", "/users/me")
    given = {
        "PYTHONPATH": ":src::/lib",
        "VVBATCH_LEDGER_URL": "sqlite:///books.sqlite3?timeout=5",
        "VVBATCH_OUT": "s3://bucket/prefix",
        "VVBATCH_REDIS_URL": "unix:///run/redis.sock",
        "VVBATCH_WHISPER": "Systran/faster-whisper-base",
    }
    assert needed_variables(given) == {
        **given,
        "PYTHONPATH": f"{tmp_path}/src:/lib",
        "VVBATCH_LEDGER_URL": f"sqlite:///{tmp_path}/books.sqlite3?timeout=5",
    }
    assert needed_variables({"VVBATCH_WHISPER": "~/whisper"}) == {"VVBATCH_WHISPER": "/users/me/whisper"}
    assert needed_variables({"VVBATCH_LEDGER_URL": "sqlite:////x/y"}) == {"VVBATCH_LEDGER_URL": "sqlite:////x/y"}


@pytest.mark.parametrize(
    "name", ["VVBATCH_SUPERVISOR", "VVBATCH_FAULTS", "XDG_RUNTIME_DIR", "XDG_SESSION_ID", "HF_TOKEN", "HOME", "PATH"]
)
def test_a_variable_of_one_process_or_login_is_left_out(name: str) -> None:
    assert needed_variables({name: "x"}) == {}
