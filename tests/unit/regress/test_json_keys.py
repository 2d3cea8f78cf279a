"""The JSON of `regress` and `replay`: scripts rely on these keys."""

from __future__ import annotations

from vvbatch.regress.compare import Difference
from vvbatch.regress.replay import Replay
from vvbatch.regress.schedule import ScheduleStatus
from vvbatch.regress.summary import LineSummary, Report, Summary
from vvbatch.regress.verdict import Reason

NIGHT = [
    "suite",
    "night",
    "profile",
    "batch",
    "state",
    "verdict",
    "started_at",
    "ended_at",
    "counts",
    "reasons",
    "changed",
    "speed",
    "facts",
    "pruned",
    "lines",
]


def test_the_keys_of_the_json_output_stay_as_they_are() -> None:
    assert list(Summary.__struct_fields__) == NIGHT
    assert set(Report.__struct_fields__) == {*NIGHT, "history", "missed"}
    line = "line text verdict reasons measures take path sha256 duration_s baseline"
    assert list(LineSummary.__struct_fields__) == line.split()
    assert list(Reason.__struct_fields__) == ["name", "text", "verdict", "value", "limit"]
    assert set(ScheduleStatus.__struct_fields__) == {"suite", "profile", "cron", "since", "next", "last", "missed"}
    replay = "take equal equal_by sha256 duration_s wall_s difference changed note out"
    assert list(Replay.__struct_fields__) == replay.split()
    assert Difference.__struct_fields__[0] == "bits" and "mel_db" in Difference.__struct_fields__
