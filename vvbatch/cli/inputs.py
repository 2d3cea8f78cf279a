"""Options and steps that the commands which take scripts share."""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from vvbatch.cli.common import BadInput, Session
from vvbatch.errors import InputError
from vvbatch.profiles import MOST_TAKES

if TYPE_CHECKING:
    from vvbatch.batch.plan import Overrides, Plan
    from vvbatch.home import Home
    from vvbatch.ledger.records import AddedBatch
    from vvbatch.ledger.views import SubmittedView
    from vvbatch.manuscript.own_script import OwnScript


def scripts_argument(command: Callable[..., Any]) -> Callable[..., Any]:
    """The scripts, and how they are read: the command gets `scripts`, `chapters` and `form`, that of stdin."""
    with_option = click.option(
        "--chapters/--no-chapters",
        default=True,
        help="Begin a chapter at each heading of a plain text, or speak the headings.  [default: chapters]",
    )(command)
    with_option = click.option(
        "--format", "form", type=click.Choice(["yaml", "csv", "txt"]), help="Format of a script on stdin, `-`."
    )(with_option)
    argument = click.argument("scripts", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="SCRIPT…")
    return argument(with_option)


out_option = click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    help="Folder for the audio.  [default: out in the home folder]",
)
priority_option = click.option(
    "--priority",
    type=click.Choice(["high", "normal", "low"]),
    help="[default: normal; a batch that is still open keeps its own]",
)


notify_option = click.option(
    "--notify",
    metavar="COMMAND",
    help="Run this when a batch ends or makes no progress, with a summary as JSON on stdin.  [default: notify of the "
    "settings]",
)


def notify_command(given: str | None, home: Home) -> list[str] | None:
    """The command that runs when a batch ends or stalls, in words; None if there is none.

    Raises BadCommand and HomeError.
    """
    from vvbatch import settings

    wanted = given or settings.load(home).notify
    if not wanted:
        return None
    from vvbatch.processes.notify import command_of

    return command_of(wanted)


@contextmanager
def notifying(here: Session, command: list[str] | None, among: list[str] | None = None) -> Iterator[Callable[[], None]]:
    """Gives a function to call often: it runs the command for these batches, or for all."""
    if command is None:
        yield lambda: None
        return
    from vvbatch.processes.notify import Notifier
    from vvbatch.transport.served import Served

    notifier = Notifier(here.ledger, command, Served(here.home), among)
    try:
        yield notifier.look
    finally:
        notifier.close()


def complete_profile(_context: click.Context, _parameter: click.Parameter, start: str) -> list[str]:
    from vvbatch import profiles

    try:
        return [name for name in profiles.names() if name.startswith(start)]
    except profiles.ProfileError:  # the command itself reports it
        return []


def model_option(command: Callable[..., Any]) -> Callable[..., Any]:
    return click.option(
        "--model",
        "--profile",
        "profile",
        metavar="PROFILE",
        shell_complete=complete_profile,
        help="Render every line with this profile.",
    )(command)


def profile_names(_context: click.Context, _parameter: click.Parameter, value: str) -> list[str]:
    """The profiles in a list with commas, each as it is called in `configs`. Raises ProfileError, BadParameter."""
    from vvbatch import profiles

    names = [profiles.load(name.strip()).name for name in value.split(",") if name.strip()]
    if not names:
        raise click.BadParameter("it names no profile")
    return names


workers_option = click.option(
    "--workers",
    "names",
    callback=profile_names,
    default="draft",
    show_default=True,
    metavar="PROFILE,…",
    help="One worker per name; repeat a name for more.",
)


def language_tag(_context: click.Context, _parameter: click.Parameter, value: str | None) -> str | None:
    """A language tag (BCP 47). Raises BadParameter."""
    from vvbatch.script.fields import language
    from vvbatch.script.model import Refused

    try:
        return language(value) if value is not None else None
    except Refused as refused:
        raise click.BadParameter(f"{refused.found}; {refused.allowed}") from refused


language_option = click.option(
    "--language",
    callback=language_tag,
    metavar="CODE",
    help="Language of the texts, such as de or en-GB.  [default: the script's, else detected in each text]",
)


