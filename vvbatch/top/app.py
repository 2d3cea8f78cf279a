"""The first screen of `vvbatch top`, and the program that begins with it."""

from __future__ import annotations

from typing import Any, ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.screen import Screen
from textual.widgets import Footer

from vvbatch.top import tables
from vvbatch.top.banner import Banner
from vvbatch.top.dialogs import Filter, Keys
from vvbatch.top.grid import Grid
from vvbatch.top.lines_screen import LinesScreen
from vvbatch.top.program import Program, View
from vvbatch.top.snapshot import Batch, Failure, Queue, Server, Snapshot, Take, Worker


class Overview(View):
    """Workers, queues, batches, and the newest takes or failures."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "lines", "Lines", priority=True),
        Binding("p", "pause", "Pause"),
        Binding("r", "resume", "Resume"),
        Binding("c", "cancel", "Cancel"),
        Binding("t", "retry", "Retry"),
        Binding("o", "play", "Play"),
        Binding("f", "newest", "Failures", show=False),
        Binding("slash", "filter", "Filter", key_display="/"),
        Binding("s", "sort", "Sort"),
        Binding("question_mark", "keys", "Keys", key_display="?"),
    ]

    def __init__(self) -> None:
        super().__init__()
        self.words, self.order = "", next(iter(tables.BATCH_ORDERS))
        self.failures_shown = False

    def compose(self) -> ComposeResult:
        server = lambda: self.top.server_now  # noqa: E731
        yield Banner(id="headline")
        yield Banner(id="troubles")
        with Vertical(id="machines"):
            yield Grid[Worker](tables.worker_columns(server), lambda each: each.name, id="workers")
            yield Grid[Queue](tables.queue_columns(server, self.workers_of), lambda each: each.profile, id="queues")
        yield Grid[Batch](tables.BATCHES, lambda each: each.name, id="batches")
        yield Grid[Take](tables.TAKES, lambda each: each.name, id="takes")
        yield Grid[Failure](tables.FAILURES, lambda each: f"{each.batch} {each.line}", id="failures")
        yield Banner(id="chosen")
        yield Footer(show_command_palette=False, compact=True)

    def on_mount(self) -> None:
        self.query_one("#failures").display = False
        self.query_one("#batches").focus()
        self.top.poller.want(None)

    def on_screen_resume(self) -> None:
        self.top.poller.want(None)
        self.top.show()

    def workers_of(self, profile: str) -> int:
        """How many workers serve a profile; those that do not answer do not."""
        server = self.top.server_now
        known = server.asked and server.error is None
        of = [each for each in self.top.seen_now.workers if each.profile == profile]
        return sum(not known or each.name in server.alive for each in of)

    def grid(self, name: str) -> Grid[Any]:
        return self.query_one(f"#{name}", Grid)

    def show(self, seen: Snapshot, server: Server, troubles: list[str]) -> None:
        self.query_one("#headline", Banner).say(tables.headline(seen, server))
        self.query_one("#troubles", Banner).say("\n".join(troubles))
        self.grid("workers").show(seen.workers)
        self.grid("queues").show(seen.queues)
        self.grid("workers").display, self.grid("queues").display = bool(seen.workers), bool(seen.queues)
        fits = [each for each in seen.batches if tables.matches(self.words, each.name, each.title, each.state)]
        self.grid("batches").show(sorted(fits, key=tables.BATCH_ORDERS[self.order]))
        found = [
            each
            for each in seen.takes
            if tables.matches(self.words, each.batch, each.line, each.state, each.text, each.error)
        ]
        self.grid("takes").show(found)
        self.grid("failures").show(
            [each for each in seen.failures if tables.matches(self.words, each.batch, each.line, each.text, each.error)]
        )
        self.show_chosen(seen)

    def show_chosen(self, seen: Snapshot) -> None:
        """What is filtered, and how it is sorted; what to do where there is nothing."""
        parts = [f"sorted by {self.order}"] if self.order != next(iter(tables.BATCH_ORDERS)) else []
        if self.words:
            parts.append(f"only {self.words!r}; / changes it")
        if not seen.batches and seen.error is None:
            parts.append("no batch yet: vvbatch submit SCRIPT, or vvbatch run SCRIPT")
        if not seen.workers and seen.batches and seen.error is None:
            parts.append("no worker runs: vvbatch up")
        self.query_one("#chosen", Banner).say("  ·  ".join(parts))

    # What the cursor is on

    def chosen_row(self) -> Worker | Queue | Batch | Take | Failure | None:
        focused = self.focused if isinstance(self.focused, Grid) else self.grid("batches")
        found: Worker | Queue | Batch | Take | Failure | None = focused.value_here
        return found

    def chosen_batch(self) -> Batch | None:
        row = self.chosen_row()
        name = row.name if isinstance(row, Batch) else row.batch if isinstance(row, Take | Failure) else None
        return next((each for each in self.top.seen_now.batches if each.name == name), None)

    def needs_batch(self) -> Batch | None:
        batch = self.chosen_batch()
        if batch is None:
            self.notify("move the cursor to a batch first: tab changes the table", severity="warning", markup=False)
        return batch

    # Keys

    def action_lines(self) -> None:
        if batch := self.needs_batch():
            row = self.chosen_row()
            self.app.push_screen(LinesScreen(batch.name, row.line if isinstance(row, Take | Failure) else ""))

    def action_pause(self) -> None:
        row = self.chosen_row()
        if isinstance(row, Queue):
            self.top.act(lambda: self.top.actions.pause_queue(row.profile))
        elif batch := self.needs_batch():
            self.top.act(lambda: self.top.actions.pause_batch(batch.name))

    def action_resume(self) -> None:
        row = self.chosen_row()
        if isinstance(row, Queue):
            self.top.act(lambda: self.top.actions.resume_queue(row.profile))
        elif batch := self.needs_batch():
            self.top.act(lambda: self.top.actions.resume_batch(batch.name))

    def action_cancel(self) -> None:
        batch = self.needs_batch()
        if batch is None:
            return
        if not batch.left:
            self.notify(f"{batch.name} has no line left to cancel", severity="warning", markup=False)
            return
        in_work = batch.counts.get("rendering", 0)
        self.top.ask(
            f"Cancel {batch.name}?",
            f"{batch.left:,} of {batch.total:,} lines are not rendered yet. The {in_work:,} in work stop, and what "
            "they have so far is lost. Finished lines are kept; retry queues the others again.",
            lambda: self.top.actions.cancel(batch.name),
        )

    def action_retry(self) -> None:
        row = self.chosen_row()
        if isinstance(row, Failure | Take):
            self.top.act(lambda: self.top.actions.retry(row.batch, row.line))
        elif batch := self.needs_batch():
            self.top.act(lambda: self.top.actions.retry(batch.name))

    def action_play(self) -> None:
        row = self.chosen_row()
        if isinstance(row, Take):
            self.top.act(lambda: self.top.actions.play(row.path))
            return
        self.notify("move the cursor to a take, or to a line of a batch", severity="warning", markup=False)

    def action_newest(self) -> None:
        self.failures_shown = not self.failures_shown
        shown, hidden = ("failures", "takes") if self.failures_shown else ("takes", "failures")
        had_focus = self.focused is self.grid(hidden)
        self.grid(shown).display, self.grid(hidden).display = True, False
        if had_focus:
            self.grid(shown).focus()

    def action_filter(self) -> None:
        def chosen(words: str | None) -> None:
            if words is not None:
                self.words = words
                self.top.show()

        hint = "Show only what has this in its name, title, state, text or error:"
        self.app.push_screen(Filter(self.words, hint), chosen)

    def action_sort(self) -> None:
        names = list(tables.BATCH_ORDERS)
        self.order = names[(names.index(self.order) + 1) % len(names)]
        self.top.show()

    def action_keys(self) -> None:
        self.app.push_screen(Keys())


class Top(Program):
    def get_default_screen(self) -> Screen[Any]:
        return Overview()
