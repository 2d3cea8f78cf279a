"""The screen of `vvbatch top` with Textual's pilot, over a real ledger."""

from __future__ import annotations

import asyncio
import subprocess
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("textual")

from textual.pilot import Pilot

from tests.support.ledgers import Clock, add_batch, begin, fail, open_ledger, render
from vvbatch.home import Home
from vvbatch.ledger import Ledger
from vvbatch.ledger.queries import batch_heads
from vvbatch.ledger.queues import queue_is_paused
from vvbatch.ledger.recovery import worker_started
from vvbatch.ledger.schema import takes
from vvbatch.top import actions
from vvbatch.top.app import Top
from vvbatch.top.banner import Banner
from vvbatch.top.dialogs import Confirm
from vvbatch.top.grid import Grid
from vvbatch.top.lines_screen import LinesScreen
from vvbatch.top.poller import Pace
from vvbatch.top.reader import Reader
from vvbatch.top.server import ServerReader

pytestmark = pytest.mark.slow  # the screens run in real time: 17 s together

SHOWN = ("workers", "queues", "batches", "takes")
QUICK = Pace(0.03, 0.01, 0.03)
Story = Callable[[Pilot[None], Top], Awaitable[None]]


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    clock = Clock()
    ledger = open_ledger(tmp_path, clock)
    add_batch(ledger, "saga", [f"Line {n} of the saga." for n in range(1, 7)])
    clock.advance(1)
    add_batch(ledger, "epic", ["A line of the epic."])
    for number in (1, 2):
        render(ledger, "saga", number, clock)
    fail(ledger, "saga", 3)
    begin(ledger, "saga", 4)
    worker_started(ledger, "w1", "draft", "here", 1, {"device": "cpu", "slots": 4})
    return ledger


@pytest.fixture
def play(ledger: Ledger, tmp_path: Path) -> Callable[..., None]:
    """Run a story against the screen."""

    def run(story: Story, size: tuple[int, int] = (80, 24)) -> None:
        home = Home(tmp_path / "home")

        async def main() -> None:
            top = Top(Reader(ledger), ServerReader(home), actions.Actions(ledger, home), QUICK)
            async with top.run_test(size=size) as pilot:
                await until(pilot, lambda: top.server_now.asked and all(grid(top, name).cells for name in SHOWN))
                await story(pilot, top)

        asyncio.run(main())

    return run


async def until(pilot: Pilot[None], condition: Callable[[], object]) -> None:
    for _ in range(300):
        if condition():
            return
        await pilot.pause(0.02)
    raise AssertionError("not within 6 s")


def grid(top: Top, name: str) -> Grid[object]:
    found: Grid[object] = top.screen.query_one(f"#{name}", Grid)
    return found


def cells(top: Top, name: str) -> list[list[str]]:
    return [[cell.plain.strip() for cell in row] for row in grid(top, name).cells.values()]


def said(top: Top, name: str) -> str:
    text = top.screen.query_one(f"#{name}", Banner).said
    return text.plain if text else ""


@pytest.mark.parametrize(("size", "titles"), [((80, 24), False), ((160, 50), True)])
def test_every_row_fits_the_terminal_and_a_wide_one_shows_more(
    play: Callable[..., None], size: tuple[int, int], titles: bool
) -> None:
    async def story(pilot: Pilot[None], top: Top) -> None:
        batch = cells(top, "batches")[0]
        assert batch[0] == "saga" and "2/6" in batch and "rendering" in batch
        assert ("Title of saga" in batch) == titles
        for name in SHOWN:
            table = grid(top, name)
            assert sum(width + 1 for _, width in table.laid_out) < size[0]
            assert table.virtual_size.width <= size[0]
        assert cells(top, "workers")[0][0] == "w1" and "1/4" in cells(top, "workers")[0]
        assert [row[2] for row in cells(top, "takes")] == ["l3", "l2", "l1"]

    play(story, size)


def test_a_terminal_that_becomes_wider_shows_more_columns(play: Callable[..., None]) -> None:
    async def story(pilot: Pilot[None], top: Top) -> None:
        assert "TITLE" not in [column.label for column, _ in grid(top, "batches").laid_out]
        await pilot.resize_terminal(140, 40)
        await until(pilot, lambda: "TITLE" in [column.label for column, _ in grid(top, "batches").laid_out])

    play(story)


