"""What a night makes of its lines: baselines are only what was blessed, and are checked each time."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest
from sqlalchemy import select

from tests.support.nights import TEXTS, judged, rendered, suite, voice
from vvbatch import store
from vvbatch.batch.verify_files import verify
from vvbatch.home import Home
from vvbatch.ledger import Ledger
from vvbatch.ledger.schema import baselines, lines, takes
from vvbatch.listening.contract import ListeningUnavailable
from vvbatch.regress import listening, records, run_night
from vvbatch.regress.baseline import CannotBless, bless, folder
from vvbatch.regress.records import Change
from vvbatch.regress.retention import prune
from vvbatch.regress.summary import Summary, summary
from vvbatch.transport import server

pytestmark = pytest.mark.slow  # every night is rendered and compared: 5 s together


def blessed(ledger: Ledger, where: Home, name: str = "n1", only: Sequence[str] = (), why: str = "good") -> list[str]:
    return bless(ledger, where, suite(), records.find_night(ledger, "small", name), "ada", why, only)


def found(ledger: Ledger, name: str) -> Summary:
    return summary(ledger, "small", name)


def test_a_first_night_blesses_nothing_by_itself(ledger: Ledger, where: Home) -> None:
    judged(ledger, where, "n1")
    judged(ledger, where, "n2")
    assert found(ledger, "n2").verdict == "unblessed" and found(ledger, "n2").counts["unblessed"] == 4
    with ledger.engine.connect() as connection:
        assert connection.execute(select(baselines)).all() == []


def test_a_blessing_says_who_when_why_and_with_which_versions_and_keeps_a_file_of_its_own(
    ledger: Ledger, where: Home
) -> None:
    judged(ledger, where, "n1")
    assert blessed(ledger, where, why="listened to all") == ["l1", "l2", "l3", "l4"]
    row = records.blessed(ledger, "small", "draft")["l1"]
    assert (row.blessed_by, row.why, row.night_id) == ("ada", "listened to all", "n1") and row.blessed_at
    assert row.facts.versions == {"numpy": "2"} and row.facts.machine["cpu"] == "c"
    assert Path(row.path).name == f"{row.sha256}.wav" and store.sha256_file(Path(row.path)) == row.sha256
    (result,) = [each for each in records.results(ledger, "night-n1") if each.line == "l1"]
    Path(result.path).write_bytes(b"overwritten")  # the night's file is not the baseline's
    assert store.sha256_file(Path(row.path)) == row.sha256


def test_equal_bits_are_the_same_on_any_machine(ledger: Ledger, where: Home) -> None:
    judged(ledger, where, "n1")
    blessed(ledger, where)
    judged(ledger, where, "n2", machine={"cpu": "another"})
    assert found(ledger, "n2").verdict == "same"
    assert found(ledger, "n2").changed == [Change("cpu", "c", "another")]


def test_other_bits_within_the_limits_are_equivalent_elsewhere_and_changed_on_the_same_machine(
    ledger: Ledger, where: Home
) -> None:
    judged(ledger, where, "n1")
    blessed(ledger, where)
    hardly = {1: voice(1, gain_db=0.05)}
    judged(ledger, where, "n2", hardly)
    judged(ledger, where, "n3", hardly, machine={"cpu": "another"})
    here, elsewhere = (found(ledger, name).lines[0] for name in ("n2", "n3"))
    assert here.verdict == "changed" and [each.name for each in here.reasons] == ["bits"]
    assert elsewhere.verdict == "equivalent" and elsewhere.reasons == []


@pytest.mark.slow
def test_a_line_that_was_not_rendered_is_worse_and_says_why(ledger: Ledger, where: Home) -> None:
    judged(ledger, where, "n1")
    blessed(ledger, where)
    judged(ledger, where, "n2", {2: None})
    line = found(ledger, "n2").lines[1]
    assert line.verdict == "worse" and "NaN latents at step 7" in line.reasons[0].text
    assert found(ledger, "n2").counts == {"same": 3, "equivalent": 0, "changed": 0, "unblessed": 0, "worse": 1}


def test_a_louder_night_is_worse_as_a_whole_and_on_every_line(ledger: Ledger, where: Home) -> None:
    judged(ledger, where, "n1")
    blessed(ledger, where)
    judged(ledger, where, "n2", {number: voice(number, gain_db=0.4) for number in range(1, 5)})
    seen = found(ledger, "n2")
    assert seen.verdict == "worse" and [each.name for each in seen.reasons] == ["loudness"]
    assert [[each.name for each in line.reasons] for line in seen.lines] == [["loudness"]] * 4


def test_a_damaged_or_lost_baseline_is_never_compared_with(ledger: Ledger, where: Home) -> None:
    judged(ledger, where, "n1")
    blessed(ledger, where)
    rows = records.blessed(ledger, "small", "draft")
    Path(rows["l1"].path).write_bytes(Path(rows["l2"].path).read_bytes())
    Path(rows["l3"].path).unlink()
    judged(ledger, where, "n2")
    texts = [[each.text for each in line.reasons] for line in found(ledger, "n2").lines]
    assert "is not what was blessed" in texts[0][0] and "cannot be read" in texts[2][0]
    assert texts[1] == texts[3] == [] and found(ledger, "n2").verdict == "worse"
    blessed(ledger, where, "n2", ["l1"])  # blessing again mends it
    judged(ledger, where, "n3")
    assert found(ledger, "n3").lines[0].verdict == "same"


def test_one_line_can_be_blessed_alone_and_the_old_baseline_stays_in_the_ledger(ledger: Ledger, where: Home) -> None:
    judged(ledger, where, "n1")
    blessed(ledger, where)
    judged(ledger, where, "n2", {1: voice(1, gain_db=1.0), 2: voice(2, gain_db=1.0)})
    assert blessed(ledger, where, "n2", ["l1"], "it is meant to be louder") == ["l1"]
    judged(ledger, where, "n3", {1: voice(1, gain_db=1.0)})
    assert [line.verdict for line in found(ledger, "n3").lines] == ["same"] * 4
    with ledger.engine.connect() as connection:
        rows = connection.execute(select(baselines).where(baselines.c.line == "l1")).mappings().all()
    assert sorted(row["retired_at"] is None for row in rows) == [False, True]


def test_what_cannot_be_blessed_is_refused_as_a_whole(ledger: Ledger, where: Home) -> None:
    judged(ledger, where, "n1", {2: None})
    with pytest.raises(CannotBless, match="l2 of night n1 was not rendered"):
        blessed(ledger, where)
    with pytest.raises(CannotBless, match="no line nope"):
        blessed(ledger, where, only=["nope"])
    result = records.results(ledger, "night-n1")[2]
    Path(result.path).write_bytes(b"changed")
    with pytest.raises(CannotBless, match="has changed since it was rendered"):
        blessed(ledger, where, only=["l1", "l3"])
    assert records.blessed(ledger, "small", "draft") == {}


def test_an_edited_line_needs_a_blessing_of_its_own(
    ledger: Ledger, where: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    judged(ledger, where, "n1")
    blessed(ledger, where)
    monkeypatch.setattr("tests.support.nights.TEXTS", ("Another first line.", *TEXTS[1:]))
    judged(ledger, where, "n2")
    line = found(ledger, "n2").lines[0]
    assert line.verdict == "unblessed" and "not the one that was blessed" in line.reasons[0].text


@pytest.mark.slow
def test_a_slow_night_is_reported_after_enough_nights_on_the_same_machine(ledger: Ledger, where: Home) -> None:
    judged(ledger, where, "n1")
    blessed(ledger, where)
    for number in range(2, 7):
        judged(ledger, where, f"n{number}")
        assert found(ledger, f"n{number}").verdict == "same"
    judged(ledger, where, "other", machine={"cpu": "another"}, wall_s=3.0)
    assert found(ledger, "other").reasons == []
    judged(ledger, where, "more slots", slots=32, wall_s=3.0)  # each take shares its time with more lines
    assert found(ledger, "more slots").reasons == []
    judged(ledger, where, "slow", wall_s=3.0)
    seen = found(ledger, "slow")
    assert seen.verdict == "worse" and [each.name for each in seen.reasons] == ["speed"]
    assert seen.counts["same"] == 4


@pytest.mark.slow
def test_only_the_audio_of_the_newest_nights_is_kept_all_rows_and_all_baselines_are(
    ledger: Ledger, where: Home
) -> None:
    judged(ledger, where, "n1")
    blessed(ledger, where)
    for number in range(2, 5):
        judged(ledger, where, f"n{number}")
    assert prune(ledger, where, suite(keep_nights=2)) == ["n2", "n1"]
    assert prune(ledger, where, suite(keep_nights=2)) == []
    there = sorted(path.name for path in (folder(where, "small") / "nights").iterdir())
    assert there == ["night-n3", "night-n4"]
    with ledger.engine.connect() as connection:
        assert len(connection.execute(select(takes)).all()) == 16
        assert len(connection.execute(select(lines.c.path).where(lines.c.path.is_(None))).all()) == 8
    assert verify(ledger).problems == []
    with pytest.raises(CannotBless, match="the audio of night n2 was removed"):
        blessed(ledger, where, "n2")
    judged(ledger, where, "n5")
    assert found(ledger, "n5").verdict == "same" and found(ledger, "n2").pruned


def test_a_night_that_dies_differs_from_one_that_runs(ledger: Ledger, where: Home) -> None:
    rendered(ledger, where, "n1")
    rendered(ledger, where, "n2")
    assert records.find_night(ledger, "small", "n1").state == "interrupted"
    records.interrupt(ledger, "n2")
    with pytest.raises(records.UnknownNight, match="no night that has ended"):
        records.find_night(ledger, "small", "last")
    with pytest.raises(records.UnknownNight, match="matches several nights: n2, n1"):
        records.find_night(ledger, "small", "n")
    with pytest.raises(records.UnknownNight, match="unknown night 'x'"):
        records.find_night(ledger, "small", "x")


def test_a_suite_runs_once_at_a_time(where: Home) -> None:
    with (
        run_night.only_one(where, "small"),
        pytest.raises(run_night.AlreadyRuns),
        run_night.only_one(where, "small"),
    ):
        pass
    with run_night.only_one(where, "small"):
        assert server.try_lock(folder(where, "small") / "running.lock") is None


def test_lines_that_differ_and_cannot_be_listened_to_make_the_night_worse(
    ledger: Ledger, where: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unavailable(*_args: object) -> None:
        raise ListeningUnavailable("pip install 'vvbatch[qc]'")

    monkeypatch.setattr(listening, "compare_by_listening", unavailable)
    judged(ledger, where, "n1")
    blessed(ledger, where)
    judged(ledger, where, "n2", {1: voice(1, gain_db=0.05)}, {"listen": ("words",)})
    seen = found(ledger, "n2")
    assert seen.verdict == "worse" and seen.reasons[0].name == "not heard"
    assert "pip install 'vvbatch[qc]'" in seen.reasons[0].text


def test_a_line_in_parts_is_blessed_with_all_of_them(ledger: Ledger, where: Home) -> None:
    judged(ledger, where, "n1")
    with ledger.transaction() as connection:
        connection.execute(lines.update().where(lines.c.line.in_(["l2", "l3"])).values(part_of="long"))
    assert blessed(ledger, where, only=["long"]) == ["l2", "l3"]
    assert blessed(ledger, where, only=["l3"]) == ["l3"]
