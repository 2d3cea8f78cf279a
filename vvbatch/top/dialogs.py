"""Questions: is something to be done that loses work, and which rows are to be shown."""

from __future__ import annotations

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.screen import ModalScreen
from textual.widgets import Input, Static


class Confirm(ModalScreen[bool]):
    """True only for y."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("y", "answer(True)", "Yes"),
        Binding("n,escape,q", "answer(False)", "No"),
    ]

    def __init__(self, question: str, loses: str) -> None:
        super().__init__()
        self.question, self.loses = question, loses

    def compose(self) -> ComposeResult:
        with Vertical(classes="dialog"):
            yield Static(self.question, classes="question", markup=False)
            yield Static(self.loses, markup=False)
            yield Static("y  yes     n  no", classes="answers", markup=False)

    def action_answer(self, agreed: bool) -> None:
        self.dismiss(agreed)


class Filter(ModalScreen[str | None]):
    """The words to filter by; an empty text shows all. None: as it was."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "leave", "Cancel")]

    def __init__(self, words: str, hint: str) -> None:
        super().__init__()
        self.words, self.hint = words, hint

    def compose(self) -> ComposeResult:
        with Vertical(classes="dialog"):
            yield Static(self.hint, markup=False)
            yield Input(self.words, id="words")
            yield Static("enter  show     escape  leave as it was", classes="answers", markup=False)

    def on_input_submitted(self, event: Input.Submitted) -> None:
        self.dismiss(event.value.strip())

    def action_leave(self) -> None:
        self.dismiss(None)


KEYS = """\
tab, shift+tab   next and previous table
enter            the lines of a batch; those of a take's batch
p, r             pause, resume a batch, or the queue at the cursor
c                cancel a batch or a line, after a question
t                retry failed and cancelled lines, or one line
o                open a take in the system's player
/                filter by a state, or by part of a name or text
s                the next order: by name, state, …
[, ]             previous and next page of lines
f                takes, or failures, in the lower table
escape           back
q                quit; workers go on"""


class Keys(ModalScreen[None]):
    """What each key does."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape,q,enter,question_mark", "leave", "Close")]

    def compose(self) -> ComposeResult:
        with Vertical(classes="dialog keys"):
            yield Static(KEYS, markup=False)

    def action_leave(self) -> None:
        self.dismiss(None)
