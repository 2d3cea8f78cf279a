"""Takes rejected and preferred over HTTP."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
import redis

from tests.conftest import wait_until
from tests.support.cli import Cli
from tests.support.web import Site
from vvbatch.ledger.feed import Place, events_after

ENDED = ("done", "failed")


@pytest.fixture
def client(site: Site) -> Iterator[httpx2.Client]:
    with site.client() as client:
        yield client


def rendered(client: httpx2.Client, *texts: str) -> Any:
    """The view of a batch whose lines are done."""
    script = {"version": 1, "title": "Ear", "model": "ready", "lines": list(texts)}
    answer = client.post("/api/batches", json=script)
    assert answer.status_code == 201, answer.text
    return ended(client, answer.json()["batch"])


def ended(client: httpx2.Client, batch: str) -> Any:
    def view() -> Any:
        found = client.get(f"/api/batches/{batch}").json()
        return found if found["state"] in ENDED else None

    return wait_until(view)


def happened(site: Site, batch: str, kind: str) -> list[Any]:
    return [
        event
        for event in events_after(site.ledger, Place("", ""), 10_000)
        if (event.batch, event.kind) == (batch, kind)
    ]


def test_a_rejected_line_is_rendered_again_with_the_seed_that_was_given(site: Site, client: httpx2.Client) -> None:
    view = rendered(client, "The lamp went out, she said.", "Nobody came for it.")
    batch, first = view["batch"], view["lines"][0]
    asked = {"lines": ["1"], "why": "wrong stress", "seed": 4242, "who": "Ann"}
    answer = client.post(f"/api/batches/{batch}/reject", json=asked)
    assert answer.status_code == 200, answer.text
    said = answer.json()
    assert {key: said[key] for key in ("batch", "queued", "by", "why")} == {
        "batch": batch, "queued": 1, "by": "Ann", "why": "wrong stress",
    }  # fmt: skip
    assert [(line["id"], line["take"], line["seed"]) for line in said["lines"]] == [(first["id"], first["take"], 4242)]
    again = ended(client, batch)["lines"]
    assert again[0]["take"] != first["take"] and again[1]["take"] == view["lines"][1]["take"]
    seeds = {take["take"]: take["seed"] for take in client.get(f"/api/batches/{batch}/takes").json()}
    assert seeds[again[0]["take"]] == 4242


def test_an_event_names_the_lines_and_takes_that_were_rejected(site: Site, client: httpx2.Client) -> None:
    view = rendered(client, "A page shows this take.", "And this one, which is liked.")
    line = view["lines"][0]
    client.post(f"/api/batches/{view['batch']}/reject", json={"lines": [line["id"]]})
    (event,) = happened(site, view["batch"], "takes rejected")
    assert event.detail == {"lines": [line["id"]], "takes": [line["take"]], "by": "127.0.0.1", "why": None}


def test_a_take_that_was_rejected_is_preferred_again(site: Site, client: httpx2.Client) -> None:
    view = rendered(client, "The first take was the best.")
    batch, line = view["batch"], view["lines"][0]
    client.post(f"/api/batches/{batch}/reject", json={"chapter": 1})
    second = ended(client, batch)["lines"][0]["take"]
    answer = client.post(f"/api/takes/{line['take']}/prefer", params={"who": "Ann"})
    assert answer.status_code == 200, answer.text
    said = answer.json()
    assert (said["batch"], said["line"], said["take"], said["before"], said["taken_back"]) == (
        batch, line["id"], line["take"], second, True,
    )  # fmt: skip
    assert client.get(f"/api/batches/{batch}/lines/{line['id']}/audio").headers["etag"] == f'"{line["sha256"]}"'
    (event,) = happened(site, batch, "take preferred")
    assert (event.line, event.detail["take"], event.detail["by"]) == (line["id"], line["take"], "Ann")


def test_the_documents_have_the_keys_of_the_command_line(client: httpx2.Client) -> None:
    view = rendered(client, "One for the page, so to say.", "One for the command line.")
    batch, (one, two) = view["batch"], view["lines"]
    by_page = client.post(f"/api/batches/{batch}/reject", json={"lines": [one["id"]]}).json()
    by_command = Cli().json("reject", batch, two["id"])
    assert list(by_page) == list(by_command) and list(by_page["lines"][0]) == list(by_command["lines"][0])
    ended(client, batch)
    by_page = client.post(f"/api/takes/{one['take']}/prefer").json()
    assert list(by_page) == list(Cli().json("prefer", two["take"]))


@pytest.mark.parametrize(
    ("asked", "status", "says"),
    [
        ({}, 400, "name a line"),
        ({"lines": ["nothing"]}, 400, "no line 'nothing'"),
        ({"chapter": 7}, 400, "no chapter 7"),
        ({"lines": ["1"], "seed": -1}, 400, "seed"),
        ({"lines": ["1"], "remark": "?"}, 400, "remark"),
        ({"lines": "1"}, 400, "lines"),
    ],
)
def test_what_cannot_be_rejected_is_refused_and_nothing_changes(
    client: httpx2.Client, asked: dict[str, Any], status: int, says: str
) -> None:
    view = rendered(client, "This take stays as it is.")
    answer = client.post(f"/api/batches/{view['batch']}/reject", json=asked)
    assert answer.status_code == status and says in answer.json()["error"]["message"]
    assert client.get(f"/api/batches/{view['batch']}").json()["lines"][0]["take"] == view["lines"][0]["take"]


def test_parameters_beside_the_body_are_refused_as_they_would_be_ignored(client: httpx2.Client) -> None:
    view = rendered(client, "This one stays as well.")
    answer = client.post(f"/api/batches/{view['batch']}/reject?seed=7", json={"lines": ["1"]})
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, "seed")


def test_a_seed_that_was_tried_is_refused(client: httpx2.Client) -> None:
    view = rendered(client, "This seed was tried.")
    (take,) = client.get(f"/api/batches/{view['batch']}/takes").json()
    answer = client.post(f"/api/batches/{view['batch']}/reject", json={"lines": ["1"], "seed": take["seed"]})
    assert answer.status_code == 400 and answer.json()["error"]["param"] == "seed"


def test_a_line_without_a_take_and_unknown_ids_are_told_apart(site: Site, client: httpx2.Client) -> None:
    site.paused.set()
    try:
        script = {"version": 1, "title": "Ear", "model": "ready", "lines": ["It waits for a worker."]}
        batch = client.post("/api/batches", json=script).json()["batch"]
        waits = client.post(f"/api/batches/{batch}/reject", json={"lines": ["1"]})
    finally:
        site.paused.clear()
    assert (waits.status_code, waits.json()["error"]["code"]) == (409, "conflict")
    assert client.post("/api/batches/nothing/reject", json={"lines": ["1"]}).status_code == 404
    assert client.post("/api/takes/nothing/prefer").status_code == 404
    ended(client, batch)


def test_a_rejection_is_not_an_error_when_the_queue_does_not_answer(
    client: httpx2.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is in the ledger, from which workers restore the queue."""

    def silent(*_: object) -> None:
        raise redis.exceptions.ConnectionError("gone")

    view = rendered(client, "The queue is away for a while.")
    with monkeypatch.context() as patch:
        patch.setattr("vvbatch.batch.submit.restore", silent)
        answer = client.post(f"/api/batches/{view['batch']}/reject", json={"lines": ["1"]})
    assert (answer.status_code, answer.json().get("queued")) == (200, 1)
    client.post(f"/api/batches/{view['batch']}/cancel")


