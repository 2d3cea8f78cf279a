"""A small Hugging Face hub on loopback: model info, tree, files with ranges; and what can go wrong with one."""

from __future__ import annotations

import json
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote, urlsplit

from tests.support.hub_cache import oid


@dataclass
class Hub:
    """`files` by (repo, commit). The other fields say how this hub misbehaves."""

    files: dict[tuple[str, str], dict[str, bytes]]
    cut_after: int | None = None  # bytes of a weight file after which the connection is cut, once a file
    stall_after: int | None = None  # bytes of a weight file after which nothing more comes, until this is None again
    corrupt: str | None = None  # a file that is sent with another byte than announced
    corrupt_times: int = 1000
    private: bool = False
    claimed_size: int | None = None  # what is said that every file has
    sent: Counter[str] = field(default_factory=Counter)  # bytes by file
    ranges: list[tuple[str, str]] = field(default_factory=list)
    url: str = ""


@contextmanager
def running(hub: Hub) -> Iterator[Hub]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_arguments: object) -> None:
            """Quiet."""

        def do_HEAD(self) -> None:
            self.do_GET()

        def do_GET(self) -> None:
            path = unquote(urlsplit(self.path).path)
            if hub.private:
                self.say(401, {"error": "no"}, {"X-Error-Message": "Invalid credentials"})
                return
            words = path.strip("/").split("/")
            if words[:2] == ["api", "models"]:
                self.describe("/".join(words[2:4]), words[4], words[5])
            elif len(words) < 5:
                self.say(404, {"error": "nothing here"})
            else:
                self.give("/".join(words[:2]), words[3], "/".join(words[4:]))

        def commit(self, repo: str, revision: str) -> str | None:
            commits = [commit for known, commit in hub.files if known == repo]
            if not commits:
                self.say(404, {"error": "Repository not found"}, {"X-Error-Code": "RepoNotFound"})
            elif revision == "main" or revision in commits:
                return revision if revision in commits else commits[-1]
            else:
                self.say(404, {"error": "no such revision"}, {"X-Error-Code": "RevisionNotFound"})
            return None

        def describe(self, repo: str, what: str, revision: str) -> None:
            if commit := self.commit(repo, revision):
                files = hub.files[repo, commit]
                if what == "tree":
                    self.say(200, [tree_entry(name, data) for name, data in files.items()])
                    return
                siblings = [sibling(hub, name, data) for name, data in files.items()]
                self.say(200, {"id": repo, "modelId": repo, "sha": commit, "siblings": siblings})

        def give(self, repo: str, revision: str, name: str) -> None:
            commit = self.commit(repo, revision)
            if commit is None:
                return
            data = hub.files[repo, commit].get(name)
            if data is None:
                self.say(404, {"error": "no such file"}, {"X-Error-Code": "EntryNotFound"})
                return
            etag = oid(name, data)
            first = 0
            if asked := self.headers.get("Range"):
                hub.ranges.append((name, asked))
                first = int(asked.removeprefix("bytes=").partition("-")[0])
            self.send_response(206 if asked else 200)
            self.send_header("X-Repo-Commit", commit)
            self.send_header("ETag", f'"{etag}"')
            self.send_header("Content-Length", str(len(data) - first))
            if asked:
                self.send_header("Content-Range", f"bytes {first}-{len(data) - 1}/{len(data)}")
            self.end_headers()
            if self.command == "HEAD":
                return
            if name == hub.corrupt and hub.corrupt_times:
                hub.corrupt_times -= 1
                data = data[:-1] + bytes([data[-1] ^ 1])
            rest = data[first:]
            if hub.cut_after is not None and name.endswith(".safetensors") and not first:
                rest = rest[: hub.cut_after]
            if hub.stall_after is not None and name.endswith(".safetensors"):
                hub.sent[name] += hub.stall_after
                self.wfile.write(rest[: hub.stall_after])
                while hub.stall_after is not None:
                    time.sleep(0.05)
                self.close_connection = True
                return
            hub.sent[name] += len(rest)
            self.wfile.write(rest)
            self.close_connection = len(rest) < len(data) - first

        def say(self, code: int, document: Any, headers: dict[str, str] | None = None) -> None:
            text = json.dumps(document).encode()
            self.send_response(code)
            for name, value in {"Content-Type": "application/json", **(headers or {})}.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(text)

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    hub.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def git_oid(name: str, data: bytes) -> str:
    """Of a large file, the hub has the hash of its pointer here: any hash will do."""
    return "f" * 40 if name.endswith(".safetensors") else oid(name, data)


def sibling(hub: Hub, name: str, data: bytes) -> dict[str, Any]:
    size = len(data) if hub.claimed_size is None else hub.claimed_size
    entry: dict[str, Any] = {"rfilename": name, "size": size, "blobId": git_oid(name, data)}
    if name.endswith(".safetensors"):
        entry["lfs"] = {"sha256": oid(name, data), "size": size, "pointerSize": 134}
    return entry


def tree_entry(name: str, data: bytes) -> dict[str, Any]:
    entry: dict[str, Any] = {"type": "file", "path": name, "size": len(data), "oid": git_oid(name, data)}
    if name.endswith(".safetensors"):
        entry["lfs"] = {"oid": oid(name, data), "size": len(data), "pointerSize": 134}
    return entry
