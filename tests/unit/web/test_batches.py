"""Scripts, batches and their files over HTTP."""

from __future__ import annotations

import json
from pathlib import Path

import httpx2
import pytest
import soundfile
from sqlalchemy.exc import DataError

from bench.voicelike import syllables
from tests.conftest import wait_until
from tests.support import ledgers
from tests.support.cli import Cli
from tests.support.web import Site, ended, submitted
from vvbatch import store
from vvbatch.batch.assemble import order_in
from vvbatch.ledger.books import batch_row
from vvbatch.web.errors import known_error

SCRIPT = "version: 1\ntitle: Pier\nmodel: ready\nlines:\n- The lamp went out.\n- Who is there?\n"
YAML = {"Content-Type": "application/yaml"}


# Scripts


def test_a_script_is_submitted_and_its_documents_are_those_of_the_command_line(client: httpx2.Client) -> None:
    answer = client.post("/api/batches", content=SCRIPT, headers=YAML)
    assert answer.status_code == 201
    batch = answer.json()["batch"]
    assert answer.headers["location"] == f"/api/batches/{batch}"
    ended(client, batch)
    cli = Cli()
    assert client.get(f"/api/batches/{batch}").json() == cli.json("status", batch)
    assert client.get(f"/api/batches/{batch}/lines").json() == cli.json("ledger", "lines", batch)
    assert client.get(f"/api/batches/{batch}/takes").json() == cli.json("ledger", "takes", "--batch", batch)
    rows = cli.json("ledger", "batches")
    assert [row for row in client.get("/api/batches").json() if row["batch"] == batch] == [
        row for row in rows if row["batch"] == batch
    ]
    out = Path(client.get(f"/api/batches/{batch}").json()["out"])
    file = out / batch / "manifest.json"
    wait_until(file.exists)
    assert client.get(f"/api/batches/{batch}/manifest").json() == json.loads(file.read_bytes())
    assert client.get(f"/api/batches/{batch}/book").json() == {"batch": batch, "files": []}


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("text/yaml", SCRIPT),
        ("text/csv", "text\nOne row.\n"),
        ("text/tab-separated-values", "text\tvoice\nOne.\talice\n"),
        ("text/plain; charset=utf-8", "A plain text.\n"),
        ("application/json", '{"version": 1, "lines": ["One."]}'),
    ],
)
def test_the_content_type_says_which_format_a_script_has(client: httpx2.Client, kind: str, body: str) -> None:
    query = {"check": "1", "model": "ready", "name": "book"}
    answer = client.post("/api/batches", params=query, content=body, headers={"Content-Type": kind})
    assert answer.status_code == 200 and answer.json()["parts"] >= 1
    assert answer.json()["script"].startswith("book.")


def test_a_script_is_sent_as_a_file_of_a_form(client: httpx2.Client) -> None:
    answer = client.post("/api/batches?check=true", files={"file": ("../../x/own.csv", b"text,model\nOne.,ready\n")})
    assert answer.status_code == 200 and answer.json()["script"] == "own.csv"


def test_options_in_the_form_of_a_script_are_refused_as_they_would_be_ignored(client: httpx2.Client) -> None:
    file = {"file": ("own.csv", b"text,model\nOne.,ready\n")}
    answer = client.post("/api/batches?check=true", files=file, data={"model": "ready2"})
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, "model")


