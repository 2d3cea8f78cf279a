"""A take rendered again from the ledger: equal here, otherwise with what differs."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile
from sqlalchemy import update

from jobs.takes import Rendered, encode, judge
from tests.support.cli import Cli
from tests.support.ready import ReadyEngine
from vvbatch import machine, profiles, store
from vvbatch.batch.plan import Overrides, make_plan
from vvbatch.engine import open_engine
from vvbatch.engine.contract import Chunk, Engine, EngineUnavailable, Request
from vvbatch.engine.draft import DraftEngine
from vvbatch.home import Home
from vvbatch.ledger import Ledger, NewBatch
from vvbatch.ledger.batches import record_batch
from vvbatch.ledger.database import write
from vvbatch.ledger.recovery import worker_started
from vvbatch.ledger.schema import takes, workers
from vvbatch.profiles import Profile
from vvbatch.regress.records import Change
from vvbatch.regress.replay import UnknownTake, replay
from vvbatch.script.one import one_line
from vvbatch.voices import Library

pytestmark = pytest.mark.slow

pytest.importorskip("piper")


@pytest.fixture
def made(home: Path, tmp_path: Path) -> tuple[Ledger, Home, str, Path]:
    """A take that the draft engine rendered, in the ledger with its file, as a worker does it."""
    where = Home.from_environment()
    samples, rate = soundfile.read(profiles.bundled("voices") / "alice.wav", dtype="int16")
    soundfile.write(where.voices / "mara.wav", samples[: 4 * rate], rate)  # no other voice has its bytes
    ledger = Ledger(where.ledger_url)
    profile = profiles.load("draft")
    plan = make_plan(
        one_line("The lamp went out at midnight.", voice="mara", seed=7), Library.of(where), Overrides("draft")
    )
    record_batch(ledger, NewBatch("b", "t", "s", "f", "draft", "normal", str(tmp_path)), plan.lines)
    engine = DraftEngine(profile)
    facts = {**vars(engine.facts), "versions": machine.versions(), "machine": machine.identity()}
    worker_started(ledger, "w", "draft", "host", 1, facts)
    claim = ledger.claim("b-00001", "w")
    assert claim is not None
    opened = ledger.open_take(claim, claim.request.seed, engine.facts)
    assert opened is not None
    claim, take_id = opened, opened.take
    request = claim.request.for_take(take_id, claim.request.seed)
    outcome, wav = encode(judge(rendered(engine, request), claim.text, profile.qc))
    path = tmp_path / "take.wav"
    written = store.write_atomically(path, wav)
    outcome = replace(outcome, path=str(path), sha256=written.sha256, size_bytes=written.size)
    ledger.keep_take(claim, take_id, outcome, lambda: None)
    return ledger, where, take_id, path


def rendered(engine: DraftEngine, request: Request) -> Rendered:
    engine.admit(request)
    chunks: list[np.ndarray] = []
    while True:
        for event in engine.step():
            if not isinstance(event, Chunk):
                return Rendered(chunks, 0.1, 0.1)
            chunks.append(event.samples)


def test_a_take_comes_out_bit_for_bit_and_the_command_says_so(
    made: tuple[Ledger, Home, str, Path], tmp_path: Path
) -> None:
    _, _, take_id, path = made
    out = tmp_path / "again.wav"
    found = Cli().json("replay", take_id[:6], "--out", str(out))
    assert (found["take"], found["equal"], found["equal_by"], found["changed"]) == (take_id, True, "sha256", [])
    assert out.read_bytes() == path.read_bytes()
    assert "equal, bit for bit" in Cli()("replay", take_id).stdout


def test_a_voice_whose_file_was_moved_is_found_by_its_hash(made: tuple[Ledger, Home, str, Path]) -> None:
    _, home, take_id, _ = made
    (home.voices / "mara.wav").rename(home.voices / "renamed.wav")
    (home.voices / "mara.wav").write_bytes(b"something else")
    assert Cli().json("replay", take_id)["equal"]


def test_a_voice_that_is_nowhere_is_a_missing_thing(made: tuple[Ledger, Home, str, Path]) -> None:
    _, home, take_id, _ = made
    (home.voices / "mara.wav").unlink()
    assert "is gone or changed, and no voice has its sha256" in Cli()("replay", take_id, code=3).output


def test_another_seed_is_a_measured_difference_with_exit_1(made: tuple[Ledger, Home, str, Path]) -> None:
    ledger, _, take_id, _ = made
    with write(ledger.engine) as connection:
        connection.execute(update(takes).values(seed=8))
    found = Cli().json("replay", take_id, code=1)
    assert not found["equal"] and 0.1 < found["difference"]["mel_db"] < 3 and found["changed"] == []
    assert "not repeatable here" in Cli()("replay", take_id, code=1).stdout


def test_what_has_changed_since_is_named_then_and_now(made: tuple[Ledger, Home, str, Path]) -> None:
    ledger, _, take_id, _ = made
    with write(ledger.engine) as connection:
        facts = connection.execute(workers.select()).mappings().one()["facts"]
        facts["details"]["onnxruntime"] = "1.0"
        facts["machine"]["cpu"] = "Another"
        connection.execute(update(workers).values(facts=facts))
        connection.execute(update(takes).values(revision="0.9", control_hash="0" * 64))
    changed = {each["what"]: each["then"] for each in Cli().json("replay", take_id)["changed"]}
    assert changed == {
        "revision": "0.9",
        "profile or parameters (control hash)": "0" * 64,
        "onnxruntime": "1.0",
        "cpu": "Another",
    }


def with_shape(ledger: Ledger, mode: str, slots: int) -> None:
    """Record the shape of the engine's steps with every take and its worker."""
    with write(ledger.engine) as connection:
        facts = connection.execute(workers.select()).mappings().one()["facts"]
        facts["details"] |= {"slots": slots}
        connection.execute(update(workers).values(facts=facts))
        connection.execute(update(takes).values(metrics={"step_shape": {"mode": mode, "slots": slots}}))


