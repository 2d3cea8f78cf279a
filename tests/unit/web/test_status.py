"""Status, health, voices, warm-up and metrics over HTTP."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import httpx2
import pytest
import redis
import soundfile
from prometheus_client.parser import text_string_to_metric_families
from sqlalchemy.exc import OperationalError

from bench.voicelike import syllables
from tests.conftest import wait_until
from tests.support import ledgers
from tests.support.cli import Cli
from tests.support.web import Site, ended, serving, submitted
from vvbatch.ledger.listings import Filter, list_takes
from vvbatch.ledger.recovery import worker_started
from vvbatch.ledger.schema import nights, verdicts
from vvbatch.ledger.views import StatusView
from vvbatch.settings import ServeSettings
from vvbatch.web.answers import json_answer
from vvbatch.web.status import StatusAnswer, file_name


def test_the_status_is_that_of_the_command(client: httpx2.Client) -> None:
    mine, theirs = client.get("/api/status").json(), Cli().json("status")
    assert set(mine) == set(theirs)
    assert mine["workers"][0]["alive"] is True and mine["redis"]["reachable"] is True
    batch = submitted(client, "One for the status.")
    assert batch in [each["batch"] for each in client.get("/api/status?kind=all").json()["batches"]]


def test_the_document_of_the_status_has_its_keys() -> None:
    assert StatusAnswer.__struct_encode_fields__ == StatusView.__struct_encode_fields__


def test_health_is_ready_with_a_worker_and_names_what_is_missing_without(site: Site, home: Path) -> None:
    with site.client() as client:
        assert client.get("/health/ready").json()["workers"]["ready"] is True
    with serving(worker=False) as alone, alone.client() as client:
        assert client.get("/health/live").json() == {"status": "live"}
        answer = client.get("/health/ready")
        assert answer.status_code == 503 and answer.json()["why"].startswith("no worker runs: start one")
        ledgers.add_batch(alone.ledger, "b", ["One."], profile="ready2")
        assert client.get("/health/ready").json()["workers"] == {"ready2": False}


def test_health_names_a_ledger_or_a_queue_that_does_not_answer(
    site: Site, client: httpx2.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unreadable(_ledger: object) -> None:
        raise OperationalError("SELECT", {}, Exception("disk I/O error"))

    def silent() -> None:
        raise redis.ConnectionError("connection refused")

    with monkeypatch.context() as patch:
        patch.setattr("vvbatch.web.status.waiting_by_profile", unreadable)
        answer = client.get("/health/ready")
    assert (answer.status_code, answer.json()["ledger"]) == (503, "disk I/O error")
    assert answer.json()["why"] == "the ledger cannot be read: disk I/O error"
    with monkeypatch.context() as patch:
        patch.setattr(site.services.queue, "ping", silent)
        answer = client.get("/health/ready")
    assert (answer.status_code, answer.json()["queue"]) == (503, "connection refused")
    assert answer.json()["why"] == "the queue's server does not answer: connection refused"
    again = client.get("/health/ready").json()
    assert (again["ledger"], again["queue"]) == (None, None)


@pytest.mark.parametrize(
    "path", ["/api/batches", "/api/batches/last", "/api/batches/last/lines", "/api/batches/last/takes"]
)
def test_a_large_document_is_encoded_beside_other_requests(
    site: Site, client: httpx2.Client, monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    submitted(client, f"One for a large document at {path}.")
    encoding, go_on = threading.Event(), threading.Event()

    def slow(document: object) -> Any:
        encoding.set()
        assert go_on.wait(30)
        return json_answer(document)

    monkeypatch.setattr("vvbatch.web.batches.json_answer", slow)
    answers: list[int] = []
    asking = threading.Thread(target=lambda: answers.append(client.get(path).status_code))
    asking.start()
    assert encoding.wait(30)
    assert httpx2.get(f"{site.url}/health/live", timeout=20).status_code == 200
    go_on.set()
    asking.join()
    assert answers == [200]


def test_voices_are_listed_as_by_the_command_and_not_imported_unless_allowed(client: httpx2.Client) -> None:
    assert client.get("/api/voices").json() == Cli().json("voices", "list")
    answer = client.post("/api/voices", files={"file": ("a.wav", b"RIFF")}, data={"name": "mara"})
    assert answer.status_code == 403 and "serve.import_voices" in answer.json()["error"]["message"]


@pytest.mark.slow
def test_an_allowed_import_makes_a_voice_and_refuses_what_is_none(home: Path, tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.flac", syllables(5.0, [4]), 24_000)
    with serving(serve=ServeSettings(import_voices=True), worker=False) as site, site.client() as client:
        file = (tmp_path / "a.flac").read_bytes()
        made = client.post("/api/voices", files={"file": ("a.flac", file)}, data={"name": "mara", "gender": "female"})
        assert made.status_code == 201 and made.json()["name"] == "mara" and made.json()["gender"] == "female"
        assert "mara" in [voice["id"] for voice in client.get("/v1/audio/voices").json()["voices"]]
        assert made.json()["provenance"]["source"] == "a.flac"
        part = {"name": "part", "start": "1", "length": "3.5"}
        cut = client.post("/api/voices", files={"file": ("a.flac", file)}, data=part).json()["provenance"]
        assert (cut["start_s"], cut["length_s"]) == (1.0, 3.5)
        bad = client.post("/api/voices", files={"file": ("a.wav", b"RIFF, not a wave")}, data={"name": "other"})
        assert bad.status_code == 400 and bad.json()["error"]["message"].startswith("a.wav: cannot be read")
        for field, value in {"gender": "robot", "length": "0", "colour": "red"}.items():
            wrong = client.post("/api/voices", files={"file": ("a.flac", file)}, data={"name": "other", field: value})
            assert (wrong.status_code, wrong.json()["error"]["param"]) == (400, field)
        named = client.post("/api/voices", files={"file": ("a.wav", file)}, data={"name": "../../x"})
        assert (named.status_code, named.json()["error"]["param"]) == (400, "name")


def test_a_field_of_a_form_that_is_given_twice_is_refused(home: Path) -> None:
    with serving(serve=ServeSettings(import_voices=True), worker=False) as site, site.client() as client:
        twice = {"name": ["one", "two"]}
        answer = client.post("/api/voices", files={"file": ("a.wav", b"RIFF")}, data=twice)
        assert (answer.status_code, answer.json()["error"]["param"]) == (400, "name")
        assert "given 2 times" in answer.json()["error"]["message"]


def test_control_characters_are_refused_before_a_command_gets_them(home: Path) -> None:
    answers: list[tuple[str, httpx2.Response]] = []
    with serving(serve=ServeSettings(import_voices=True), worker=False) as site, site.client() as client:
        for text in ("a\0b", "\x1b[2J", "two\nlines", "a line\n", "\x9b2J"):
            form = {"name": "mara", "consent": text}
            why, who = {"lines": ["1"], "why": text}, {"who": text}
            answers += [
                ("consent", client.post("/api/voices", files={"file": ("a.wav", b"RIFF")}, data=form)),
                ("profile", client.post("/api/warmup", json={"profile": text})),
                ("why", client.post("/api/batches/last/reject", json=why)),
                ("who", client.post("/api/takes/0/prefer", params=who)),
            ]
    for name, answer in answers:
        assert (answer.status_code, answer.json()["error"]["param"]) == (400, name)
        assert "without control characters" in answer.json()["error"]["message"]


@pytest.mark.parametrize("name", ["a.wav", "海" * 300 + "a.wav", "../../a.wav", "\0\x1b.wav", "é" * 100, ""])
def test_the_name_of_a_file_that_is_sent_is_one_that_a_folder_takes(tmp_path: Path, name: str) -> None:
    file = tmp_path / file_name(name)
    file.write_bytes(b"RIFF")
    assert list(tmp_path.iterdir()) == [file]
    assert file.suffix == Path(name).suffix


@pytest.mark.slow
def test_a_warm_up_runs_in_a_process_of_its_own(client: httpx2.Client) -> None:
    pytest.importorskip("piper")
    answer = client.post("/api/warmup", json={"profile": "draft"})
    assert answer.status_code == 200 and answer.json()["after"]["first_chunk_s"] > 0
    assert client.post("/api/warmup", json={"profile": "nothing"}).json()["error"]["param"] == "profile"


# Metrics


def figures(site: Site, client: httpx2.Client) -> dict[tuple[str, tuple[str, ...]], float]:
    site.services.fresh.clear()
    text = client.get("/metrics").text
    return {
        (sample.name, tuple(sorted(sample.labels.values()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_metrics_are_read_by_prometheus_and_count_what_has_ended(site: Site) -> None:
    with site.client() as client:
        before = figures(site, client)
        batch = submitted(client, "Counted once.", "Counted, and silent.", title="Counted")
        view = ended(client, batch)
        counted = ("vvbatch_first_chunk_seconds_count", ("cpu", "ready"))
        after = {}

        def all_counted() -> bool:
            after.update(figures(site, client))
            return after.get(counted, 0) >= before.get(counted, 0) + 4

        wait_until(all_counted, 30)
    worker = next(iter(labels[1] for name, labels in after if name == "vvbatch_slots"))
    assert view["counts"]["failed"] == 1

    def more(name: str, *labels: str) -> float:
        return after[(name, tuple(sorted(labels)))] - before.get((name, tuple(sorted(labels))), 0.0)

    assert more("vvbatch_takes_total", "ready", "done") == 1
    assert more("vvbatch_takes_total", "ready", "failed_qc") == 3
    assert more("vvbatch_retries_total", "ready") == 2
    assert any(name == "vvbatch_failed_checks_total" and value >= 3 for (name, _), value in after.items())
    assert more("vvbatch_audio_seconds_total", "ready", "cpu") == pytest.approx(13 * 0.07, abs=0.2)
    assert more("vvbatch_rtf_count", "ready", "cpu") == 4
    assert more("vvbatch_first_chunk_seconds_count", "ready", "cpu") == 4
    assert after[("vvbatch_slots", ("ready", worker))] == 16
    assert after[("vvbatch_slots_in_use", ("ready", worker))] == 0


def test_takes_that_ended_before_anyone_asked_are_counted(site: Site, client: httpx2.Client) -> None:
    """The module's server began with an empty ledger."""
    ended(client, submitted(client, "Counted without being asked for."))

    def counted() -> bool:
        takes = [value for (name, _), value in figures(site, client).items() if name == "vvbatch_takes_total"]
        states = [take.state for take in list_takes(site.ledger, Filter(limit=10_000))]
        return sum(takes) == len(states) - states.count("rendering") > 0

    wait_until(counted, 30)


