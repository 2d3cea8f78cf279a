"""Whole batches through a real Redis and real worker processes that render ready audio."""

from __future__ import annotations

import csv
import hashlib
import json
import sqlite3
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import soundfile

from tests.conftest import Shell, wait_until
from tests.support.documents import batch_view
from vvbatch.home import Home
from vvbatch.ledger import Ledger
from vvbatch.transport import server

SENTENCE = "This is line number {} of the batch."


def up(shell: Shell, *models: str) -> None:
    """Redis in one process and a ready worker per model in others, as the Procfile does it."""
    shell.start("vvbatch", "redis")
    wait_until(lambda: server.EmbeddedServer(Home.from_environment()).is_up())
    for model in models:
        shell.start("tests.support.ready", model)


def many(path: Path, count: int) -> Path:
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["id", "text"])
        writer.writerows([f"l{number}", SENTENCE.format(number)] for number in range(count))
    return path


def status(shell: Shell, batch: str) -> Any:
    """What `status BATCH --json` prints, without a process for every look."""
    ledger = Ledger(Home.from_environment().ledger_url)
    try:
        return batch_view(ledger, batch)
    finally:
        ledger.close()


def ended(shell: Shell, batch: str) -> Any:
    view = status(shell, batch)
    return view if view["counts"]["queued"] + view["counts"]["rendering"] == 0 else None


def takes_in_ledger(home: Path) -> list[tuple[str, str, int]]:
    with sqlite3.connect(home / "ledger.sqlite3") as connection:
        return list(connection.execute("SELECT line_id, state, attempt FROM takes"))


def test_a_batch_becomes_files_with_the_hashes_that_the_ledger_has(
    shell: Shell, script: Callable[..., Path], home: Path, tmp_path: Path
) -> None:
    up(shell, "ready")
    path = script("The lamp went out at midnight.", "Nobody had touched it.", title="The Lighthouse")
    batch = shell.json("submit", str(path), "--out", str(tmp_path / "out"))["batch"]
    view = wait_until(lambda: ended(shell, batch))
    assert (view["state"], view["counts"]["done"], view["eta_s"]) == ("done", 2, 0)
    first = Path(view["lines"][0]["path"])
    assert first.parent == tmp_path / "out" / batch / "chapter-01"
    assert first.name == f"0001-{view['lines'][0]['id']}.wav"
    info = soundfile.info(first)
    assert (info.samplerate, info.channels, info.subtype) == (24_000, 1, "PCM_16")
    takes = {take["line"]: take for take in shell.json("ledger", "takes", "--batch", batch)}
    assert takes[view["lines"][0]["id"]]["sha256"] == hashlib.sha256(first.read_bytes()).hexdigest()
    manifest = json.loads((tmp_path / "out" / batch / "manifest.json").read_text())
    assert [line["text"] for line in manifest["lines"]] == ["The lamp went out at midnight.", "Nobody had touched it."]
    shell("verify", batch)


def test_a_second_submit_is_served_from_the_cache_and_an_edited_line_renders_only_itself(
    shell: Shell, script: Callable[..., Path], home: Path
) -> None:
    up(shell, "ready")
    first = shell.json("submit", str(script("One line here.", "And another line.")))["batch"]
    wait_until(lambda: ended(shell, first))
    again = shell.json("submit", str(script("One line here.", "And another line.")))
    assert again["batch"] != first
    assert (again["state"], again["counts"]["cached"]) == ("done", 2)
    edited = shell.json("submit", str(script("One line here.", "And a changed line.")))["batch"]
    view = wait_until(lambda: ended(shell, edited))
    assert (view["counts"]["cached"], view["counts"]["done"]) == (1, 1)
    assert len(takes_in_ledger(home)) == 3


def test_a_cached_file_that_was_changed_or_removed_is_rendered_again(
    shell: Shell, script: Callable[..., Path], home: Path
) -> None:
    up(shell, "ready")
    path = script("First of two lines.", "Second of two lines.")
    batch = shell.json("submit", str(path))["batch"]
    view = wait_until(lambda: ended(shell, batch))
    Path(view["lines"][0]["path"]).unlink()
    second = Path(view["lines"][1]["path"])
    second.write_bytes(second.read_bytes()[:-2])
    assert shell("verify", view["batch"], code=1)
    second_batch = shell.json("submit", str(path))["batch"]
    assert wait_until(lambda: ended(shell, second_batch))["counts"]["done"] == 2


def test_the_same_script_while_it_is_in_work_is_taken_up_and_not_queued_twice(
    shell: Shell, script: Callable[..., Path], home: Path
) -> None:
    up(shell)
    path = script(*[SENTENCE.format(n) for n in range(20)])
    first, second = shell.json("submit", str(path)), shell.json("submit", str(path))
    assert first["batch"] == second["batch"]
    shell.start("tests.support.ready", "ready")
    assert wait_until(lambda: ended(shell, first["batch"]))["counts"]["done"] == 20
    assert len(takes_in_ledger(home)) == 20