def test_a_check_says_what_the_command_says(
    client: httpx2.Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    script = SCRIPT + "- 'An **emphasis** and a smile 🙂 in it.'\n"
    Path("script.yaml").write_text(script)
    answer = client.post("/api/batches?check=1", content=script, headers=YAML).json()
    assert answer == Cli().json("check", "script.yaml")
    assert [(warning["line"], warning["column"]) for warning in answer["warnings"]]


@pytest.mark.parametrize("query", ["", "?check=1"])
def test_every_problem_of_a_script_comes_with_its_place(
    client: httpx2.Client, query: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = "version: 1\nlines:\n- {text: One., voice: absent}\n- {text: Two., speed: 3}\n- {text: '', model: none}\n"
    answer = client.post(f"/api/batches{query}", content=script, headers=YAML)
    assert answer.status_code == 422
    problems = answer.json()["problems"]
    assert {"file", "line", "column", "found", "allowed"} == set(problems[0])
    monkeypatch.chdir(tmp_path)
    Path("script.yaml").write_text(script)
    said = Cli()("check", "script.yaml", code=2).stderr
    assert len(problems) >= 2
    for problem in problems:
        place = f"{problem['file']}:{problem['line']}:{problem['column']}: {problem['found']}; {problem['allowed']}"
        assert place in said


@pytest.mark.parametrize(
    ("path", "headers", "status", "parameter"),
    [
        ("/api/batches", {"Content-Type": "application/pdf"}, 415, None),
        ("/api/batches?takes=0", YAML, 400, "takes"),
        ("/api/batches?tempo=1", YAML, 400, "tempo"),
        ("/api/batches?priority=interactive", YAML, 400, "priority"),
        ("/api/batches?preset=loud", YAML, 400, None),
        ("/api/batches?book=m4b,docx", YAML, 400, None),
        ("/api/batches?check=1&book=vtt", YAML, 400, None),
    ],
)
def test_what_a_submit_cannot_take_is_refused_by_name(
    client: httpx2.Client, path: str, headers: dict[str, str], status: int, parameter: str | None
) -> None:
    answer = client.post(path, content=SCRIPT, headers=headers)
    assert (answer.status_code, answer.json()["error"]["param"]) == (status, parameter)


def test_a_script_for_a_model_that_nothing_renders_is_not_queued(
    client: httpx2.Client, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    answer = client.post("/api/batches?model=1.5b", content=SCRIPT, headers=YAML)
    assert answer.status_code == 503 and "vvbatch models pull 1.5b" in answer.json()["error"]["message"]
    queued = client.post("/api/batches?model=1.5b&wait_for_model=1", content=SCRIPT, headers=YAML)
    assert queued.status_code == 201
    assert client.get(f"/api/batches/{queued.json()['batch']}").json()["unserved"] == {"1.5b": 2}
    client.post(f"/api/batches/{queued.json()['batch']}/cancel")


def test_the_same_script_that_is_still_open_is_resumed(site: Site, client: httpx2.Client) -> None:
    site.paused.set()
    try:
        first = client.post("/api/batches?name=twice", content=SCRIPT + "- Once more.\n", headers=YAML)
        again = client.post("/api/batches?name=twice", content=SCRIPT + "- Once more.\n", headers=YAML)
    finally:
        site.paused.clear()
    assert (first.status_code, again.status_code) == (201, 200)
    assert again.json()["batch"] == first.json()["batch"] and again.json()["created"] is False
    ended(client, first.json()["batch"])


def test_a_book_that_is_ordered_with_a_script_is_kept_with_the_batch(site: Site, client: httpx2.Client) -> None:
    query = {"book": "m4b, vtt", "preset": "podcast", "name": "bound"}
    batch = client.post("/api/batches", params=query, content=SCRIPT + "- Bound.\n", headers=YAML).json()["batch"]
    order = order_in(batch_row(site.ledger, batch))
    assert (order.formats, order.preset) == (("m4b", "vtt"), "podcast")
    plain = client.post("/api/batches?name=unbound", content=SCRIPT + "- Unbound.\n", headers=YAML).json()["batch"]
    assert not order_in(batch_row(site.ledger, plain)).asked


def test_a_script_whose_own_book_cannot_be_made_is_not_queued(client: httpx2.Client) -> None:
    script = SCRIPT + "book: {preset: loud}\n"
    answer = client.post("/api/batches?name=loud", content=script, headers=YAML)
    assert answer.status_code == 400 and "preset 'loud' is unknown" in answer.json()["error"]["message"]
    assert [row for row in client.get("/api/batches").json() if row["script"].startswith("loud")] == []


@pytest.mark.parametrize(
    ("path", "parameter", "allowed"),
    [
        ("/api/batches?state=broken", "state", "open, paused, done, failed, cancelled"),
        ("/api/batches?kind=film", "kind", "script, speech, night, proof"),
        ("/api/batches/last/lines?state=broken", "state", "queued, rendering, done, cached, failed, cancelled"),
        ("/api/batches/last/takes?state=queued", "state", "rendering, done, failed_qc, failed, crashed"),
        ("/api/status?kind=film", "kind", "all, night, proof, script, speech"),
    ],
)
def test_a_value_that_is_none_of_several_is_refused_with_those_that_are(
    client: httpx2.Client, path: str, parameter: str, allowed: str
) -> None:
    answer = client.get(path)
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, parameter)
    assert f"{parameter}: allowed are {allowed}" in answer.json()["error"]["message"]


def test_a_parameter_that_is_given_twice_is_refused(client: httpx2.Client) -> None:
    answer = client.post("/api/batches/last/cancel?line=a&line=b")
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, "line")


def test_a_value_that_the_database_cannot_hold_is_the_clients_error() -> None:
    """PostgreSQL has no text with a NUL."""
    found = known_error(DataError("SELECT", None, ValueError("text fields cannot contain NUL (0x00) bytes")))
    assert found is not None and found.status == 400 and "NUL" in str(found)


# Control


def test_a_batch_is_paused_resumed_cancelled_and_retried(site: Site, client: httpx2.Client) -> None:
    site.paused.set()
    try:
        batch = submitted(client, "Line one waits.", "Line two waits.")
        assert client.post(f"/api/batches/{batch}/pause").json() == {"batch": batch, "state": "paused"}
        assert client.post(f"/api/batches/{batch}/resume").json() == {"batch": batch, "state": "open", "queued": 2}
        ids = [line["id"] for line in client.get(f"/api/batches/{batch}").json()["lines"]]
        one = client.post(f"/api/batches/{batch}/cancel", params={"line": ids[0]})
        assert one.json() == {"batch": batch, "cancelled": 1}
        assert client.post(f"/api/batches/{batch}/cancel").json() == {"batch": batch, "cancelled": 1}
    finally:
        site.paused.clear()
    assert client.post(f"/api/batches/{batch}/retry").json() == {"batch": batch, "queued": 2}
    assert ended(client, batch)["counts"]["done"] == 2
    refused = client.post(f"/api/batches/{batch}/pause")
    assert refused.status_code == 409 and "has ended" in refused.json()["error"]["message"]
    unknown = client.post(f"/api/batches/{batch}/retry", params={"line": "nothing"})
    assert unknown.status_code == 400 and "no line 'nothing'" in unknown.json()["error"]["message"]
    assert client.post("/api/batches/nothing/cancel").status_code == 404


# Files


def test_audio_is_sent_whole_in_ranges_and_not_again(client: httpx2.Client) -> None:
    batch = submitted(client, "This has a file.")
    line = ended(client, batch)["lines"][0]
    url = f"/api/batches/{batch}/lines/{line['id']}/audio"
    whole = client.get(url)
    assert whole.content == Path(line["path"]).read_bytes()
    assert whole.headers["content-type"] == "audio/wav" and whole.headers["etag"] == f'"{line["sha256"]}"'
    part = client.get(url, headers={"Range": "bytes=44-143"})
    assert part.status_code == 206 and part.content == whole.content[44:144]
    assert part.headers["content-range"] == f"bytes 44-143/{len(whole.content)}"
    assert client.get(url, headers={"Range": "bytes=-4"}).content == whole.content[-4:]
    assert client.get(url, headers={"Range": f"bytes={len(whole.content)}-"}).status_code == 416
    assert client.get(url, headers={"If-None-Match": whole.headers["etag"]}).status_code == 304
    old = client.get(url, headers={"Range": "bytes=0-3", "If-Range": '"another"'})
    assert old.status_code == 200 and old.content == whole.content
    for unknown in ("items=0-3", "bytes=x-y", "bytes", "bytes=5-2", "bytes=0-3,5-2", f"bytes={'9' * 5000}-"):
        answer = client.get(url, headers={"Range": unknown})  # RFC 9110, 14.2: is ignored
        assert answer.status_code == 200 and answer.content == whole.content
    assert client.get(f"/api/takes/{line['take']}/audio").content == whole.content


def test_a_file_that_is_gone_or_never_was_is_404(client: httpx2.Client) -> None:
    batch = submitted(client, "This file will go.")
    line = ended(client, batch)["lines"][0]
    Path(line["path"]).unlink()
    gone = client.get(f"/api/batches/{batch}/lines/{line['id']}/audio")
    assert gone.status_code == 404 and "vvbatch verify --repair" in gone.json()["error"]["message"]
    assert client.get(f"/api/batches/{batch}/lines/nothing/audio").status_code == 404
    assert client.get("/api/takes/nothing/audio").status_code == 404
    assert client.get(f"/api/batches/{batch}/book/nothing.m4b").status_code == 404


def test_the_files_of_a_book_are_listed_and_sent(site: Site, client: httpx2.Client, tmp_path: Path) -> None:
    from vvbatch.ledger.books import BookFileRow, record_book

    ledgers.add_batch(site.ledger, "book-1", ["One."], out=tmp_path)
    file = tmp_path / "book-1" / "book" / "Pier & sea.flac"
    file.parent.mkdir(parents=True)
    soundfile.write(file, syllables(1.0, [1]), 24_000)
    row = BookFileRow(str(file), "flac", store.sha256_file(file), file.stat().st_size, 1.0)
    record_book(site.ledger, "book-1", "podcast", site.ledger.now(), {}, [row], {}, ["flac"])
    listed = client.get("/api/batches/book-1/book").json()["files"]
    assert [(each["path"], each["format"], each["preset"]) for each in listed] == [(str(file), "flac", "podcast")]
    answer = client.get("/api/batches/book-1/book/Pier%20%26%20sea.flac")
    assert answer.content == file.read_bytes() and answer.headers["content-type"] == "audio/flac"
