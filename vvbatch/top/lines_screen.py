"""The lines of one batch, and all about the one that the cursor is on."""

from __future__ import annotations

from dataclasses import replace
from typing import ClassVar

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.widgets import DataTable, Footer

from vvbatch.report.tables import counted, printable
from vvbatch.top import cells, page, tables
from vvbatch.top.banner import Banner
from vvbatch.top.dialogs import Filter, Keys
from vvbatch.top.grid import Grid
from vvbatch.top.page import ORDERS, Wanted
from vvbatch.top.program import View
from vvbatch.top.snapshot import Batch, Line, Server, Snapshot

BAR = 20


class LinesScreen(View):
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "back", "Back", key_display="esc"),
        Binding("p", "pause", "Pause"),
        Binding("r", "resume", "Resume"),
        Binding("c", "cancel", "Cancel"),
        Binding("t", "retry", "Retry"),
        Binding("o", "play", "Play"),
        Binding("slash", "filter", "Filter", key_display="/"),
        Binding("s", "sort", "Sort"),
        Binding("left_square_bracket", "page(-1)", "Page", key_display="["),
        Binding("right_square_bracket", "page(1)", "Page", key_display="]"),
        Binding("question_mark", "keys", "Keys", key_display="?"),
    ]

    def __init__(self, batch: str, line: str = "") -> None:
        """With a `line`, only those whose id, text or error has that in it."""
        super().__init__()
        self.wanted = Wanted(batch, words=line)
        self.batch_seen: Batch | None = None
        self.more = False

    def compose(self) -> ComposeResult:
        yield Banner(id="headline")
        yield Banner(id="troubles")
        yield Grid[Line](tables.LINES, lambda each: each.name, id="lines")
        yield Banner(id="chosen")
        yield Banner(id="detail")
        yield Footer(show_command_palette=False, compact=True)

    @property
    def grid(self) -> Grid[Line]:
        return self.query_one("#lines", Grid)

    def on_mount(self) -> None:
        self.grid.focus()

    def on_screen_resume(self) -> None:
        self.top.poller.want(self.wanted)
        self.top.show()

    def want(self, wanted: Wanted) -> None:
        self.wanted = wanted
        self.top.poller.want(wanted)

    def show(self, seen: Snapshot, server: Server, troubles: list[str]) -> None:
        self.batch_seen = next((each for each in seen.batches if each.name == self.wanted.batch), self.batch_seen)
        self.query_one("#headline", Banner).say(self.headline(self.batch_seen))
        self.query_one("#troubles", Banner).say("\n".join(troubles))
        if seen.page is None or seen.page.batch != self.wanted.batch or seen.page.first != self.wanted.first:
            return
        self.more = seen.page.more
        self.grid.show(seen.page.lines)
        first, count = self.wanted.first, len(seen.page.lines)
        where = f"lines {first + 1:,} to {first + count:,}" if count else "no line"
        parts = [f"{where}{', more with ]' if self.more else ''}", f"sorted by {self.wanted.order}"]
        if self.wanted.words:
            parts.append(f"only {self.wanted.words!r}")
        if seen.page.chosen_at != seen.at:
            parts.append(f"sorted at {cells.moment(seen.page.chosen_at)}, again with s")
        self.query_one("#chosen", Banner).say("  ·  ".join(parts))
        self.show_detail()

    def headline(self, batch: Batch | None) -> Text:
        found = cells.text(f"{self.wanted.batch}  ")
        if batch is None:
            return found
        found.append_text(cells.state(batch.state)).append("  ")
        after = cells.text(f"  {cells.progress(batch).plain} lines")
        if batch.failed:
            after.append(f"  {batch.failed:,} failed", "bold red")
        if batch.ends_at is not None:
            after.append(f"  ends {cells.end(batch).plain}")
        room = self.size.width - 1 - found.cell_len - after.cell_len
        return found.append_text(cells.bar(batch, max(6, min(room, BAR)))).append_text(after)

    def on_data_table_row_highlighted(self, _event: DataTable.RowHighlighted) -> None:
        self.show_detail()

    def show_detail(self) -> None:
        line, found = self.grid.value_here, Text()
        if line is not None:
            found.append(f"{line.number}. {line.name}  ", "bold")
            seed = "-" if line.seed is None else line.seed
            found.append(
                f"{line.state}  take {line.take or '-'}  seed {seed}  {counted(line.attempt, 'take')} so far\n"
            )
            if line.error:
                found.append(f"{printable(line.error)}\n", "red")
            found.append(printable(line.text))
            if line.path:
                found.append(f"\n{printable(line.path)}", "dim")
        self.query_one("#detail", Banner).say(found)

    # Keys

    def action_back(self) -> None:
        self.app.pop_screen()

    def action_pause(self) -> None:
        self.top.act(lambda: self.top.actions.pause_batch(self.wanted.batch))

    def action_resume(self) -> None:
        self.top.act(lambda: self.top.actions.resume_batch(self.wanted.batch))

    def action_cancel(self) -> None:
        line = self.grid.value_here
        if line is None:
            return
        if line.state not in ("queued", "rendering"):
            self.notify(
                f"line {line.name} is {line.state}: there is nothing to cancel", severity="warning", markup=False
            )
            return
        loses = "It stops, and what it has so far is lost." if line.state == "rendering" else "It is not rendered."
        self.top.ask(
            f"Cancel line {line.name} of {self.wanted.batch}?",
            f"{loses} Retry queues it again.",
            lambda: self.top.actions.cancel(self.wanted.batch, line.name),
        )

    def action_retry(self) -> None:
        if line := self.grid.value_here:
            self.top.act(lambda: self.top.actions.retry(self.wanted.batch, line.name))

    def action_play(self) -> None:
        if line := self.grid.value_here:
            self.top.act(lambda: self.top.actions.play(line.path))

    def action_filter(self) -> None:
        def chosen(words: str | None) -> None:
            if words is not None:
                self.want(replace(self.wanted, words=words, first=0))

        hint = "Show only lines in this state, or with this in their id, text or error:"
        self.app.push_screen(Filter(self.wanted.words, hint), chosen)

    def action_sort(self) -> None:
        names = list(ORDERS)
        order = names[(names.index(self.wanted.order) + 1) % len(names)]
        self.want(replace(self.wanted, order=order, first=0))

    def action_page(self, by: int) -> None:
        if by > 0 and not self.more:
            return
        self.want(replace(self.wanted, first=max(0, self.wanted.first + by * page.SIZE)))

    def action_keys(self) -> None:
        self.app.push_screen(Keys())