def override_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Options that apply to every line; the command gets them as `overrides`."""

    @functools.wraps(command)
    def wrapped(
        profile: str | None,
        takes: int | None,
        escalate: str | None,
        keep_takes: bool,
        language: str | None,
        **given: Any,
    ) -> Any:
        from vvbatch.batch.plan import Overrides

        return command(overrides=Overrides(profile, takes, escalate, keep_takes, language), **given)

    options = (
        model_option,
        click.option(
            "--takes",
            type=click.IntRange(1, MOST_TAKES),
            metavar="N",
            help="Render N candidates of each line and keep the best.",
        ),
        click.option(
            "--escalate",
            metavar="PROFILE",
            shell_complete=complete_profile,
            help="Render lines whose takes all fail their checks with this profile; `none` turns escalation off.",
        ),
        click.option("--keep-takes", is_flag=True, help="Also keep the audio of takes that were not chosen."),
        language_option,
    )
    for option in reversed(options):
        wrapped = option(wrapped)
    return wrapped


@dataclass(frozen=True)
class Planned:
    """A planned script. `imported` is what was made of a manuscript; it is kept beside the output."""

    plan: Plan
    imported: OwnScript | None = None


STDIN = Path("-")


def plan_scripts(
    paths: tuple[Path, ...], overrides: Overrides, home: Home, *, chapters: bool, form: str | None = None
) -> list[Planned]:
    """Plan every script, or stop with the problems of all of them: nothing is queued unless all are good.

    A manuscript is imported first, as `vvbatch import` does without options. `-` is a script of the format `form` on
    stdin. Raises UsageError for one without the other.
    """
    from vvbatch.batch.plan import make_plan
    from vvbatch.script import parse, parsed_bytes, parsed_text
    from vvbatch.speech_text import lexicon
    from vvbatch.voices import Library

    data = from_stdin(form) if STDIN in paths else b""
    if form and STDIN not in paths:
        raise click.UsageError(
            f"--format {form} is for a script on stdin: name it `-`; a file has its format in its name"
        )
    library, entries = Library.of(home), lexicon.load(home)
    planned: list[Planned] = []
    errors: list[str] = []
    for path in paths:
        try:
            if is_manuscript(path):
                from vvbatch.manuscript.own_script import own_script

                imported = own_script(path)
                script = parsed_text(path, imported.text)
                planned.append(Planned(make_plan(script, library, overrides, entries), imported))
            elif path == STDIN:
                script = parsed_bytes(Path(f"stdin.{form}"), data, chapters=chapters)
                planned.append(Planned(make_plan(script, library, overrides, entries)))
            else:
                planned.append(Planned(make_plan(parse(path, chapters=chapters), library, overrides, entries)))
        except InputError as error:
            errors.append(str(error))
    if errors:
        raise BadInput("\n".join(errors))
    return planned


def is_manuscript(path: Path) -> bool:
    from vvbatch.script.source import SUFFIXES

    suffix = path.suffix.lower()
    if path == STDIN or suffix in SUFFIXES:
        return False
    from vvbatch.manuscript import IMPORTED_ONLY

    return suffix in IMPORTED_ONLY


def from_stdin(form: str | None) -> bytes:
    """A script's bytes. Raises UsageError without its format, BadInput for more than a script may have."""
    from vvbatch.script.source import MAX_BYTES

    if form is None:
        raise click.UsageError("a script on stdin needs its format: --format yaml, csv or txt")
    data = sys.stdin.buffer.read(MAX_BYTES + 1)
    if len(data) > MAX_BYTES:
        raise BadInput(f"the script on stdin has more than {MAX_BYTES >> 20} MiB: split it")
    return data


def keep_imported(planned: list[Planned], added: list[AddedBatch], out: Path) -> None:
    """Write the script that was made of each manuscript, and its cover, beside the batch's output."""
    from vvbatch.batch.output import open_store

    for each, batch in zip(planned, added, strict=True):
        if each.imported is None:
            continue
        store = open_store(out.absolute())
        for name, data in each.imported.files():
            with store.stage(f"{batch.id}/{name}", data) as staged:
                staged.publish()
                if name == each.imported.name:
                    click.echo(f"{each.plan.script}: {each.imported.summary}; the script: {staged.location}", err=True)


WARNINGS_SHOWN = 5


def show_warnings(plans: list[Plan]) -> None:
    """The first warnings of each script, on stderr."""
    for plan in plans:
        if plan.warnings:
            from vvbatch.batch.estimate import warning_views  # loads numpy
            from vvbatch.report.batch import print_warnings

            print_warnings(warning_views(plan), shown=WARNINGS_SHOWN, file=sys.stderr)
            if len({warning.code for warning in plan.warnings}) > WARNINGS_SHOWN:
                click.echo(f"all of them: vvbatch check {plan.script}", err=True)


def print_changes(views: list[SubmittedView]) -> None:
    from vvbatch.report.tables import counted

    for view in views:
        if not view.created:
            click.echo(f"{view.batch} is still open and is resumed", err=True)
        if view.changes.priority:
            click.echo("  priority: {} → {}".format(*view.changes.priority), err=True)
        if view.changes.pauses:
            click.echo(f"  pause_after_s of {counted(view.changes.pauses, 'line')} is changed", err=True)
