"""Options and steps that the commands which take scripts share."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from vvbatch.batch.plan import Overrides, Plan, make_plan
from vvbatch.cli.common import BadInput
from vvbatch.home import Home
from vvbatch.profiles import MOST_TAKES

if TYPE_CHECKING:
    from vvbatch.ledger import Ledger
    from vvbatch.ledger.records import AddedBatch
    from vvbatch.ledger.views import SubmittedView

scripts_argument = click.argument(
    "scripts", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="SCRIPT…"
)
out_option = click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    help="Folder for the audio [default: out in the home folder].",
)
priority_option = click.option(
    "--priority",
    type=click.Choice(["high", "normal", "low"]),
    help="[default: normal; a batch that is still open keeps its own]",
)


def complete_model(_context: click.Context, _parameter: click.Parameter, start: str) -> list[str]:
    from vvbatch import profiles

    return [name for name in profiles.names() if name.startswith(start)]


def model_option(command: Callable[..., Any]) -> Callable[..., Any]:
    return click.option(
        "--model",
        "model",
        metavar="PROFILE",
        shell_complete=complete_model,
        help="Render every line with this profile.",
    )(command)


def wishes_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """What may be said of every line at once; the command gets it as `wishes`."""

    @functools.wraps(command)
    def wrapped(model: str | None, takes: int | None, escalate: str | None, keep_takes: bool, **given: Any) -> Any:
        return command(wishes=Overrides(model, takes, escalate, keep_takes), **given)

    options = (
        model_option,
        click.option(
            "--takes",
            type=click.IntRange(1, MOST_TAKES),
            metavar="N",
            help="Candidates of each line; the best is kept.",
        ),
        click.option(
            "--escalate",
            metavar="PROFILE",
            shell_complete=complete_model,
            help="Lines of which no take passes its checks go to this profile; `none` for no other.",
        ),
        click.option("--keep-takes", is_flag=True, help="Also keep the audio of takes that were not chosen."),
    )
    for option in reversed(options):
        wrapped = option(wrapped)
    return wrapped


def plan_scripts(paths: tuple[Path, ...], wishes: Overrides, home: Home) -> list[Plan]:
    """Plan every script, or stop with the problems of all of them: nothing is queued unless all are good."""
    from vvbatch.script import parse
    from vvbatch.script.model import ScriptError
    from vvbatch.voices import Library

    library = Library.of(home)
    plans: list[Plan] = []
    errors: list[str] = []
    for path in paths:
        try:
            plans.append(make_plan(parse(path), library, wishes))
        except ScriptError as error:
            errors.append(str(error))
    if errors:
        raise BadInput("\n".join(errors))
    return plans


def submitted_views(ledger: Ledger, added: list[AddedBatch]) -> list[SubmittedView]:
    """What `submit` and `run` print of each batch, with what changed of one that was open already."""
    from msgspec.structs import asdict

    from vvbatch.ledger.queries import batch_view
    from vvbatch.ledger.views import Changes, SubmittedView

    views = []
    for each in added:
        priority = [each.old_priority, each.priority] if each.old_priority else None
        changes = Changes(priority, each.pauses_changed)
        views.append(SubmittedView(**asdict(batch_view(ledger, each.id)), created=each.created, changes=changes))
    return views


def print_changes(views: list[SubmittedView]) -> None:
    for view in views:
        if not view.created:
            click.echo(f"{view.batch} is still open and is resumed", err=True)
        if view.changes.priority:
            click.echo("  priority: {} → {}".format(*view.changes.priority), err=True)
        if view.changes.pauses:
            click.echo(f"  pause_after_s of {view.changes.pauses:,} lines is changed", err=True)
