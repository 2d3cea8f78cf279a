"""When nights are due, which were missed, and the lines for other schedulers."""

from __future__ import annotations

import plistlib
import shlex
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest

from tests.support.cli import Cli
from tests.support.ledgers import Clock
from tests.support.nights import judged
from vvbatch.home import Home
from vvbatch.ledger import Ledger
from vvbatch.regress import records, schedule
from vvbatch.regress.schedule import BadSchedule, checked, crontab_line, launchd_line, overview
from vvbatch.support.doctor.services import missed_nights

NOW = datetime(2026, 3, 1, 22, 0, tzinfo=UTC)
DAILY = "30 2 * * *"


@pytest.fixture(autouse=True)
def utc(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    import time

    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def book(where: Home, clock: Clock) -> Iterator[Ledger]:
    ledger = Ledger(where.ledger_url, clock)
    yield ledger
    ledger.close()


@pytest.mark.parametrize(
    ("cron", "message"),
    [
        ("", "0 fields"), ("30 2 * *", "4 fields"), ("@daily", "1 fields"), ("61 2 * * *", "61"),
        ("x 2 * * *", "such as"), ("0 0 31 2 *", "31 2"), ("* * * * *", "more often"), ("*/5 * * * *", "more often"),
        ("30 2 * * * *", "6 fields"),
    ],
)  # fmt: skip
def test_a_schedule_that_cannot_be_meant_is_refused(cron: str, message: str) -> None:
    with pytest.raises(BadSchedule, match=message.replace("*", r"\*")):
        checked(cron, NOW)


def test_a_good_schedule_is_kept_with_single_spaces() -> None:
    assert checked(" 30  2 * * 1-5 ", NOW) == "30 2 * * 1-5"


def test_nights_are_missed_from_the_day_on_that_they_were_scheduled(book: Ledger, clock: Clock, where: Home) -> None:
    schedule.set_schedule(book, "small", None, DAILY)
    assert overview(book)[0].next == "2026-03-02T02:30:00Z" and overview(book)[0].missed == []
    clock.advance(5 * 3600)  # 3:00: half an hour late is not missed yet
    assert overview(book)[0].missed == []
    judged(book, where, "n1")
    clock.advance(3 * 86_400)
    row = overview(book)[0]
    assert row.missed == ["2026-03-03T02:30:00Z", "2026-03-04T02:30:00Z"] and row.last == "2026-03-02T03:00:00Z"


def test_an_interrupted_night_is_no_night(book: Ledger, clock: Clock) -> None:
    schedule.set_schedule(book, "small", None, DAILY)
    clock.advance(5 * 3600)
    records.begin(book, "n1", "small", "draft")
    records.interrupt(book, "n1")
    clock.advance(3 * 3600)
    assert overview(book)[0].missed == ["2026-03-02T02:30:00Z"]


def test_a_suite_has_one_schedule_and_can_be_taken_off(book: Ledger) -> None:
    schedule.set_schedule(book, "small", None, DAILY)
    schedule.set_schedule(book, "small", "draft", "0 4 * * *")
    (row,) = schedule.scheduled(book)
    assert (row.profile, row.cron) == ("draft", "0 4 * * *")
    assert schedule.unschedule(book, "small") and not schedule.unschedule(book, "small")


def test_the_line_for_cron_runs_the_suite_in_this_home(where: Home) -> None:
    variables = {"VVBATCH_LEDGER_URL": "postgresql+psycopg://me:100%@there/db", "HF_HOME": "/big disk", "EDITOR": "vi"}
    line = crontab_line(where, "/my suites/100%.yaml", "draft", DAILY, variables)
    assert line.startswith(f"{DAILY} HF_HOME='/big disk' VVBATCH_LEDGER_URL=") and "\n" not in line and r"\%" in line
    words = shlex.split(line.replace(r"\%", "%"))
    assert words[5:8] == [
        "HF_HOME=/big disk",
        "VVBATCH_LEDGER_URL=postgresql+psycopg://me:100%@there/db",
        f"VVBATCH_HOME={where.path}",
    ]
    assert words[9:17] == ["-P", "-m", "vvbatch", "regress", "run", "/my suites/100%.yaml", "--model", "draft"]


def test_the_line_for_launchd_is_a_property_list_with_every_time(where: Home) -> None:
    line = launchd_line(where, "small", None, "30 2,14 * * 1-2", {"HF_HOME": "/big disk"})
    assert "\n" not in line
    found = plistlib.loads(line.encode())
    assert found["Label"] == "vvbatch.regress.small"
    assert found["EnvironmentVariables"] == {"HF_HOME": "/big disk", "VVBATCH_HOME": str(where.path)}
    times = {tuple(sorted(entry.items())) for entry in found["StartCalendarInterval"]}
    assert times == {(("Hour", hour), ("Minute", 30), ("Weekday", day)) for hour in (2, 14) for day in (1, 2)}
    assert plistlib.loads(launchd_line(where, "small", None, DAILY, {}).encode())["StartCalendarInterval"] == [
        {"Minute": 30, "Hour": 2}
    ]
    with pytest.raises(BadSchedule, match="at most 64"):
        launchd_line(where, "small", None, "*/2 */2 * * *", {})
    with pytest.raises(BadSchedule, match="both a day and a weekday"):
        launchd_line(where, "small", None, "0 2 1 * 1", {})


@pytest.mark.slow
def test_the_command_schedules_shows_prints_and_takes_off(where: Home) -> None:
    vvbatch = Cli()
    assert "nothing is scheduled" in vvbatch("regress", "schedule").stdout
    done = vvbatch("regress", "schedule", "draft", "--cron", DAILY)
    assert DAILY in done.stdout and "no process runs them" in done.stderr
    shown = vvbatch.json("regress", "schedule")
    assert shown["running"] is False and shown["schedules"][0]["suite"] == "draft"
    printed = vvbatch("regress", "schedule", "1.5b", "--cron", DAILY, "--print", "cron").stdout
    assert "regress run 1.5b" in printed and len(vvbatch.json("regress", "schedule")["schedules"]) == 1
    assert "nothing is scheduled" in vvbatch("regress", "schedule", "draft", "--off").stdout
    for words in (["--cron", DAILY], ["draft", "--off", "--cron", DAILY], ["draft", "--print", "cron"]):
        vvbatch("regress", "schedule", *words, code=2)
    for words in (["nope", "--cron", DAILY], ["draft", "--off"], ["draft", "--cron", "nonsense"]):
        vvbatch("regress", "schedule", *words, code=2)


@pytest.mark.slow
def test_missed_nights_are_seen_by_schedule_status_and_doctor(
    where: Home, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ledger, "now", lambda: "2026-01-01T00:00:00.000000Z")
    schedule.set_schedule(ledger, "draft", None, DAILY)
    shown = Cli()("regress", "schedule", code=1).stdout
    assert "missed, draft:" in shown
    assert "missed nights" in Cli()("status", code=None).stdout
    (finding,) = missed_nights(where)
    assert not finding.ok and finding.remedy == "vvbatch up"