def test_a_failed_check_is_tried_with_another_seed_and_then_the_line_fails_without_a_file(
    shell: Shell, home: Path, tmp_path: Path
) -> None:
    up(shell, "ready")
    path = tmp_path / "bad.yaml"
    lines = [{"text": "This one is once-bad only.", "seed": 7, "id": "second-try"}]
    lines += [{"text": "This one is silent always.", "id": "silent"}, {"text": "Here is a nan inside.", "id": "nan"}]
    lines += [
        {"text": "This is broken for good.", "id": "broken"},
        {"text": "This is refused at once.", "id": "refused"},
    ]
    path.write_text(json.dumps({"version": 1, "model": "ready", "lines": lines}))
    batch = shell.json("submit", str(path), "--out", str(tmp_path / "out"))["batch"]
    view = wait_until(lambda: ended(shell, batch))
    by_id = {line["id"]: line for line in view["lines"]}
    assert view["state"] == "failed"
    assert by_id["second-try"]["state"] == "done"
    assert {by_id[name]["state"] for name in ("silent", "nan", "broken", "refused")} == {"failed"}
    assert "NaN latents" in by_id["broken"]["error"]
    assert "refused" in by_id["refused"]["error"]
    assert len(list((tmp_path / "out").rglob("*.wav"))) == 1
    takes = shell.json("ledger", "takes", "--batch", batch)
    count = Counter((take["line"], take["state"]) for take in takes)
    assert count["second-try", "failed_qc"] == 1
    assert count["second-try", "done"] == 1
    assert count["silent", "failed_qc"] == 3
    assert count["broken", "failed"] == 2
    assert count["refused", "failed"] == 1
    seeds = [take["seed"] for take in takes if take["line"] == "silent"]
    assert len(set(seeds)) == 3


def test_several_takes_are_rendered_with_their_own_seeds_and_one_is_kept(
    shell: Shell, home: Path, tmp_path: Path
) -> None:
    up(shell, "ready")
    path = tmp_path / "takes.yaml"
    path.write_text(
        json.dumps({"version": 1, "model": "ready", "lines": [{"text": "Say it three times.", "takes": 3}]})
    )
    batch = shell.json("submit", str(path))["batch"]
    wait_until(lambda: ended(shell, batch))
    takes = shell.json("ledger", "takes", "--batch", batch)
    assert Counter(take["state"] for take in takes) == {"done": 1, "superseded": 2}
    assert len({take["seed"] for take in takes}) == 3


def test_pause_holds_a_batch_resume_lets_it_go_on_and_cancel_ends_it(
    shell: Shell, script: Callable[..., Path], home: Path
) -> None:
    up(shell, "ready")
    batch = shell.json("submit", str(script(*[f"Line {n} goes slowly." for n in range(48)])))["batch"]
    wait_until(lambda: status(shell, batch)["counts"]["rendering"] == 16)
    shell("pause", batch)
    wait_until(lambda: status(shell, batch)["counts"]["rendering"] == 0)
    held = status(shell, batch)
    assert held["state"] == "paused"
    assert held["counts"]["queued"] >= 16
    shell("resume", batch)
    wait_until(lambda: status(shell, batch)["counts"]["rendering"] > 0)
    shell("cancel", batch)
    view = wait_until(lambda: ended(shell, batch))
    assert view["state"] == "cancelled"
    assert view["counts"]["cancelled"] + view["counts"]["done"] == 48
    time.sleep(1)
    assert status(shell, batch)["counts"] == view["counts"]
    shell("retry", batch)
    assert wait_until(lambda: ended(shell, batch))["counts"]["done"] == 48


def test_a_paused_model_queue_starts_nothing_until_it_is_resumed(
    shell: Shell, script: Callable[..., Path], home: Path
) -> None:
    up(shell, "ready")
    shell("pause", "--queue", "ready")
    batch = shell.json("submit", str(script("Nobody says this yet.")))["batch"]
    time.sleep(1.5)
    assert status(shell, batch)["counts"]["queued"] == 1
    shell("resume", "--queue", "ready")
    assert wait_until(lambda: ended(shell, batch))["counts"]["done"] == 1


def test_high_priority_goes_before_normal_and_low(shell: Shell, script: Callable[..., Path], home: Path) -> None:
    up(shell)
    order = []
    for priority in ("low", "normal", "high"):
        lines = [f"A line of {priority} priority, number {n}." for n in range(20)]
        order.append(
            shell.json("submit", str(script(*lines, name=f"{priority}.yaml")), "--priority", priority)["batch"]
        )
    shell.start("tests.support.ready", "ready")
    wait_until(lambda: all(ended(shell, batch) for batch in order))
    takes = sorted(shell.json("ledger", "takes", "--limit", "60"), key=lambda take: take["created_at"])
    assert [take["batch"] for take in takes] == [order[2]] * 20 + [order[1]] * 20 + [order[0]] * 20
