"""A queue's server that is not the home's own: by TCP, with a password, with TLS."""

from __future__ import annotations

import shutil
import socket
import ssl
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.conftest import Shell, wait_until
from vvbatch.transport.server import find_binaries

PASSWORD = "open-sesame-17"


class Elsewhere:
    """A real server with a password, on TCP; `ca` signs its certificate when it speaks TLS."""

    def __init__(self, folder: Path, port: int, ca: Path | None = None) -> None:
        self.folder, self.port, self.ca = folder, port, ca

    def url(self, password: str = PASSWORD, options: str = "") -> str:
        scheme = "rediss" if self.ca else "redis"
        return f"{scheme}://{f':{password}@' if password else ''}localhost:{self.port}/0{options}"


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def start(binary: Path, folder: Path, *words: str) -> subprocess.Popen[bytes]:
    argv = [str(binary), "--bind", "127.0.0.1", "--dir", str(folder), "--save", "", *words]
    return subprocess.Popen(argv, stdout=subprocess.DEVNULL, stdin=subprocess.DEVNULL)


def answers(port: int) -> bool:
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", port)) == 0


@pytest.fixture
def plain(tmp_path: Path) -> Iterator[Elsewhere]:
    port = free_port()
    server = start(find_binaries()[0], tmp_path, "--port", str(port), "--requirepass", PASSWORD)
    wait_until(lambda: answers(port))
    yield Elsewhere(tmp_path, port)
    server.kill()
    server.wait()


@pytest.fixture
def tls(tmp_path: Path, plain: Elsewhere) -> Iterator[Elsewhere]:
    """A server of its own that speaks TLS where one is built with it; else the plain one behind a TLS relay."""
    if not shutil.which("openssl"):
        pytest.skip("certificates are made with openssl")
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    words = ["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost"]
    names = ["-addext", "subjectAltName=DNS:localhost", "-keyout", str(key), "-out", str(certificate)]
    subprocess.run(["openssl", *words, *names], check=True, capture_output=True)
    port = free_port()
    speaks = ["--port", "0", "--tls-port", str(port), "--tls-auth-clients", "no", "--requirepass", PASSWORD]
    files = ["--tls-cert-file", str(certificate), "--tls-key-file", str(key), "--tls-ca-cert-file", str(certificate)]
    for binary in find_binaries():
        server = start(binary, tmp_path, *speaks, *files)
        wait_until(lambda server=server: server.poll() is not None or answers(port))
        if server.poll() is None:
            print(f"{binary} speaks TLS itself")
            yield Elsewhere(tmp_path, port, certificate)
            server.kill()
            server.wait()
            return
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    with socket.create_server(("127.0.0.1", port)) as listener:
        threading.Thread(target=relay, args=(listener, context, plain.port), daemon=True).start()
        yield Elsewhere(tmp_path, port, certificate)


def relay(listener: socket.socket, context: ssl.SSLContext, port: int) -> None:
    while True:
        try:
            client, _ = listener.accept()
        except OSError:
            return  # the test is over
        threading.Thread(target=serve, args=(client, context, port), daemon=True).start()


def serve(client: socket.socket, context: ssl.SSLContext, port: int) -> None:
    try:
        secured = context.wrap_socket(client, server_side=True)
        behind = socket.create_connection(("127.0.0.1", port))
    except OSError:  # no handshake, or the test is over
        client.close()
        return
    back = threading.Thread(target=pour, args=(behind, secured), daemon=True)
    back.start()
    pour(secured, behind)


def pour(source: socket.socket, target: socket.socket) -> None:
    try:
        while data := source.recv(65536):
            target.sendall(data)
        target.shutdown(socket.SHUT_WR)
    except OSError:
        target.close()


def rendered(shell: Shell, path: Path) -> None:
    batch = shell.json("submit", str(path), "--out", str(path.parent / "out"))["batch"]
    shell.start("tests.support.ready", "ready")
    wait_until(lambda: shell.json("status", batch)["state"] == "done", timeout=90, pause=0.5)
    assert PASSWORD not in shell("status").stdout


def refused(shell: Shell, path: Path) -> str:
    done = shell("submit", str(path), "--out", str(path.parent / "out"), code=3)
    assert PASSWORD not in done.stdout + done.stderr and "Traceback" not in done.stderr
    assert shell.json("ledger", "batches") == []
    return done.stderr


def test_a_batch_is_rendered_by_a_server_with_a_password(
    shell: Shell, script: Callable[..., Path], plain: Elsewhere, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VVBATCH_REDIS_URL", plain.url())
    rendered(shell, script("Said over a network."))


def test_a_batch_is_rendered_by_a_server_with_tls_and_a_password(
    shell: Shell, script: Callable[..., Path], tls: Elsewhere, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VVBATCH_REDIS_URL", tls.url(options=f"?ssl_ca_certs={tls.ca}"))
    rendered(shell, script("Said over a network, and nobody listens."))


def test_a_certificate_that_no_one_vouches_for_is_refused(
    shell: Shell, script: Callable[..., Path], tls: Elsewhere, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VVBATCH_REDIS_URL", tls.url())
    assert "certificate" in refused(shell, script("Not said."))


def test_a_server_with_tls_is_not_spoken_to_in_the_open(
    shell: Shell, script: Callable[..., Path], tls: Elsewhere, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VVBATCH_REDIS_URL", tls.url().replace("rediss:", "redis:"))
    assert "does not answer" in refused(shell, script("Not said."))


def test_a_wrong_password_is_refused(
    shell: Shell, script: Callable[..., Path], plain: Elsewhere, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VVBATCH_REDIS_URL", plain.url("sesame"))
    assert "refuses this user or password" in refused(shell, script("Not said."))


def test_an_open_server_is_refused_also_by_a_worker_and_used_only_when_allowed(
    shell: Shell, script: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    port = free_port()
    server = start(find_binaries()[0], tmp_path, "--port", str(port))
    try:
        wait_until(lambda: answers(port))
        monkeypatch.setenv("VVBATCH_REDIS_URL", f"redis://localhost:{port}/0")
        path = script("Said in the open.")
        assert "VVBATCH_REDIS_INSECURE=1" in refused(shell, path)
        worker = shell.start("tests.support.ready", "ready")
        assert worker.wait(timeout=60) == 3
        assert "VVBATCH_REDIS_INSECURE=1" in worker.stdout.read()
        monkeypatch.setenv("VVBATCH_REDIS_INSECURE", "1")
        rendered(shell, path)
    finally:
        server.kill()
        server.wait()
