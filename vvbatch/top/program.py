"""What every screen of `vvbatch top` works with: the newest values, and actions that run beside the keys."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import ClassVar, Protocol, runtime_checkable

from redis.exceptions import RedisError
from sqlalchemy.exc import DBAPIError
from textual import work
from textual.app import App
from textual.binding import Binding, BindingType
from textual.screen import Screen

from vvbatch.errors import VvbatchError
from vvbatch.top import tables
from vvbatch.top.actions import Actions
from vvbatch.top.dialogs import Confirm
from vvbatch.top.poller import Pace, Poller
from vvbatch.top.reader import Reader
from vvbatch.top.server import ServerReader
from vvbatch.top.snapshot import Server, Snapshot

TICK_S = 1.0


class Program(App[None]):
    """Shows what the pollers read last."""

    CSS_PATH = "top.tcss"
    TITLE = "vvbatch top"
    ENABLE_COMMAND_PALETTE = False
    HORIZONTAL_BREAKPOINTS = [(0, "-narrow"), (120, "-wide")]  # noqa: RUF012  as Textual declares it
    VERTICAL_BREAKPOINTS = [(0, "-low"), (40, "-high")]  # noqa: RUF012
    BINDINGS: ClassVar[list[BindingType]] = [Binding("q,ctrl+c", "quit", "Quit", priority=False)]

    def __init__(self, reader: Reader, server: ServerReader, actions: Actions, pace: Pace | None = None) -> None:
        super().__init__()
        self.actions = actions
        self.seen_now = reader.last
        self.server_now = Server()
        self.shown_at = 0.0
        self.poller = Poller(
            reader,
            server,
            lambda seen: self.call_from_thread(self.see, seen),
            lambda server: self.call_from_thread(self.hear, server),
            pace or Pace(),
        )

    def on_mount(self) -> None:
        self.poller.start()
        self.set_interval(TICK_S, self.show)

    def on_unmount(self) -> None:
        self.poller.stop()

    def see(self, seen: Snapshot) -> None:
        self.seen_now = seen
        if not seen.counting or time.monotonic() - self.shown_at > TICK_S / 2:  # counting polls are quick
            self.show()

    def hear(self, server: Server) -> None:
        self.server_now = server
        self.show()

    def show(self) -> None:
        """Show the newest values on the screen below any question."""
        self.shown_at = time.monotonic()
        for screen in reversed(self.screen_stack):
            composed = bool(screen.query("#headline"))  # and not removed
            if composed and isinstance(screen, Shows):
                screen.show(self.seen_now, self.server_now, self.troubles())
                return

    def troubles(self) -> list[str]:
        return tables.troubles(self.seen_now, self.server_now, time.monotonic() - self.poller.polled_at)

    @work(thread=True, group="actions")
    def act(self, action: Callable[[], str]) -> None:
        """Run it in a thread, show what it did, and poll the ledger at once."""
        try:
            said, severity = action(), "information"
        except VvbatchError as error:
            said, severity = str(error), "warning"
        except (DBAPIError, RedisError, OSError) as error:
            cause = error.orig if isinstance(error, DBAPIError) else error
            said, severity = f"not done: {' '.join(str(cause).split())}", "error"
        self.poller.now()
        self.call_from_thread(self.notify, said, severity=severity, markup=False)

    def ask(self, question: str, loses: str, action: Callable[[], str]) -> None:
        """Run the action after a yes."""

        def answered(agreed: bool | None) -> None:
            if agreed:
                self.act(action)

        self.push_screen(Confirm(question, loses), answered)


@runtime_checkable
class Shows(Protocol):
    """A screen that shows what the pollers read last; dialogs do not."""

    def show(self, seen: Snapshot, server: Server, troubles: list[str]) -> None: ...


class View(Screen[None]):
    """A screen that knows its program."""

    @property
    def top(self) -> Program:
        assert isinstance(self.app, Program)
        return self.app
