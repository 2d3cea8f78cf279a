from __future__ import annotations

import io
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from msgspec.structs import asdict
from rich.console import Console
from rich.text import Text
from sqlalchemy import event

from tests.support.ledgers import Clock, add_batch, fail, open_ledger, render
from vvbatch.batch.estimate import Estimate
from vvbatch.ledger import Ledger
from vvbatch.ledger.ahead import Ahead, ahead_of
from vvbatch.ledger.batches import set_batch_state, settle_batch
from vvbatch.ledger.overview import overview
from vvbatch.ledger.queries import batch_view, open_batches
from vvbatch.ledger.queues import pause_queue
from vvbatch.ledger.views import BatchHead, ServerView, StatusView
from vvbatch.report import tables
from vvbatch.report.batch import print_estimate, print_summary
from vvbatch.report.overview import print_overview
from vvbatch.report.reasons import lines_before, waiting_words
from vvbatch.report.tables import below, print_facts, print_table
from vvbatch.report.times import moment, show_utc, when
from vvbatch.report.watch import Follower, batch_row, follow, progress
from vvbatch.transport.served import Serving


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def ledger(tmp_path: Path, clock: Clock) -> Ledger:
    return open_ledger(tmp_path, clock)


def terminal(monkeypatch: pytest.MonkeyPatch, width: int = 60) -> io.StringIO:
    file = io.StringIO()
    made = Console(file=file, force_terminal=True, width=width, markup=False, highlight=False, emoji=False)
    monkeypatch.setattr(tables, "console", lambda _file=None: made)
    return file


def test_a_table_in_a_pipe_is_plain_aligned_text() -> None:
    file = io.StringIO()
    print_table(["name", ">count"], [["alpha", 7], ["b", 1000], [None, ""]], title="Things", file=file)
    assert file.getvalue() == "Things:\nname   count\nalpha      7\nb       1000\n-\n"


def test_wide_characters_keep_the_columns_in_line() -> None:
    file = io.StringIO()
    print_table(["a", "b"], [["灯台", "x"], ["lamp", "y"]], file=file)
    assert file.getvalue().splitlines()[1:] == ["灯台  x", "lamp  y"]


@pytest.mark.parametrize("text", ["\x1b[31mred", "a\x9b2Jb", "bell\a", "\u202egnp.exe", "[bold]x[/bold]", "two\nlines"])
def test_a_scripts_text_cannot_steer_the_terminal(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    file = terminal(monkeypatch)
    print_table(["text"], [[text]])
    shown = file.getvalue()
    assert "\x1b[31m" not in shown
    assert not set("\x9b\a\u202e") & set(shown)
    assert "[bold]" in shown or "[bold]" not in text


def test_a_table_on_a_narrow_terminal_keeps_to_its_width(monkeypatch: pytest.MonkeyPatch) -> None:
    file = terminal(monkeypatch, width=40)
    print_table(["batch", ">lines", "out"], [["lighthouse-1a2b3c4d", 12, "/a/very/long/path" * 5]])
    shown = Text.from_ansi(file.getvalue()).plain.splitlines()
    assert max(map(len, shown)) <= 40
    assert "path" in file.getvalue()


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (None, "unknown"), (0, "0 s"), (4.12, "4.1 s"), (9.99, "10 s"), (59.4, "59 s"), (59.97, "1 min 00 s"),
        (92, "1 min 32 s"), (3599.6, "1 h 00 min"), (7500, "2 h 05 min"),
    ],
)  # fmt: skip
def test_durations_are_shown_as_people_read_them(seconds: float | int | None, shown: str) -> None:
    assert tables.duration(seconds) == shown