def test_a_batch_is_cancelled_after_a_question_only(play: Callable[..., None], ledger: Ledger) -> None:
    def cancelled() -> int:
        return batch_heads(ledger, ["saga"])[0].counts["cancelled"]

    async def story(pilot: Pilot[None], top: Top) -> None:
        await pilot.press("c")
        question: Any = top.screen
        assert isinstance(question, Confirm)
        assert "3 of 6 lines" in question.loses and "1 in work" in question.loses
        await pilot.press("n")
        await pilot.pause(0.1)
        assert cancelled() == 0
        await pilot.press("c", "y")
        await until(pilot, lambda: cancelled() == 3)
        await until(pilot, lambda: top.seen_now.batches[-1].left == 0)
        await pilot.press("t")  # the cursor stays on its batch
        await until(pilot, lambda: batch_heads(ledger, ["saga"])[0].counts["queued"] == 4)

    play(story)


def test_batches_and_queues_are_paused_and_resumed(play: Callable[..., None], ledger: Ledger) -> None:
    async def story(pilot: Pilot[None], top: Top) -> None:
        await pilot.press("p")
        await until(pilot, lambda: batch_heads(ledger, ["saga"])[0].state == "paused")
        await pilot.press("r")
        await until(pilot, lambda: batch_heads(ledger, ["saga"])[0].state == "rendering")
        grid(top, "queues").focus()
        await pilot.press("p")
        await until(pilot, lambda: queue_is_paused(ledger, "draft"))
        await pilot.press("r")
        await until(pilot, lambda: not queue_is_paused(ledger, "draft"))

    play(story)


def test_lines_are_shown_sorted_filtered_and_retried(play: Callable[..., None], ledger: Ledger) -> None:
    async def story(pilot: Pilot[None], top: Top) -> None:
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(top.screen, LinesScreen) and len(grid(top, "lines").values) == 6)
        await pilot.press("s")
        await until(pilot, lambda: cells(top, "lines")[0][1:3] == ["l3", "failed"])
        await pilot.press("slash", *"failed", "enter")
        await until(pilot, lambda: len(grid(top, "lines").values) == 1)
        assert "silence 1.0" in said(top, "detail")
        await pilot.press("t")
        await until(pilot, lambda: batch_heads(ledger, ["saga"])[0].counts["failed"] == 0)
        await pilot.press("escape")
        await until(pilot, lambda: not isinstance(top.screen, LinesScreen))

    play(story)


def test_a_take_is_opened_in_the_systems_player(
    play: Callable[..., None], ledger: Ledger, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    opened: list[list[str]] = []
    monkeypatch.setattr(actions, "player", lambda: ["player"])
    monkeypatch.setattr(subprocess, "Popen", lambda argv, **_: opened.append(argv))
    audio = tmp_path / "a.wav"
    audio.write_bytes(b"RIFF")
    with ledger.transaction() as connection:
        connection.execute(takes.update().where(takes.c.state == "done").values(path=str(audio)))

    async def story(pilot: Pilot[None], top: Top) -> None:
        grid(top, "takes").focus()
        await pilot.press("o")  # the newest failed and has no file
        await pilot.press("down", "o")
        await until(pilot, lambda: opened == [["player", str(audio)]])

    play(story)


def test_a_ledger_and_a_server_that_go_away_are_named_and_come_back(play: Callable[..., None], tmp_path: Path) -> None:
    async def story(pilot: Pilot[None], top: Top) -> None:
        assert "no queue is running; vvbatch up  starts one" in said(top, "troubles")
        file = tmp_path / "ledger.sqlite3"
        file.rename(tmp_path / "elsewhere")
        await until(pilot, lambda: "the ledger cannot be read" in said(top, "troubles"))
        assert len(grid(top, "batches").values) == 2
        (tmp_path / "elsewhere").rename(file)
        await until(pilot, lambda: "the ledger cannot be read" not in said(top, "troubles"))

    play(story)


def test_a_filter_shows_only_matching_batches(play: Callable[..., None]) -> None:
    async def story(pilot: Pilot[None], top: Top) -> None:
        await pilot.press("slash", *"EPIC", "enter")
        await until(pilot, lambda: [row[0] for row in cells(top, "batches")] == ["epic"])
        assert "only 'EPIC'" in said(top, "chosen")
        await pilot.press("f")
        assert grid(top, "failures").display and not grid(top, "takes").display

    play(story)
