"""regress run, bless, report, schedule: whether last night's renders are as good as the blessed ones."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import click

from vvbatch.cli.common import FAILED, INTERRUPTED, BadInput, Failed, faults, json_option, print_json
from vvbatch.cli.inputs import model_option

if TYPE_CHECKING:
    from vvbatch.home import Home
    from vvbatch.ledger import Ledger

LINES_SHOWN = 20


def complete_suite(_context: click.Context, _parameter: click.Parameter, start: str) -> list[str]:
    from vvbatch.regress import suite

    return [name for name in suite.names() if name.startswith(start)]


suite_argument = click.argument("suite", metavar="SUITE", shell_complete=complete_suite)
night_option = click.option(
    "--night", default="last", show_default=True, metavar="NIGHT", help="A night's id or its beginning."
)


@click.group()
def regress() -> None:
    """Render suites every night, and compare them with blessed takes.

    A suite is a file in configs/regress/, or any suite.yaml: lines, and how much they may change.

    \b
    Example:  vvbatch regress run draft
              vvbatch regress bless draft --why "first night, listened to"
              vvbatch regress report draft --out report.html
    """


@contextmanager
def opened() -> Iterator[tuple[Home, Ledger]]:
    """Home and ledger; what is wrong with a suite or a night is bad input."""
    from vvbatch.cli.control import opened as opened_ledger
    from vvbatch.regress.nights import UnknownNight
    from vvbatch.regress.suite import SuiteError

    with opened_ledger() as (home, ledger):
        try:
            yield home, ledger
        except (SuiteError, UnknownNight) as error:
            raise BadInput(str(error)) from error


@regress.command()
@suite_argument
@model_option
@json_option
@faults
def run(suite: str, model: str | None, as_json: bool) -> None:
    """Render a suite anew, at low priority, and compare each line with its blessed take.

    A line is same (bit for bit), equivalent (within all limits), changed, or worse, with the reasons; without a blessed
    take it is unblessed. Exit 1 if a line or the night is worse, or unblessed.

    \b
    Example:  vvbatch regress run draft
              vvbatch regress run my/suite.yaml --model 1.5b --json
    """
    from vvbatch import report
    from vvbatch.regress import night
    from vvbatch.regress import suite as suites
    from vvbatch.regress.summary import summary
    from vvbatch.session import sigterm_as_interrupt

    with opened() as (home, ledger), sigterm_as_interrupt():
        loaded = suites.load(suite)
        try:
            with report.counting("lines compared", quiet=as_json) as count:
                night_id = night.run(
                    loaded, home, ledger, model, lambda ids: report.progress(ledger, ids, quiet=as_json), count
                )
        except KeyboardInterrupt:
            click.echo("interrupted: the night is not judged", err=True)
            sys.exit(INTERRUPTED)
        except night.AlreadyRuns as error:
            raise Failed(str(error)) from error
        found = summary(ledger, loaded.name, night_id)
    if as_json:
        print_json(found)
    else:
        show(found, suite)
    if found["verdict"] in ("worse", "unblessed"):
        sys.exit(FAILED)


def show(found: dict[str, Any], word: str) -> None:
    """Counts, what the night as a whole shows, and the lines that are not as they were."""
    from vvbatch.report import print_table
    from vvbatch.report.tables import print_facts, shortened

    counts = ", ".join(f"{count} {verdict}" for verdict, count in found["counts"].items() if count)
    facts: list[tuple[str, object]] = [("night", found["night"]), ("verdict", found["verdict"]), ("lines", counts)]
    facts += [("" if number else "because", each["text"]) for number, each in enumerate(found["reasons"])]
    facts += [("" if number else "not as then", told(each)) for number, each in enumerate(found["changed"])]
    print_facts(facts)
    off = [line for line in found["lines"] if line["verdict"] in ("worse", "changed")]
    off.sort(key=lambda line: line["verdict"] != "worse")
    if off:
        rows = [
            [line["verdict"], shortened(line["text"], 36), "; ".join(each["text"] for each in line["reasons"])]
            for line in off[:LINES_SHOWN]
        ]
        print_table(["verdict", "line", "because"], rows)
    if len(off) > LINES_SHOWN:
        click.echo(f"and {len(off) - LINES_SHOWN} more: vvbatch regress report {word}")
    if found["counts"]["unblessed"]:
        click.echo("listen to them, then make them the baselines:", err=True)
        click.echo(f"  vvbatch regress bless {word} --night {found['night']} --why '…'", err=True)


def told(change: dict[str, Any]) -> str:
    return f"{change['what']} {change['then']} -> {change['now']}"


@regress.command()
@suite_argument
@night_option
@click.option("--line", "lines", multiple=True, metavar="ID", help="Only this line; may be given again.")
@click.option("--why", required=True, help="Why these takes are good: what was listened to, or what was changed.")
@click.option("--who", help="Who says so.  [default: the user who is logged in]")
@json_option
@faults
def bless(suite: str, night: str, lines: tuple[str, ...], why: str, who: str | None, as_json: bool) -> None:
    """Make a night's takes the ones that later nights are compared with.

    \b
    Example:  vvbatch regress bless draft --why "first night, all 50 lines listened to"
              vvbatch regress bless draft --night draft-1a2b3c4d --line 9f2c01d3aa --why "new voice file"
    """
    import getpass

    from vvbatch.regress import baseline, nights
    from vvbatch.regress import suite as suites

    if not why.strip():
        raise click.UsageError("--why says nothing")
    with opened() as (home, ledger):
        loaded = suites.load(suite)
        found = nights.find_night(ledger, loaded.name, night)
        if found["state"] != "ended":
            raise BadInput(f"night {found['id']} is {found['state']}: only one that has ended can be blessed")
        try:
            name = who or getpass.getuser()
        except (OSError, KeyError) as error:  # a user without an entry, as in a container
            raise click.UsageError("--who: the user who is logged in has no name here") from error
        try:
            blessed = baseline.bless(ledger, home, loaded, found, name, why.strip(), lines)
        except baseline.CannotBless as error:
            raise BadInput(str(error)) from error
        except OSError as error:
            raise Failed(f"nothing was blessed: {error}") from error
    if as_json:
        print_json({"suite": loaded.name, "night": found["id"], "who": name, "why": why.strip(), "lines": blessed})
    else:
        click.echo(f"{len(blessed)} lines of night {found['id']} are baselines now, blessed by {name}")