def test_a_take_that_failed_its_checks_is_not_preferred(client: httpx2.Client) -> None:
    view = rendered(client, "This one is silent.")
    takes = client.get(f"/api/batches/{view['batch']}/takes").json()
    answer = client.post(f"/api/takes/{takes[0]['take']}/prefer")
    assert answer.status_code == 409 and "passed its checks" in answer.json()["error"]["message"]


def test_a_take_whose_file_is_gone_is_named_with_the_remedy(client: httpx2.Client) -> None:
    view = rendered(client, "The file of this one will go.")
    batch, line = view["batch"], view["lines"][0]
    Path(line["path"]).rename(f"{line['path']}.away")
    of_line = client.post(f"/api/batches/{batch}/reject", json={"lines": ["1"]})
    Path(f"{line['path']}.away").rename(line["path"])
    client.post(f"/api/batches/{batch}/reject", json={"lines": ["1"]})
    ended(client, batch)
    (kept,) = [take for take in client.get(f"/api/batches/{batch}/takes").json() if take["take"] == line["take"]]
    Path(kept["path"]).unlink()
    of_take = client.post(f"/api/takes/{line['take']}/prefer")
    for answer, path in ((of_line, line["path"]), (of_take, kept["path"])):
        message = answer.json()["error"]["message"]
        assert (answer.status_code, answer.json()["error"]["code"]) == (404, "gone")
        assert path in message and "vvbatch verify --repair" in message


def test_a_full_disk_is_named_and_nothing_is_rejected(client: httpx2.Client, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(source: Path, *_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device", str(source))

    view = rendered(client, "The disk is full while this one is rejected.")
    with monkeypatch.context() as patch:
        patch.setattr("vvbatch.store.stage_copy", full)
        answer = client.post(f"/api/batches/{view['batch']}/reject", json={"lines": ["1"]})
    assert (answer.status_code, answer.json()["error"]["code"]) == (503, "unavailable")
    assert f"{view['lines'][0]['path']}: No space left on device; make room" in answer.json()["error"]["message"]
    assert client.get(f"/api/batches/{view['batch']}").json()["lines"] == view["lines"]
