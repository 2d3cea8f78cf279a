"""A proxy with TLS in front, as docs/server.md sets it up: a small one of our own sends what the page's nginx would."""

from __future__ import annotations

import re
import socket
import ssl
import subprocess
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import httpx2
import pytest
import yaml

from tests.conftest import ROOT
from tests.support.web import Site, serving
from vvbatch.settings import ServeSettings
from vvbatch.web import access

PAGE = (ROOT / "docs" / "server.md").read_text(encoding="utf-8")
NAME = "speech.example"
TOKEN = "a-token-of-more-than-16-characters"


def headers_of_the_page(host: str, client: str, given_for: str) -> dict[str, str]:
    """The headers that the nginx of the page sets."""
    values = {
        "$http_host": host,
        "$proxy_add_x_forwarded_for": f"{given_for}, {client}" if given_for else client,
        "$scheme": "https",
    }
    return {name: values[value] for name, value in re.findall(r"proxy_set_header (\S+) (\S+);", PAGE)}


class Proxy:
    """Ends TLS, sets the page's headers, and passes bytes on as they come. Its clients say where they come from."""

    def __init__(self, folder: Path, to_port: int) -> None:
        self.to_port = to_port
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(folder / "cert.pem", folder / "key.pem")
        self.listening = socket.create_server(("127.0.0.1", 0))
        self.port = int(self.listening.getsockname()[1])
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self) -> None:
        with suppress(OSError):
            while True:
                raw, _ = self.listening.accept()
                threading.Thread(target=self.serve, args=(raw,), daemon=True).start()

    def serve(self, raw: socket.socket) -> None:
        with (
            suppress(OSError),
            self.context.wrap_socket(raw, server_side=True) as client,
            socket.create_connection(("127.0.0.1", self.to_port)) as server,
        ):
            head = b""
            while b"\r\n\r\n" not in head:
                if not (part := client.recv(65_536)):
                    return
                head += part
            head, _, body = head.partition(b"\r\n\r\n")
            server.sendall(self.forwarded(head.decode()).encode() + b"\r\n\r\n" + body)
            threading.Thread(target=pass_on, args=(client, server), daemon=True).start()
            pass_on(server, client)

    def forwarded(self, head: str) -> str:
        first, *rows = head.split("\r\n")
        given = {name.lower(): value.strip() for name, _, value in (row.partition(":") for row in rows)}
        came_from = given.pop("x-test-address", "198.51.100.1")
        added = headers_of_the_page(given.pop("host"), came_from, given.pop("x-forwarded-for", ""))
        given |= {"connection": "close", **added}
        return "\r\n".join([first, *(f"{name}: {value}" for name, value in given.items())])


def pass_on(source: socket.socket, target: socket.socket) -> None:
    with suppress(OSError):
        while part := source.recv(65_536):
            target.sendall(part)
        target.shutdown(socket.SHUT_WR)


@pytest.fixture(scope="module")
def behind(module_home: Path) -> Iterator[tuple[Site, Proxy]]:
    """A server with the settings of the page, and the proxy."""
    folder = module_home
    words = ["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"]
    named = ["-subj", f"/CN={NAME}", "-addext", f"subjectAltName=DNS:{NAME},IP:127.0.0.1"]
    files = ["-keyout", str(folder / "key.pem"), "-out", str(folder / "cert.pem")]
    try:
        subprocess.run(["openssl", *words, *named, *files], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("no openssl makes a certificate here")
    written = yaml.safe_load(re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)[0])["serve"]
    settings = ServeSettings(hosts=tuple(written["hosts"]), proxies=tuple(written["proxies"]))
    with serving(serve=settings, token=TOKEN) as site:
        proxy = Proxy(folder, site.port)
        yield site, proxy
        proxy.listening.close()


@pytest.fixture
def public(behind: tuple[Site, Proxy], module_home: Path) -> Iterator[httpx2.Client]:
    """A client of the public name, which checks the certificate."""
    trusted = ssl.create_default_context(cafile=str(module_home / "cert.pem"))
    url = f"https://127.0.0.1:{behind[1].port}"
    with httpx2.Client(base_url=url, verify=trusted, headers={"Host": NAME}, timeout=60) as client:
        yield client


def bearer(token: str = TOKEN, **more: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}", **{name.replace("_", "-"): value for name, value in more.items()}}


def test_speech_is_sent_on_through_the_proxy_while_it_is_rendered(
    behind: tuple[Site, Proxy], public: httpx2.Client
) -> None:
    engine = behind[0].engine
    assert engine
    text = "The second chunk of this line is rendered when the first has arrived."
    body = {"model": "ready", "voice": "alice", "input": text, "response_format": "wav"}
    with (
        engine.held_after_a_chunk(text) as go_on,
        public.stream("POST", "/v1/audio/speech", json=body, headers=bearer()) as answer,
    ):
        parts = answer.iter_bytes()
        first = next(parts)
        chunks = engine.chunks_of[answer.headers["x-take"]]
        go_on.set()
        rest = b"".join(parts)
    assert first[:4] == b"RIFF" and chunks == 1 and len(rest) > 6400


def test_a_browser_logs_in_from_the_public_page_and_its_cookie_is_for_tls_only(public: httpx2.Client) -> None:
    answer = public.post("/login", data={"token": TOKEN}, headers={"Origin": f"https://{NAME}"})
    assert answer.status_code == 303 and "Secure" in answer.headers["set-cookie"]
    assert public.get("/v1/models").status_code == 200
    foreign = public.post("/logout", headers={"Origin": "https://attacker.example"})
    assert foreign.status_code == 403


def test_wrong_tokens_of_one_client_lock_out_no_other(public: httpx2.Client) -> None:
    codes = [
        public.get(
            "/v1/models", headers=bearer(f"guess {n}", X_Test_Address="198.51.100.7", X_Forwarded_For=f"203.0.113.{n}")
        ).status_code
        for n in range(access.FAILURES + 1)
    ]
    assert codes == [401] * access.FAILURES + [429], "an address that the client itself forged does not count"
    assert public.get("/v1/models", headers=bearer(X_Test_Address="198.51.100.8")).status_code == 200
    assert public.get("/v1/models", headers=bearer(X_Test_Address="198.51.100.7")).status_code == 429


def test_another_name_at_the_proxy_is_refused(public: httpx2.Client) -> None:
    assert public.get("/v1/models", headers=bearer() | {"Host": "attacker.example"}).status_code == 421
