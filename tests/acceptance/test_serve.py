"""`vvbatch serve` as a process: its start, address and token, its workers, and what docs/server.md has to type."""

from __future__ import annotations

import json
import os
import re
import shlex
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import httpx2
import openai
import pytest
import yaml

from tests.conftest import ROOT, Shell, wait_until
from vvbatch.settings import ServeSettings

PAGE = (ROOT / "docs" / "server.md").read_text(encoding="utf-8")
TOKEN = "a-token-of-more-than-16-characters"


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def serving(shell: Shell, *words: str) -> tuple[subprocess.Popen[str], str]:
    """The process and its address on this machine, when it listens."""
    running = shell.start("vvbatch", "serve", "--port", "0", *words)
    assert running.stdout
    line = running.stdout.readline().strip()
    assert line.startswith("http://"), line + running.stdout.read()
    url = line.replace("0.0.0.0", "127.0.0.1")
    wait_until(lambda: answers(url), pause=0.02)
    return running, url


def answers(url: str) -> bool:
    try:
        return httpx2.get(f"{url}/health/live").status_code == 200
    except httpx2.HTTPError:
        return False


def test_it_starts_without_a_worker_says_so_and_ends_with_a_signal(shell: Shell) -> None:
    running, url = serving(shell)
    ready = httpx2.get(f"{url}/health/ready")
    assert ready.status_code == 503 and "vvbatch up --workers" in ready.json()["why"]
    with httpx2.stream("GET", f"{url}/api/events", timeout=60) as stream:
        lines = stream.iter_lines()
        assert next(lines) == ": connected"
        running.send_signal(signal.SIGTERM)
        assert set(lines) == {""}, "the stream is ended, not cut off: that raises RemoteProtocolError"
    assert running.wait(timeout=15) == 0