@pytest.fixture
def utc(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with monkeypatch.context() as patch:
        patch.setenv("TZ", "UTC")
        show_utc()
        yield
    time.tzset()


def test_times_are_local_with_their_zone_and_utc_where_it_is_wanted(monkeypatch: pytest.MonkeyPatch, utc: None) -> None:
    monkeypatch.setenv("TZ", "Europe/Paris")
    time.tzset()
    assert when("2026-03-01T22:00:00.000000Z") == "2026-03-01 23:00 CET"
    assert moment("2026-07-01T22:00:00.000000Z") == "Thu 2 Jul 00:00 CEST"
    show_utc()
    assert when("2026-03-01T22:00:00.000000Z") == "2026-03-01 22:00 UTC"


def test_a_batch_that_has_not_begun_was_only_submitted(ledger: Ledger, utc: None) -> None:
    add_batch(ledger, "book-1", ["One."])
    file = io.StringIO()
    print_summary(ledger, batch_view(ledger, "book-1"), file)
    words = [line.split()[0] for line in file.getvalue().splitlines()]
    assert "submitted" in words
    assert "began" not in words


def test_the_summary_says_what_was_made_how_fast_what_failed_and_where_it_is(
    ledger: Ledger, clock: Clock, utc: None
) -> None:
    add_batch(ledger, "book-1", ["One."] * 3, out="/audio")
    render(ledger, "book-1", 1, clock, took_s=2.0)
    fail(ledger, "book-1", 2, "silence 1.0 (limit 0.8)")
    file = io.StringIO()
    print_summary(ledger, batch_view(ledger, "book-1"), file)
    lines = dict(line.split(maxsplit=1) for line in file.getvalue().splitlines())
    assert lines["batch"] == "book-1"
    assert lines["script"] == "book-1.yaml"
    assert lines["state"] == "rendering"
    assert lines["lines"] == "3: 1 done, 1 failed, 1 queued"
    assert lines["audio"] == "4 s"
    assert lines["speed"] == "2 x real time: 4 s of audio in 2 s"
    assert lines["began"] == "Sun 1 Mar 22:00 UTC"
    assert lines["takes"] == "2, of which 1 failed"
    assert lines["failed"] == "chapter 1, line 2: 'One.': silence 1.0 (limit 0.8)"
    assert lines["try"] == "again  vvbatch retry book-1  with other seeds; reword a sentence that fails again"
    assert lines["files"] == "/audio/book-1"


def test_a_summary_of_many_failures_names_some_and_says_how_to_see_the_rest(ledger: Ledger) -> None:
    add_batch(ledger, "b", ["One."] * 14)
    for number in range(1, 15):
        fail(ledger, "b", number)
    file = io.StringIO()
    print_summary(ledger, batch_view(ledger, "b"), file)
    assert file.getvalue().count("chapter 1, line ") == 10
    assert "and 4 more: vvbatch ledger lines b --state failed" in file.getvalue()


def test_progress_in_a_pipe_says_each_change_once_and_names_failures(ledger: Ledger, clock: Clock) -> None:
    add_batch(ledger, "b", ["One."] * 2)
    file = io.StringIO()
    with progress(ledger, ["b"], file=file) as show:
        show()
        show()
        render(ledger, "b", 1, clock)
        fail(ledger, "b", 2, "too short")
        settle_batch(ledger, "b")
    assert file.getvalue().splitlines() == [
        "b: 0/2 lines, queued",
        "b: failed: chapter 1, line 2: 'One.': too short",
        file.getvalue().splitlines()[-1],
    ]
    assert file.getvalue().splitlines()[-1].startswith("b: 2/2 lines, 1 failed")


def test_quiet_progress_shows_nothing(ledger: Ledger, capsys: pytest.CaptureFixture[str]) -> None:
    add_batch(ledger, "b", ["One."])
    with progress(ledger, ["b"], quiet=True) as show:
        show()
    assert capsys.readouterr() == ("", "")


def test_watching_ends_with_the_batch(ledger: Ledger, clock: Clock) -> None:
    add_batch(ledger, "b", ["One.", "Two."])
    todo = iter([1, 2])

    def sleep(_seconds: float) -> None:
        render(ledger, "b", next(todo), clock)
        settle_batch(ledger, "b")

    file = io.StringIO()
    follow(ledger, "b", file, sleep)
    shown = [line.split(",")[:2] for line in file.getvalue().splitlines()]
    assert shown == [["b: 0/2 lines", " queued"], ["b: 1/2 lines", " rendering"], ["b: 2/2 lines", " done"]]


def test_watching_continues_while_a_batch_is_paused(ledger: Ledger, clock: Clock) -> None:
    add_batch(ledger, "b", ["One."])
    set_batch_state(ledger, "b", "paused", only_from=("open",))
    steps = iter(["resume", "render"])

    def sleep(_seconds: float) -> None:
        if next(steps) == "resume":
            set_batch_state(ledger, "b", "open", only_from=("paused",))
        else:
            render(ledger, "b", 1, clock)
            settle_batch(ledger, "b")

    file = io.StringIO()
    follow(ledger, "b", file, sleep)
    assert [line.split()[-1] for line in file.getvalue().splitlines()][:2] == ["paused", "queued"]


def test_the_rate_is_that_of_the_last_minute(ledger: Ledger) -> None:
    add_batch(ledger, "b", ["One."])
    follower = Follower(ledger, ["b"], tables.console(io.StringIO()), lambda: 0.0)
    assert follower.rate("b", 0.0, 0) is None
    assert follower.rate("b", 30.0, 10) == 20
    for at in range(40, 200, 10):
        last = follower.rate("b", float(at), 10 + at)
    assert last == pytest.approx(60)


def test_an_estimate_names_models_times_and_what_is_not_golden(ledger: Ledger) -> None:
    file = io.StringIO()
    checked = {
        "script": "book.yaml", "title": "Book", "lines": 12, "cached": 2, "to_render": 10, "chapters": 3,
        "characters": 1234, "voices": {"carter": 9, "alice": 3}, "not_golden": ["ch1-003"], "may_escalate": {"7b": 3},
        "chapter_titles": ["", "", ""], "warnings": [], "candidates": [], "parts": 12,
        "models": [
            {
                "model": "1.5b", "profile": "1.5b", "title": "VibeVoice 1.5B", "lines": 10, "audio_s": 80.2,
                "speed": None, "wall_s": None,
            }
        ],
    }  # fmt: skip
    print_estimate(msgspec.convert(checked, Estimate), file)
    shown = file.getvalue()
    assert "12 in 3 chapters, 1,234 characters" in shown
    assert "1 line: ch1-003" in shown
    assert shown.splitlines()[-1] == "time  unknown until 1.5b was measured: vvbatch warmup 1.5b"
    assert shown.splitlines()[-2].split() == ["1.5b", "10", "1", "min", "20", "s", "unknown", "VibeVoice", "1.5B"]
    print_estimate(msgspec.convert(checked | {"not_golden": []}, Estimate), file)
    assert file.getvalue().count("not golden") == 1


def test_an_estimate_counts_lines_and_the_parts_they_are_rendered_in() -> None:
    file = io.StringIO()
    print_estimate(estimate_of_long_lines(), file)
    shown = file.getvalue()
    assert "12 in 31 parts and 1 chapter, 1,234 characters" in shown
    assert shown.splitlines()[-3].split() == ["profile", "parts", "audio", "time", "title"]


def estimate_of_long_lines() -> Estimate:
    model = {"model": "1.5b", "profile": "1.5b", "title": "VibeVoice 1.5B", "lines": 31, "audio_s": 80.2}
    checked = {
        "script": "book.yaml", "title": "Book", "lines": 12, "cached": 0, "to_render": 31, "chapters": 1,
        "characters": 1234, "voices": {"carter": 12}, "not_golden": [], "may_escalate": {}, "chapter_titles": [""],
        "warnings": [], "candidates": [], "parts": 31, "models": [model | {"speed": None, "wall_s": None}],
    }  # fmt: skip
    return msgspec.convert(checked, Estimate)


def test_watching_keeps_bar_counts_and_time_whatever_the_title() -> None:
    for width in (40, 80, 160):
        for batch in ("b", "the-long-night-of-the-lighthouse-keepers-1a2b3c4d"):
            words = ["rendering", "1 failed", "3 min 10 s left", "20 lines/min"]
            shown = batch_row(head_of(batch), 12, words, [], width).plain
            assert max(map(len, shown.splitlines())) <= max(width, len(batch))
            assert "━" in shown
            assert "─" in shown, "a bar is full only when no line is left"
            assert "12/60" in shown
            assert batch in shown
            assert width < 80 or "3 min 10 s left" in shown


def head_of(batch: str) -> BatchHead:
    counts = {"total": 60, "done": 11, "failed": 1, "rendering": 4, "queued": 44, "cached": 0, "cancelled": 0}
    return BatchHead(batch, "s.yaml", "rendering", counts, "/out", 190)


def test_a_batch_that_nobody_works_on_says_why(ledger: Ledger, clock: Clock) -> None:
    add_batch(ledger, "vol-a", ["One."] * 37)
    clock.advance(1)
    add_batch(ledger, "vol-b", ["One."])
    say: dict[str, Serving] = {"draft": "served"}

    def words() -> list[str]:
        return waiting_words(ahead_of(ledger, ["vol-b"])["vol-b"], say.__getitem__)

    assert words() == ["37 lines of vol-a before it"]
    say["draft"] = "no worker"
    assert words() == ["no worker for draft: vvbatch up --workers draft", "37 lines of vol-a before it"]
    pause_queue(ledger, "draft", "paused by hand")
    assert words()[1] == "the queue of draft is paused (paused by hand): vvbatch resume draft"
    say["draft"] = "no server"
    assert words() == ["no queue is running: vvbatch up --workers draft"]
    assert waiting_words(ahead_of(ledger, ["unknown"])["unknown"], say.__getitem__) == []


def test_what_is_more_urgent_is_before_a_batch_and_what_is_not_is_not(ledger: Ledger, clock: Clock) -> None:
    add_batch(ledger, "first", ["One."])
    for number in range(3):
        clock.advance(1)
        add_batch(ledger, f"later-{number}", ["One."])
    with ledger.engine.begin() as connection:
        connection.exec_driver_sql("UPDATE batches SET priority = 'high' WHERE id = 'later-2'")
        connection.exec_driver_sql("UPDATE batches SET state = 'paused' WHERE id = 'later-0'")
    assert ahead_of(ledger, ["first"])["first"].batches == [("later-2", 1)]
    assert ahead_of(ledger, ["later-1"])["later-1"].batches == [("first", 1), ("later-2", 1)]
    assert lines_before(Ahead({}, {}, [("a", 1), ("b", 2), ("c", 3), ("d", 4)])) == [
        "1 line of a, 2 lines of b and 7 lines of 2 more batches before it"
    ]


def test_batches_submitted_at_once_are_before_each_other_in_the_order_of_their_ids(ledger: Ledger) -> None:
    for batch in ("b", "a", "c"):
        add_batch(ledger, batch, ["One."])
    found = ahead_of(ledger, ["a", "b", "c"])
    assert [found[batch].batches for batch in ("a", "b", "c")] == [[], [("a", 1)], [("b", 1), ("a", 1)]]


def test_the_number_of_queries_of_a_look_does_not_grow_with_the_batches_that_wait(ledger: Ledger, clock: Clock) -> None:
    def queries() -> int:
        ran: list[str] = []
        event.listen(ledger.engine, "before_cursor_execute", lambda _c, _cur, sql, *_: ran.append(sql))
        Follower(ledger, open_batches(ledger), tables.console(io.StringIO()), lambda: 0.0).look()
        return len(ran)

    for batch in ("a", "b"):
        add_batch(ledger, batch, ["One."])
        clock.advance(1)
    before = queries()
    for batch in ("c", "d", "e", "f"):
        add_batch(ledger, batch, ["One."])
        clock.advance(1)
    assert queries() == before > 0


@pytest.mark.parametrize("width", [None, 80])
def test_a_batch_that_failed_without_a_failed_line_is_shown_by_its_state(width: int | None, ledger: Ledger) -> None:
    """A retry on a PostgreSQL ledger may queue the lines between two of the queries."""
    head = head_of("b")
    head.state, head.counts = "failed", {**head.counts, "failed": 0}
    file = io.StringIO()
    target = Console(file=file, force_terminal=width is not None, width=width, color_system=None)
    follower = Follower(ledger, ["b"], target, lambda: 0.0)
    follower.show(head, None, 0.0)
    shown = follower.rows["b"].plain if width else file.getvalue()
    assert "12/60  failed  3 min 10 s left" in shown or "12/60 lines, failed, 3 min 10 s left" in shown


def test_every_failed_line_of_a_list_is_red(monkeypatch: pytest.MonkeyPatch) -> None:
    file = io.StringIO()
    made = Console(file=file, force_terminal=True, color_system="standard", width=60, highlight=False)
    monkeypatch.setattr(tables, "console", lambda _file=None: made)
    print_facts([("batch", "b"), *below("failed", ["line 1", "line 2"]), *below("files", ["/out", "/more"])])
    assert [line for line in file.getvalue().splitlines() if "\x1b[31m" in line and "line" in line] == [
        line for line in file.getvalue().splitlines() if "line" in line
    ]
    assert not [line for line in file.getvalue().splitlines() if "\x1b[31m" in line and "line" not in line]


@pytest.mark.parametrize(("served", "said"), [(True, False), (None, False), (False, True)])
def test_a_queue_without_a_worker_is_named_where_the_server_says_so(
    served: bool | None, said: bool, ledger: Ledger
) -> None:
    add_batch(ledger, "b", ["One."])
    seen = StatusView(**asdict(overview(ledger)), redis=ServerView(True, "redis"), supervisor=None, nights=[])
    seen.queues[0].served = served
    file = io.StringIO()
    print_overview(seen, file)
    assert ("1 line for profile draft, which has no worker" in file.getvalue()) is said


def test_watching_says_in_a_pipe_why_a_batch_waits(ledger: Ledger) -> None:
    add_batch(ledger, "b", ["One."])
    file = io.StringIO()
    Follower(ledger, ["b"], tables.console(file), lambda: 0.0, lambda _profile: "no worker").look()
    assert file.getvalue() == "b: 0/1 lines, queued, waiting: no worker for draft: vvbatch up --workers draft\n"
