"""Whether a batch is ready by the morning, by measured speeds and by what is queued before it."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.support.ledgers import add_batch, open_ledger, planned, render
from vvbatch.batch.deadline import BadTime, local_after, time_after, with_deadline
from vvbatch.batch.estimate import estimate
from vvbatch.batch.plan import Plan
from vvbatch.batch.speeds import keep_speed, known_speed
from vvbatch.engine.measure import Speed
from vvbatch.home import Home
from vvbatch.ledger import Ledger
from vvbatch.ledger.batches import set_batch_state

NOW = datetime(2026, 3, 1, 21, 0, tzinfo=UTC)  # 22:00 in Berlin
SPEED = Speed(
    engine="draft 1", model="joe", revision="1", device="cpu", dtype="float32", slots=4, shared_s=0.0, own_s=1.0,
    audio_s_per_character=0.08,
)  # fmt: skip


@pytest.fixture(autouse=True)
def berlin(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with monkeypatch.context() as patch:
        patch.setenv("TZ", "Europe/Berlin")
        time.tzset()
        yield
    time.tzset()


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    return open_ledger(tmp_path)


def speeds(profile: str) -> Speed | None:
    return SPEED if profile == "draft" else None


def plan_of(*characters: int, takes: int = 1) -> Plan:
    from dataclasses import replace

    lines = (planned(number, "x" * size, "new") for number, size in enumerate(characters, start=1))
    return Plan("t", "s.yaml", None, tuple(replace(line, takes=takes) for line in lines))


def test_what_was_measured_gives_an_estimate_on_the_first_day(ledger: Ledger) -> None:
    (model,) = estimate(plan_of(100, 300), ledger, speeds).models
    assert (model.audio_s, model.wall_s, model.ready_s) == (32.0, 400.0, 400.0)
    assert estimate(plan_of(100), ledger).models[0].wall_s is None


def test_lines_that_are_queued_before_it_delay_a_batch(ledger: Ledger) -> None:
    add_batch(ledger, "other", ["y" * 50] * 4)
    add_batch(ledger, "held", ["y" * 50] * 4)
    set_batch_state(ledger, "held", "paused", only_from=("open",))
    add_batch(ledger, "elsewhere", ["y" * 50], profile="7b")
    (model,) = estimate(plan_of(100), ledger, speeds).models
    assert (model.wall_s, model.ready_s, model.queued_before) == (100.0, 300.0, 4)


def test_a_plan_for_the_night_says_what_fits(ledger: Ledger) -> None:
    plan = plan_of(*[3600] * 4, takes=3)  # 12 hours; 4 with one take
    by = time_after("07:00", NOW)
    found = with_deadline(estimate(plan, ledger, speeds), plan, ledger, by, NOW, speeds, ["1.5b", "draft"]).by
    assert (found.ready, found.ready_at) == (False, "2026-03-02T10:00:00+01:00")
    assert [(each.profile, each.takes, each.fits) for each in found.choices] == [
        ("draft", 3, False),
        ("draft", 1, True),
        ("1.5b", 3, None),
        ("1.5b", 1, None),
    ]
    assert found.choices[1].ready_at == "2026-03-02T02:00:00+01:00"


def test_lines_that_are_cached_as_planned_are_not_counted(ledger: Ledger, tmp_path: Path) -> None:
    add_batch(ledger, "before", ["x" * 3600] * 2)
    file = tmp_path / "take.wav"
    file.write_bytes(b"audio")
    render(ledger, "before", 1, path=str(file))
    plan = Plan("t", "s.yaml", None, tuple(planned(number, "x" * 3600, "before") for number in (1, 2)))
    checked = estimate(plan, ledger, speeds)
    assert checked.cached == 1
    found = with_deadline(checked, plan, ledger, NOW, NOW, speeds, ["draft", "1.5b"]).by
    assert found.choices[0].ready_at == found.ready_at
    other = with_deadline(checked, plan, ledger, NOW, NOW, lambda _: SPEED, ["draft", "1.5b"]).by
    assert [each.wall_s for each in other.choices] == [checked.models[0].wall_s, 7200.0]


def test_the_night_in_which_the_clocks_change_has_an_hour_less() -> None:
    evening = datetime(2026, 3, 28, 21, 0, tzinfo=UTC)
    assert time_after("07:00", evening).isoformat() == "2026-03-29T07:00:00+02:00"
    assert local_after(evening, 8 * 3600).isoformat() == "2026-03-29T07:00:00+02:00"
    assert time_after("2026-03-30T06:00", evening).isoformat() == "2026-03-30T06:00:00+02:00"


def test_without_a_speed_nothing_is_promised(ledger: Ledger) -> None:
    plan = plan_of(100)
    found = with_deadline(estimate(plan, ledger), plan, ledger, NOW, NOW, lambda _: None, ["draft"]).by
    assert (found.ready, found.ready_at) == (None, None)


@pytest.mark.parametrize(
    ("text", "at"),
    [
        ("07:00", "2026-03-02T07:00:00+01:00"),
        ("23:30", "2026-03-01T23:30:00+01:00"),
        ("22:00", "2026-03-02T22:00:00+01:00"),
        ("2026-03-05T06:00", "2026-03-05T06:00:00+01:00"),
        ("2026-03-05T06:00Z", "2026-03-05T06:00:00+00:00"),
    ],
)
def test_a_time_of_day_is_the_next_one(text: str, at: str) -> None:
    assert time_after(text, NOW).isoformat() == at


@pytest.mark.parametrize("text", ["7", "25:00", "tomorrow", "", "07:61"])
def test_what_is_no_time_is_refused_with_what_is(text: str) -> None:
    with pytest.raises(BadTime, match=r"not a time: .*07:00"):
        time_after(text, NOW)


def test_a_speed_is_kept_in_the_home_and_a_damaged_file_is_no_speed(tmp_path: Path) -> None:
    home = Home(tmp_path / "home")
    assert known_speed(home, "draft") is None
    keep_speed(home, "draft", SPEED)
    assert known_speed(home, "draft") == SPEED
    (home.path / "speeds" / "draft.json").write_text("{")
    assert known_speed(home, "draft") is None