@pytest.mark.parametrize(("mode", "slots"), [("fixed", 3), ("following", 4)])
def test_a_take_is_rendered_with_the_slots_it_had_if_its_shape_was_fixed(
    made: tuple[Ledger, Home, str, Path], mode: str, slots: int
) -> None:
    ledger, home, take_id, _ = made
    with_shape(ledger, mode, 3)
    opened = []

    def open_it(profile: Profile, cache: Path) -> Engine:
        opened.append(profile.slots)
        return open_engine(profile, cache)

    found, _ = replay(ledger, home, take_id, open_it)
    assert opened == [slots]
    assert found.changed == []


def test_without_the_old_file_only_the_hash_is_compared(made: tuple[Ledger, Home, str, Path]) -> None:
    ledger, home, take_id, path = made
    path.unlink()
    assert replay(ledger, home, take_id)[0].equal
    with write(ledger.engine) as connection:
        connection.execute(update(takes).values(seed=8))
    found, _ = replay(ledger, home, take_id)
    assert not found.equal and found.difference is None and "cannot be read" in str(found.note)


def test_a_take_that_kept_no_file_is_compared_by_its_checks(made: tuple[Ledger, Home, str, Path]) -> None:
    ledger, home, take_id, _ = made
    with write(ledger.engine) as connection:
        connection.execute(update(takes).values(state="failed_qc", path=None, sha256=None))
    found, _ = replay(ledger, home, take_id)
    assert found.equal and found.equal_by == "checks" and "kept no file" in str(found.note)


def test_another_engine_is_listed_as_changed(made: tuple[Ledger, Home, str, Path]) -> None:
    ledger, home, take_id, _ = made
    found, _ = replay(ledger, home, take_id, lambda profile, cache: ReadyEngine(profile))
    assert not found.equal
    assert Change("engine", "draft 1", "ready 1") in found.changed


def test_an_unknown_take_is_bad_input_and_a_missing_model_exit_3(
    made: tuple[Ledger, Home, str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    ledger, home, take_id, _ = made
    assert "unknown take 'nothing'" in Cli()("replay", "nothing", code=2).output
    with pytest.raises(UnknownTake):
        replay(ledger, home, "")

    def missing(profile: Profile, cache: Path) -> None:
        raise EngineUnavailable("no such model: fetch it")

    monkeypatch.setattr(replay, "__defaults__", (missing,))
    assert "no such model: fetch it" in Cli()("replay", take_id, code=3).output