@pytest.mark.slow
def test_what_waits_and_the_last_night_are_counted_and_workers_that_are_gone_are_not(home: Path) -> None:
    with serving(worker=False) as site, site.client() as client:
        ledgers.add_batch(site.ledger, "b", ["One.", "Two."], profile="ready2")
        worker_started(site.ledger, "gone", "ready2", "studio", 1, {"slots": 16, "device": "cpu"})
        night = {"id": "n1", "suite": "voices", "profile": "ready2", "state": "ended", "started_at": site.ledger.now()}
        with site.ledger.transaction() as connection:
            connection.execute(nights.insert().values(night))
            connection.execute(nights.insert().values(night | {"id": "n0", "started_at": "2020"}))
            for position, (of, verdict) in enumerate(
                [("n1", "same"), ("n1", "same"), ("n1", "worse"), ("n0", "changed")]
            ):
                row = {"night_id": of, "position": position, "line": "l", "verdict": verdict}
                connection.execute(verdicts.insert().values(row | {"reasons": [], "measures": {}}))
        found = figures(site, client)
        assert found[("vvbatch_queued_lines", ("normal", "ready2"))] == 2
        assert found[("vvbatch_oldest_wait_seconds", ("normal", "ready2"))] > 0
        assert not any(name == "vvbatch_slots" for name, _ in found), "a worker that is gone has no figures"
        of_nights = {labels: value for (name, labels), value in found.items() if name == "vvbatch_night_lines"}
        assert of_nights == {("ready2", "same", "voices"): 2, ("ready2", "voices", "worse"): 1}