def test_its_process_has_no_model_library(shell: Shell) -> None:
    code = (
        "import sys, vvbatch.web.server\n"
        "print({'torch', 'transformers', 'piper', 'onnxruntime', 'ctranslate2'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


@pytest.mark.parametrize("host", ["127.0.0.2", "::1", "localhost"])
def test_it_is_reached_by_the_address_that_it_prints(shell: Shell, host: str) -> None:
    try:
        socket.create_server((host, 0), family=socket.AF_INET6 if ":" in host else socket.AF_INET).close()
    except OSError:
        pytest.skip(f"this machine has no {host}")
    _, url = serving(shell, "--host", host)
    assert url.startswith(f"http://[{host}]:" if ":" in host else f"http://{host}:")
    assert httpx2.get(f"{url}/api/status").status_code == 200


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1"])
def test_an_address_that_others_reach_needs_a_token(shell: Shell, host: str) -> None:
    assert "VVBATCH_TOKEN_FILE" in shell("serve", "--host", host, "--port", "0", code=2).stderr
    (shell.folder / "home" / "settings.yaml").write_text(f"serve: {{host: '{host}'}}\n")
    assert "VVBATCH_TOKEN_FILE" in shell("up", "--workers", "draft", "--serve", code=2).stderr


def test_a_proxy_in_front_needs_a_token(shell: Shell) -> None:
    shell("status")
    (shell.folder / "home" / "settings.yaml").write_text("serve: {proxies: [127.0.0.1]}\n")
    for words in (("serve", "--port", "0"), ("up", "--workers", "draft", "--serve")):
        said = shell(*words, code=2).stderr
        assert "VVBATCH_TOKEN_FILE" in said and "serve.proxies" in said


def test_with_a_token_it_serves_all_addresses_to_those_who_have_it(
    shell: Shell, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "token").write_text(TOKEN + "\n")
    monkeypatch.setenv("VVBATCH_TOKEN_FILE", str(tmp_path / "token"))
    _, url = serving(shell, "--host", "0.0.0.0")
    stranger = openai.OpenAI(base_url=f"{url}/v1", api_key="wrong-wrong-wrong", max_retries=0)
    with stranger, pytest.raises(openai.AuthenticationError):
        stranger.models.list()
    with openai.OpenAI(base_url=f"{url}/v1", api_key=TOKEN, max_retries=0) as client:
        assert "ready" in [model.id for model in client.models.list()]


def test_a_port_that_is_in_use_is_named(shell: Shell) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        said = shell("serve", "--port", str(port), code=3).stderr
    assert f"127.0.0.1:{port} cannot be listened on" in said and "--port" in said


def test_workers_keep_a_slot_for_a_live_server_and_give_it_back(shell: Shell, script: Callable[..., Path]) -> None:
    shell.start("vvbatch", "redis")
    shell.start("tests.support.ready", "ready")
    running, _ = serving(shell)
    wait_until(lambda: shell.json("status")["workers"])
    time.sleep(3)  # a worker asks every 2.5 s
    batch = shell.json("submit", str(script(*[f"Line {n} goes slowly slowly." for n in range(64)])))["batch"]

    def rendering() -> int:
        return int(shell.json("status", batch)["counts"]["rendering"])

    wait_until(lambda: rendering() == 15)
    running.send_signal(signal.SIGTERM)
    running.wait(timeout=15)
    wait_until(lambda: rendering() == 16)
    shell("cancel", batch)


def test_up_runs_the_server_too(shell: Shell) -> None:
    pytest.importorskip("piper")
    port = free_port()
    shell("status")
    (shell.folder / "home" / "settings.yaml").write_text(f"serve: {{port: {port}}}\n")
    shell.start("vvbatch", "up", "--workers", "draft", "--serve")
    assert speaks(f"http://127.0.0.1:{port}")


def test_the_procfile_runs_the_server_too(shell: Shell) -> None:
    pytest.importorskip("piper")
    pytest.importorskip("honcho")
    port = free_port()
    shell("status")
    (shell.folder / "home" / "settings.yaml").write_text(f"serve: {{port: {port}}}\n")
    commands = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    with (shell.folder / "honcho.log").open("wb") as output:
        running = shell.start("honcho", "-f", str(ROOT / "Procfile"), "start", output=output, PATH=commands)
        assert speaks(f"http://127.0.0.1:{port}")
        running.send_signal(signal.SIGTERM)
        running.wait(timeout=30)
    wait_until(lambda: not answers(f"http://127.0.0.1:{port}"))


def speaks(url: str) -> bool:
    """Whether the server comes up with a worker that renders."""
    wait_until(lambda: answers(url) and httpx2.get(f"{url}/health/ready").status_code == 200, timeout=60)
    body = {"model": "tts-1", "voice": "alice", "input": "The lamp went out.", "response_format": "wav"}
    return httpx2.post(f"{url}/v1/audio/speech", json=body, timeout=60).content[:4] == b"RIFF"


# docs/server.md


@pytest.fixture
def documented(shell: Shell) -> str:
    """A server and a draft worker at the address of the page."""
    pytest.importorskip("piper")
    pytest.importorskip("av")
    _, url = serving(shell)
    shell.start("vvbatch", "up", "--workers", "draft")
    wait_until(lambda: httpx2.get(f"{url}/health/ready").status_code == 200, timeout=60)
    return url


def test_the_commands_of_the_page_work(shell: Shell, documented: str, tmp_path: Path) -> None:
    (tmp_path / "book.yaml").write_text("version: 1\ntitle: Pier\nmodel: draft\nlines:\n- The lamp went out.\n")
    done: list[str] = []
    for line in "\n".join(blocks("sh")).replace("\\\n", " ").splitlines():
        words = shlex.split(line.partition("  #")[0].replace("http://127.0.0.1:8880", documented))
        if words[:1] == ["curl"]:
            ran = subprocess.run(words, cwd=tmp_path, capture_output=True, check=False, timeout=60)
            assert ran.returncode == 0 and b'"error":{' not in ran.stdout, ran.stdout
            done.append(words[2])
    assert len(done) == 4
    assert (tmp_path / "lamp.wav").read_bytes()[:4] == b"RIFF"
    (code,) = blocks("python")
    code = code.replace("http://127.0.0.1:8880", documented)
    subprocess.run([sys.executable, "-c", code], cwd=tmp_path, check=True, timeout=60)
    assert len((tmp_path / "lamp.mp3").read_bytes()) > 3000


def test_the_commands_that_start_it_exist() -> None:
    from vvbatch.cli import COMMANDS
    from vvbatch.cli.up import up

    typed = [line for block in blocks("sh") for line in block.splitlines() if "vvbatch " in line and "pip" not in line]
    assert any("up --workers draft --serve" in line for line in typed) and any(
        "--host 0.0.0.0" in line for line in typed
    )
    assert {"--serve"} <= {word for option in up.params for word in option.opts}
    assert "serve" in COMMANDS


def test_the_settings_of_the_page_are_the_defaults() -> None:
    import msgspec

    written: Any = yaml.safe_load(blocks("yaml")[-1])["serve"]
    assert set(written) == set(ServeSettings.__struct_fields__)
    assert msgspec.convert(written, ServeSettings) == ServeSettings()


def named_paths() -> set[str]:
    """Every path in backticks; a word after one in the same list stands for its last part: `/a/ID/lines`, `takes`."""
    paths: set[str] = set()
    for row in PAGE.splitlines():
        before, end = "", 0
        for found in re.finditer(r"`(?:GET |POST )?([\w/.]+)(?:\?[^`]*)?`", row):
            given = found[1]
            if given.startswith("/"):
                before = given
                paths.add(given)
            elif before and re.fullmatch(r", (and )?", row[end : found.start()]):
                paths.add(f"{before.rpartition('/')[0]}/{given}")
            else:
                before = ""
            end = found.end()
    return paths


def test_the_page_names_every_path_and_no_other() -> None:
    from vvbatch.web.endpoints import ENDPOINTS, PAGES

    ids = {"{batch}": "ID", "{line}": "LINE", "{take}": "TAKE", "{file}": "FILE"}
    served = {re.sub(r"\{\w+\}", lambda id_: ids[id_[0]], each.path) for each in (*ENDPOINTS, *PAGES)}
    assert named_paths() == served | {"/openapi.json"}


def test_the_page_names_every_figure_and_header() -> None:
    source = "".join(file.read_text() for file in (ROOT / "vvbatch" / "web").glob("*.py"))
    figures = set(re.findall(r'"(vvbatch_\w+)"', source))
    headers = set(re.findall(r'"(x-(?!content-type|frame)[a-z-]+)"', source))
    assert len(figures) == 13 and len(headers) == 4
    assert [name for name in figures if name not in PAGE] == []
    assert [name for name in headers if name not in PAGE.lower()] == []


# Open WebUI, as its backend sends it (routers/audio.py)


def test_open_webui_finds_models_and_voices_and_speaks(shell: Shell, documented: str) -> None:
    base = f"{documented}/v1"
    agent = {"User-Agent": "python-requests/2.32", "Accept": "*/*", "Accept-Encoding": "gzip, deflate"}
    models = httpx2.get(f"{base}/audio/models", headers=agent).json()["models"]
    voices = httpx2.get(f"{base}/audio/voices", headers=agent).json()["voices"]
    names = {voice["id"]: voice["name"] for voice in voices}
    assert "draft" in [model["id"] for model in models] and names["alice"] == "alice"
    headers = {
        "Content-Type": "application/json",
        "Authorization": "Bearer sk-none",
        "X-OpenWebUI-User-Name": "Mara",
        "User-Agent": "Python/3.11 aiohttp/3.11",
    }
    payload = {"model": "tts-1", "input": "Hello **there**, this is a message. 🙂", "voice": "alice"}
    answer = httpx2.post(f"{base}/audio/speech", json=payload, headers=headers, timeout=60)
    assert answer.status_code == 200 and answer.headers["content-type"] == "audio/mpeg" and len(answer.content) > 3000
    refused = httpx2.post(f"{base}/audio/speech", json=payload | {"voice": "alloy"}, headers=headers)
    assert refused.status_code == 400 and "unknown voice 'alloy'" in refused.json()["error"]["message"]


# Home Assistant, as the integration `openai_tts` sends it (openaitts_engine.py, voice_discovery.py)


def test_home_assistant_finds_voices_and_speaks(documented: str) -> None:
    speech = f"{documented}/v1/audio/speech"  # as its form asks for it
    key = {"Authorization": "Bearer none"}
    listed = httpx2.get(speech.replace("/speech", "/voices"), headers=key).json()["voices"]
    assert {"id": "alice", "name": "alice"} in listed
    headers = {"Content-Type": "application/json", "User-Agent": "HomeAssistant-OpenAI-TTS", **key}
    payload = {
        "model": "tts-1",
        "input": "The washing machine has finished.",
        "voice": "alice",
        "response_format": "mp3",
        "speed": 1.0,
    }
    with urlopen(Request(speech, json.dumps(payload).encode(), headers), timeout=30) as answer:  # a whole message
        assert answer.headers["Content-Type"] == "audio/mpeg"
        assert len(answer.read()) > 3000
    said_slowly = payload | {"instructions": "Speak slowly."}
    with httpx2.stream("POST", speech, json=said_slowly, headers=headers, timeout=60) as streamed:  # of an assistant
        assert streamed.status_code == 200 and "instructions are ignored" in streamed.headers["x-warnings"]
        assert sum(map(len, streamed.iter_bytes())) > 3000
