"""What a stranger may try, and what comes of it."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx2
import pytest
from starlette.datastructures import Headers

from tests.conftest import wait_until
from tests.support import ledgers
from tests.support.web import Site, serving
from vvbatch.ledger.books import BookFileRow, record_book
from vvbatch.settings import ServeSettings
from vvbatch.web import access, bodies, guard, login
from vvbatch.web import server as web

TOKEN = "a-token-of-more-than-16-characters"
SECRET = b"what no request may read"


@pytest.fixture(scope="module")
def locked(module_home: Path) -> Iterator[Site]:
    """A server with a token, and one configured host and origin."""
    settings = ServeSettings(hosts=("studio.local",), origins=("https://pages.example",))
    with serving(serve=settings, token=TOKEN, worker=False) as site:
        yield site


def bearer(token: str = TOKEN) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


# Rebinding: a page of another site has made its own name point to 127.0.0.1


@pytest.mark.parametrize(
    "host", ["localhost", "127.0.0.1:80", "[::1]:9", "LOCALHOST:1", "studio.local", "Studio.local:8880"]
)
def test_requests_that_ask_for_this_host_are_served(locked: Site, host: str) -> None:
    with locked.client() as client:
        assert client.get("/health/live", headers={"Host": host}).status_code == 200


@pytest.mark.parametrize(
    "host", ["attacker.example", "127.0.0.1.nip.io", "localhost.attacker.example", "attacker.example:8880", "0.0.0.0",
             "localhost@attacker.example", "localhost:80:80", "[::1", "", "localhost/x"],
)  # fmt: skip
def test_a_host_that_is_not_this_one_gets_421(locked: Site, host: str) -> None:
    with socket.create_connection(("127.0.0.1", locked.port), timeout=5) as raw:
        raw.sendall(f"GET /api/status HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode())
        answer = b"".join(iter(lambda: raw.recv(4096), b""))
    assert answer.startswith((b"HTTP/1.1 421", b"HTTP/1.1 400"))
    assert b"workers" not in answer


# A page of another site sends a form or a fetch with the browser's cookie


@pytest.mark.parametrize(
    "path",
    [
        "/v1/audio/speech",
        "/api/batches",
        "/api/batches/last/cancel",
        "/api/batches/last/reject",
        "/api/takes/0/prefer",
        "/api/voices",
        "/api/warmup",
        "/login",
        "/logout",
    ],
)
@pytest.mark.parametrize(
    "origin", ["https://attacker.example", "null", "http://localhost:1", "https://pages.example.attacker"]
)
def test_a_page_of_another_site_may_change_nothing(locked: Site, path: str, origin: str) -> None:
    with locked.client(headers=bearer()) as client:
        answer = client.post(path, headers={"Origin": origin, "Content-Type": "text/plain"}, content=b"Text.")
    assert answer.status_code == 403 and answer.json()["error"]["code"] == "foreign_origin"
    assert "access-control-allow-origin" not in answer.headers


def test_own_pages_configured_ones_and_clients_without_a_page_may(locked: Site) -> None:
    own = f"http://127.0.0.1:{locked.port}"
    with locked.client(headers=bearer()) as client:
        for headers in ({}, {"Origin": own}, {"Origin": "https://pages.example"}):
            assert client.post("/api/batches/none/cancel", headers=headers).status_code == 404
        allowed = client.post("/api/batches/none/cancel", headers={"Origin": "https://pages.example"})
        assert allowed.headers["access-control-allow-origin"] == "https://pages.example"
        asks = {"Origin": "https://pages.example", "Access-Control-Request-Method": "POST"}
        assert client.options("/v1/audio/speech", headers=asks).status_code == 204
    with locked.client() as stranger:
        foreign = {"Origin": "https://attacker.example", "Access-Control-Request-Method": "POST"}
        answer = stranger.options("/v1/audio/speech", headers=foreign)
        assert answer.status_code == 401 and "access-control-allow-origin" not in answer.headers


# Paths


@pytest.fixture(scope="module")
def out(locked: Site, module_home: Path) -> Path:
    """The folder of a batch `b` with a book, and files beside it that no request may read."""
    out = module_home / "out"
    book = out / "b" / "book"
    book.mkdir(parents=True)
    (book / "pier.flac").write_bytes(b"the book itself")
    for secret in (book / "notes.txt", out / "b" / "manifest.json", out / "secret.wav", module_home / "secret.wav"):
        secret.write_bytes(SECRET)
    ledgers.add_batch(locked.ledger, "b", ["One."], out=out)
    row = BookFileRow(str(book / "pier.flac"), "flac", "a" * 64, 15, 1.0)
    record_book(locked.ledger, "b", "podcast", locked.ledger.now(), {}, [row], {})
    return out


def got(site: Site, path: str) -> bytes:
    """The answer to a path that no client library may tidy up."""
    with socket.create_connection(("127.0.0.1", site.port), timeout=5) as raw:
        raw.sendall(
            f"GET {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {TOKEN}\r\n".encode()
            + b"Connection: close\r\n\r\n"
        )
        return b"".join(iter(lambda: raw.recv(4096), b""))


@pytest.mark.parametrize(
    "path",
    [
        "/api/batches/b/book/notes.txt",
        "/api/batches/b/book/..%2fmanifest.json",
        "/api/batches/b/book/..%2f..%2fsecret.wav",
        "/api/batches/b/book/%2e%2e",
        "/api/batches/b/book/{out}%2fsecret.wav",
        "/api/batches/b/lines/..%2fmanifest.json/audio",
        "/api/batches/b/lines/{out}%2fsecret.wav/audio",
        "/api/batches/..%2fsecret.wav/lines/l1/audio",
        "/api/takes/{out}%2fsecret.wav/audio",
        "/api/takes/..%2f..%2f..%2fsecret.wav/audio",
        "{out}/secret.wav",
        "/{out}/secret.wav",
        "/../../../../../../../../../../../../{out}/secret.wav",
        "/api/batches/%00/lines",
    ],
)
def test_a_path_is_an_id_in_the_ledger_or_nothing(locked: Site, out: Path, path: str) -> None:
    assert got(locked, "/api/batches/b/book/pier.flac").endswith(b"the book itself")
    slash = "/" if path.startswith(("{", "/{", "/..")) else "%2f"
    answer = got(locked, path.replace("{out}", str(out).replace("/", slash)))
    assert answer.startswith((b"HTTP/1.1 404", b"HTTP/1.1 400")), answer[:200]
    assert SECRET not in answer


def test_a_script_that_is_sent_may_not_name_files_of_the_server(locked: Site, tmp_path: Path) -> None:
    script = "version: 1\ncover: /etc/passwd\nlines:\n- One line.\n- sound: ../../etc/passwd\n"
    with locked.client(headers=bearer()) as client:
        answer = client.post("/api/batches", headers={"Content-Type": "application/yaml"}, content=script)
    assert answer.status_code == 422
    found = {problem["found"] for problem in answer.json()["problems"]}
    assert found == {"cover '/etc/passwd'", "sound '../../etc/passwd'"}


# Too large and too slow


def test_a_body_that_declares_too_much_is_refused_before_it_is_sent(locked: Site) -> None:
    with socket.create_connection(("127.0.0.1", locked.port), timeout=5) as raw:
        raw.sendall(
            b"POST /v1/audio/speech HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99999999999\r\n"
            b"Authorization: Bearer " + TOKEN.encode() + b"\r\n\r\n"
        )
        assert raw.recv(100).startswith(b"HTTP/1.1 413")


@pytest.mark.parametrize(("path", "most"), [("/v1/audio/speech", 1 << 20), ("/api/batches", 16 << 20)])
def test_a_body_without_a_length_is_read_up_to_its_limit(locked: Site, path: str, most: int) -> None:
    def endless() -> Iterator[bytes]:
        for _ in range(most // 65_536 + 2):
            yield b"x" * 65_536

    with locked.client(headers=bearer()) as client:
        try:
            status = client.post(path, content=endless(), headers={"Content-Type": "text/plain"}).status_code
        except (httpx2.WriteError, httpx2.RemoteProtocolError):
            return  # the connection was closed while it was sent
    assert status == 413


def test_a_head_of_a_megabyte_is_refused(locked: Site) -> None:
    with socket.create_connection(("127.0.0.1", locked.port), timeout=5) as raw:
        try:
            raw.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\nX: " + b"x" * (1 << 20))
            assert raw.recv(100).startswith(b"HTTP/1.1 4")
        except ConnectionError:
            pass


def closed_within(raw: socket.socket, seconds: float) -> bool:
    raw.settimeout(seconds)
    try:
        while raw.recv(4096):
            pass
        return True
    except ConnectionError:
        return True
    except TimeoutError:
        return False


@pytest.mark.parametrize("sent", [b"", b"GET / HTTP/1.1\r\nHost: localhost\r\nX-A: b\r\n"])
def test_a_head_that_does_not_come_ends_the_connection(
    locked: Site, sent: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(web, "HEAD_S", 0.3)
    with socket.create_connection(("127.0.0.1", locked.port)) as raw:
        raw.sendall(sent)
        assert closed_within(raw, 5)


def test_a_head_that_comes_byte_by_byte_does_not_get_more_time(locked: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(web, "HEAD_S", 0.4)
    with socket.create_connection(("127.0.0.1", locked.port)) as raw, pytest.raises(ConnectionError):
        for byte in b"GET / HTTP/1.1\r\nHost: localhost\r\n" + b"X: y\r\n" * 1000:
            raw.send(bytes([byte]))
            time.sleep(0.02)


def test_the_second_request_of_a_connection_has_the_same_time(locked: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(web, "HEAD_S", 0.4)
    with socket.create_connection(("127.0.0.1", locked.port)) as raw:
        raw.sendall(b"GET /health/live HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert raw.recv(4096).startswith(b"HTTP/1.1 200")
        time.sleep(0.6)  # longer than a head may take: between two requests there is other time
        raw.sendall(b"GET /health/live HTTP/1.1\r\n")
        assert closed_within(raw, 5)


def test_a_body_that_does_not_come_is_refused(locked: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bodies, "NEXT_S", 0.2)
    with socket.create_connection(("127.0.0.1", locked.port), timeout=5) as raw:
        raw.sendall(
            b"POST /v1/audio/speech HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n"
            b"Authorization: Bearer " + TOKEN.encode() + b"\r\n\r\n{"
        )
        assert raw.recv(100).startswith(b"HTTP/1.1 408")


def test_hundreds_of_slow_heads_do_not_keep_others_out(locked: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(web, "HEAD_S", 600)  # they are all still there when the other one asks
    slow = [socket.create_connection(("127.0.0.1", locked.port)) for _ in range(300)]
    try:
        for raw in slow:
            raw.sendall(b"GET / HTTP/1.1\r\nHost: loc")
        with locked.client() as client:
            assert client.get("/health/live", timeout=30).status_code == 200
    finally:
        for raw in slow:
            raw.close()


# Tokens


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/v1/models",
        "/v1/audio/voices",
        "/api/status",
        "/api/events",
        "/metrics",
        "/openapi.json",
        "/health/ready",
        "/nothing",
    ],
)
def test_nothing_is_said_without_the_token(locked: Site, path: str) -> None:
    with locked.client() as client:
        for headers in (
            {},
            {"Authorization": TOKEN},
            {"Authorization": "Basic " + TOKEN},
            {"Cookie": f"vvbatch={TOKEN}"},
        ):
            answer = client.get(path, headers=headers)
            assert answer.status_code == 401 and answer.headers["www-authenticate"] == "Bearer"
        assert client.get("/health/live").status_code == 200


def test_guesses_are_counted_and_stop_the_right_token_too(module_home: Path) -> None:
    with serving(token=TOKEN, worker=False) as site, site.client() as client:
        codes = [client.get("/v1/models", headers=bearer(f"guess {n}")).status_code for n in range(access.FAILURES + 2)]
        assert codes == [401] * access.FAILURES + [429] * 2
        blocked = client.get("/v1/models", headers=bearer())
        assert blocked.status_code == 429 and 0 < int(blocked.headers["retry-after"]) <= access.WINDOW_S + 1
        assert client.post("/login", data={"token": TOKEN}).status_code == 429
        cookie = {"Cookie": f"vvbatch={site.services.access.cookie}"}
        assert client.get("/v1/models", headers=cookie).status_code == 200, "who is logged in stays in"


def test_forms_that_are_sent_at_once_have_no_more_guesses(module_home: Path) -> None:
    body = b"token=a-guess-of-some-length"
    with serving(token=TOKEN, worker=False) as site, contextlib.ExitStack() as opened:
        forms = [
            opened.enter_context(socket.create_connection(("127.0.0.1", site.port), timeout=30))
            for _ in range(access.FAILURES + 5)
        ]
        for raw in forms:
            raw.sendall(
                b"POST /login HTTP/1.1\r\nHost: localhost\r\nExpect: 100-continue\r\nContent-Length: %d\r\n\r\n"
                % len(body)
            )
        for raw in forms:  # the server waits for the bodies of all of them
            assert raw.recv(4096).startswith(b"HTTP/1.1 100")
        for raw in forms:
            raw.sendall(body)
        codes = sorted(raw.recv(12)[9:] for raw in forms)
    assert codes == [b"401"] * access.FAILURES + [b"429"] * 5


def test_a_form_that_comes_slowly_is_refused(locked: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(login, "WHOLE_S", 0.3)
    answer = b""
    with socket.create_connection(("127.0.0.1", locked.port), timeout=0.02) as raw:
        raw.sendall(b"POST /login HTTP/1.1\r\nHost: localhost\r\nContent-Length: 4000\r\n\r\n")
        for _ in range(1000):
            raw.sendall(b"x")
            with contextlib.suppress(TimeoutError):
                answer = raw.recv(12)
                break
    assert answer == b"HTTP/1.1 408"


def test_guesses_are_forgotten_after_a_minute_and_addresses_are_limited() -> None:
    door = access.Access(TOKEN)
    for number in range(access.FAILURES):
        door.note_failure("10.0.0.1", number)
    assert door.blocked_s("10.0.0.1", 10) == access.WINDOW_S - 10
    assert door.blocked_s("10.0.0.2", 10) == 0
    assert door.blocked_s("10.0.0.1", access.WINDOW_S + 0.5) == 0
    for number in range(3 * access.ADDRESSES):
        door.note_failure(f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}", 100)
    assert len(door.failures) == access.ADDRESSES
    for last in range(access.FAILURES):
        door.note_failure(f"2001:db8::{last}", 200)
    assert door.blocked_s("2001:db8::ffff", 200) > 0, "one network of IPv6 is one guesser"


def test_the_form_gives_a_cookie_that_pages_of_others_cannot_use_or_read(locked: Site) -> None:
    with locked.client(follow_redirects=False) as client:
        assert 'type="password"' in client.get("/login").text
        assert client.post("/login", data={"token": "wrong"}).status_code == 401
        answer = client.post("/login", data={"token": TOKEN})
        assert answer.status_code == 303
        cookie = answer.headers["set-cookie"]
        assert "HttpOnly" in cookie and "SameSite=strict" in cookie and TOKEN not in cookie
        assert client.get("/v1/models").status_code == 200
        out = client.post("/logout")
        assert 'vvbatch="";' in out.headers["set-cookie"] or "Max-Age=0" in out.headers["set-cookie"]


@pytest.mark.parametrize("content", ["short", "with a space in the middle", "", "ümlaute-ümlaute-ümlaute"])
def test_a_token_that_is_easy_to_guess_is_refused(
    content: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "token").write_text(content)
    monkeypatch.setenv(access.TOKEN_FILE, str(tmp_path / "token"))
    with pytest.raises(access.TokenError, match=r"secrets\.token_urlsafe"):
        access.token_from_environment()


def test_a_token_file_that_is_not_there_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(access.TOKEN_FILE, str(tmp_path / "none"))
    with pytest.raises(access.TokenError, match="cannot be read"):
        access.token_from_environment()


@pytest.mark.parametrize(
    ("host", "written"),
    [
        ("127.0.0.2", "127.0.0.2"),
        ("2001:DB8:0::1", "[2001:db8::1]"),
        ("[::1]", "[::1]"),
        ("Studio.Local", "studio.local"),
    ],
)
def test_hosts_are_written_as_in_a_url(host: str, written: str) -> None:
    assert access.url_host(host) == written


@pytest.mark.parametrize(
    ("host", "address", "asked_for", "served"),
    [
        ("127.0.0.2", "127.0.0.2", "127.0.0.2:8880", True),
        ("2001:db8::1", "2001:db8::1", "[2001:DB8::1]:8880", True),
        ("studio.local", "192.0.2.7", "studio.local", True),
        ("studio.local", "192.0.2.7", "192.0.2.7:8880", True),
        ("127.0.0.2", "127.0.0.2", "127.0.0.3", False),
        ("0.0.0.0", "0.0.0.0", "0.0.0.0", False),
        ("::", "::", "[::]", False),
    ],
)
def test_the_address_that_it_listens_on_may_be_asked_for(host: str, address: str, asked_for: str, served: bool) -> None:
    listening: Any = SimpleNamespace(getsockname=lambda: (address, 8880))
    never: Any = None
    door = guard.Guard(never, access.Access(None), web.hosts_of(host, [listening]))
    refusal = door.refusal({"method": "GET", "path": "/"}, Headers({"host": asked_for}))
    assert (None if refusal is None else refusal.status) == (None if served else 421)


@pytest.mark.parametrize(
    ("host", "loopback"),
    [
        ("127.0.0.1", True),
        ("127.8.8.8", True),
        ("::1", True),
        ("[::1]", True),
        ("localhost", True),
        ("0.0.0.0", False),
        ("::", False),
        ("192.168.1.5", False),
        ("studio.local", False),
    ],
)
def test_which_addresses_need_a_token(host: str, loopback: bool) -> None:
    assert access.is_loopback(host) is loopback


# Logs


def test_the_log_has_no_text_and_no_query(locked: Site, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level("INFO", logger="vvbatch.web"), locked.client(headers=bearer()) as client:
        secret = "Private words."
        client.post(
            "/v1/audio/speech", json={"model": "ready", "voice": "alice", "input": secret, "response_format": "pcm"}
        )
        client.get("/api/status", params={"kind": "secret"})
        wait_until(lambda: "/api/status 400" in caplog.text)
    assert "POST /v1/audio/speech 503" in caplog.text
    assert "Private" not in caplog.text and "secret" not in caplog.text and TOKEN not in caplog.text


def test_a_path_adds_no_line_to_the_log(locked: Site, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level("INFO", logger="vvbatch.web"):
        got(locked, "/nothing%0d%0a127.0.0.1%20GET%20/api/status%20200%201%20ms%1b[2J")
        record = wait_until(lambda: next((each for each in caplog.records if "nothing" in each.getMessage()), None))
    assert record.getMessage().isprintable()
    assert "/nothing%0d%0a127.0.0.1%20GET" in record.getMessage()


def test_a_fault_in_the_middle_of_an_answer_has_its_traceback_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    async def breaks(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        raise KeyError("take")

    async def take(message: Any) -> None:
        pass

    scope = {"type": "http", "method": "GET", "path": "/", "raw_path": b"/", "headers": [(b"host", b"localhost")]}
    nothing: Any = None
    asyncio.run(guard.Guard(breaks, access.Access(None), ())(scope, nothing, take))
    (record,) = [each for each in caplog.records if each.levelname == "ERROR"]
    assert record.exc_info is not None and record.exc_info[0] is KeyError


def test_a_fault_says_nothing_of_the_server(locked: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vvbatch.web.status.status_view", lambda *_: 1 / 0)
    with locked.client(headers=bearer()) as client:
        answer = client.get("/api/status", params={"kind": "night"})
    assert answer.status_code == 500
    assert json.loads(answer.content)["error"]["message"] == "the server has a fault; its log says which"


def test_the_paths_that_need_no_token_are_few() -> None:
    assert guard.OPEN_PATHS == ("/health/live", "/login")
