"""regress run, bless, report, schedule: whether last night's renders are as good as the blessed ones."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from vvbatch.cli.common import FAILED, BadInput, Failed, json_option, print_json, session
from vvbatch.cli.inputs import model_option

if TYPE_CHECKING:
    from vvbatch.home import Home
    from vvbatch.regress.records import Change
    from vvbatch.regress.schedule import ScheduleStatus
    from vvbatch.regress.summary import Summary

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


@regress.command(short_help="Render a suite and compare it with its baselines.")
@suite_argument
@model_option
@json_option
def run(suite: str, profile: str | None, as_json: bool) -> None:
    """Render a suite again, at low priority, and compare each line with its blessed take.

    A line is same (bit for bit), equivalent (within all limits), changed, or worse, with the reasons; without a blessed
    take it is unblessed. Exit 1 if a line or the night is worse, or unblessed. Ctrl-C cancels the lines that remain.

    \b
    Example:  vvbatch regress run draft
              vvbatch regress run my/suite.yaml --model 1.5b --json
    """
    from vvbatch import profiles
    from vvbatch.regress import run_night
    from vvbatch.regress import suite as suites
    from vvbatch.regress.summary import summary
    from vvbatch.report.counting import counting
    from vvbatch.report.watch import progress

    with session() as here:
        loaded = suites.load(suite)
        if profile:
            profiles.load(profile)  # one error, not one for each line
        with counting("lines compared", quiet=as_json) as count:
            night_id = run_night.run(
                loaded,
                here.home,
                here.ledger,
                profile,
                lambda ids: progress(here.ledger, ids, quiet=as_json),
                count,
            )
        found = summary(here.ledger, loaded.name, night_id)
    if as_json:
        print_json(found)
    else:
        show(found, suite)
    if found.verdict in ("worse", "unblessed"):
        sys.exit(FAILED)


def show(found: Summary, suite: str) -> None:
    """Counts, findings about the whole night, and the lines that differ."""
    from vvbatch.report.columns import name, text
    from vvbatch.report.tables import Fact, below, print_facts, print_table, shortened

    counts = ", ".join(f"{count} {verdict}" for verdict, count in found.counts.items() if count)
    facts: list[Fact] = [("night", found.night), ("verdict", found.verdict), ("lines", counts)]
    facts += below("because", (each.text for each in found.reasons))
    facts += below("changed since", map(change_text, found.changed))
    print_facts(facts)
    off = [line for line in found.lines if line.verdict in ("worse", "changed")]
    off.sort(key=lambda line: line.verdict != "worse")
    if off:
        rows = [
            [line.verdict, shortened(line.text, 36), "; ".join(each.text for each in line.reasons)]
            for line in off[:LINES_SHOWN]
        ]
        print_table([name("verdict"), text("line"), text("because")], rows)
    if len(off) > LINES_SHOWN:
        click.echo(f"and {len(off) - LINES_SHOWN} more: vvbatch regress report {suite}")
    if found.counts["unblessed"]:
        click.echo("listen to them, then make them the baselines:", err=True)
        click.echo(f"  vvbatch regress bless {suite} --night {found.night} --why '…'", err=True)


def change_text(change: Change) -> str:
    return f"{change.what} {change.then} -> {change.now}"


@regress.command(short_help="Make a night's takes the baselines.")
@suite_argument
@night_option
@click.option("--line", "lines", multiple=True, metavar="ID", help="Only this line, with its parts; repeatable.")
@click.option("--why", required=True, help="Why these takes are good: what was listened to, or what was changed.")
@click.option("--who", help="Who approves them.  [default: the user who is logged in]")
@json_option
def bless(suite: str, night: str, lines: tuple[str, ...], why: str, who: str | None, as_json: bool) -> None:
    """Make a night's takes the baselines that later nights are compared with.

    \b
    Example:  vvbatch regress bless draft --why "all 50 lines listened to"
              vvbatch regress bless draft --line 9f2c01d3aa --why "new voice"
    """
    import getpass

    from vvbatch.regress import baseline, records
    from vvbatch.regress import suite as suites
    from vvbatch.report.tables import counted

    if not why.strip():
        raise click.UsageError("--why is empty: give the reason")
    with session() as here:
        loaded = suites.load(suite)
        found = records.find_night(here.ledger, loaded.name, night)
        if found.state != "ended":
            raise BadInput(f"night {found.id} is {found.state}: only one that has ended can be blessed")
        try:
            name = who or getpass.getuser()
        except (OSError, KeyError) as error:  # a user without an entry, as in a container
            raise click.UsageError("--who: the user who is logged in has no name here") from error
        try:
            blessed = baseline.bless(here.ledger, here.home, loaded, found, name, why.strip(), lines)
        except OSError as error:
            raise Failed(f"nothing was blessed: {error}") from error
    if as_json:
        print_json({"suite": loaded.name, "night": found.id, "who": name, "why": why.strip(), "lines": blessed})
    else:
        click.echo(f"night {found.id}: {counted(len(blessed), 'line')} blessed by {name} as baselines")


@regress.command(short_help="Write a night as one HTML page.")
@suite_argument
@night_option
@click.option(
    "--out", type=click.Path(path_type=Path, dir_okay=False), help="The page to write.  [default: in the home folder]"
)
@click.option("--junit", type=click.Path(path_type=Path, dir_okay=False), help="Also write JUnit XML, for CI.")
@json_option
def report(suite: str, night: str, out: Path | None, junit: Path | None, as_json: bool) -> None:
    """Write a night as one HTML page: verdicts, trends, spectrograms, both recordings, what changed in versions.

    The page needs no network and no other file. --json prints the same as data; it writes the page only with --out.

    \b
    Example:  vvbatch regress report draft --out report.html
              vvbatch regress report draft --junit night.xml --json
    """
    from vvbatch import store
    from vvbatch.regress import records
    from vvbatch.regress import report as reports
    from vvbatch.regress import suite as suites
    from vvbatch.regress.report.write import default_path, history, html, missed
    from vvbatch.regress.summary import report as report_of
    from vvbatch.regress.summary import summary

    with session() as here:
        loaded = suites.load(suite)
        row = records.find_night(here.ledger, loaded.name, night)
        if row.state != "ended":
            raise BadInput(f"night {row.id} is {row.state}: only one that has ended has a report")
        found = summary(here.ledger, loaded.name, row.id)
        files = {}
        if out or not as_json:
            files[(out or default_path(here.home, loaded.name)).absolute()] = html(here.ledger, loaded, found).encode()
        if junit:
            files[junit.absolute()] = reports.junit(found)
        for path, data in files.items():
            try:
                store.write_atomically(path, data)
            except OSError as error:
                raise Failed(f"{path} could not be written: {error.strerror}; name another file") from error
        if as_json:
            before = history(here.ledger, loaded.name, row.profile)
            print_json(report_of(found, before, missed(here.ledger, loaded.name)))
            return
    for path in files:
        click.echo(str(path))


@regress.command(short_help="Schedule a suite, or show what is scheduled.")
@click.argument("suite", required=False, metavar="[SUITE]", shell_complete=complete_suite)
@click.option("--cron", metavar="EXPRESSION", help="Minute, hour, day, month, weekday in local time: '30 2 * * *'.")
@click.option("--off", is_flag=True, help="Remove the suite from the schedule.")
@click.option(
    "--print",
    "kind",
    type=click.Choice(["cron", "launchd"]),
    help="Print the entry for cron or launchd, and schedule nothing.",
)
@model_option
@json_option
def schedule(
    suite: str | None, cron: str | None, off: bool, kind: str | None, profile: str | None, as_json: bool
) -> None:
    """Schedule a suite; without options, show what is scheduled, what is next and what was missed.

    `vvbatch up` (or `python -P -m workers.nightly`, as in the Procfile) runs what is scheduled. Exit 1 if nights were
    missed. To use cron instead, add the line that --print writes to your crontab, as in the second example.

    \b
    Example:  vvbatch regress schedule draft --cron "30 2 * * *"
              (crontab -l; vvbatch regress schedule draft --cron "30 2 * * *" \\
                --print cron) | crontab -
              vvbatch regress schedule draft --off
    """
    from datetime import datetime

    from vvbatch import profiles
    from vvbatch.regress import schedule as plan
    from vvbatch.regress import suite as suites

    if suite is None and (cron or off or kind or profile):
        raise click.UsageError("name a suite")
    if (off and (cron or kind)) or (kind and not cron):
        raise click.UsageError("--off takes no other option; --print needs --cron")
    with session() as here:
        if suite is not None:
            path = suites.find(suite)
            name = suite if path.parent in suites.folders() else str(path)
            if off:
                if not plan.unschedule(here.ledger, name):
                    raise BadInput(f"suite {suite!r} is not scheduled")
            elif cron:
                suites.load(suite)
                profile = profiles.load(profile).name if profile else None
                wanted = plan.checked(cron, datetime.fromisoformat(here.ledger.now()))
                if kind:
                    line = plan.crontab_line if kind == "cron" else plan.launchd_line
                    click.echo(line(here.home, name, profile, wanted, os.environ))
                    return
                plan.set_schedule(here.ledger, name, profile, wanted)
        rows = plan.overview(here.ledger)
        runs = nightly_runs(here.home)
    if as_json:
        print_json({"running": runs, "schedules": rows})
    else:
        show_schedules(rows, runs)
    if suite is None and any(row.missed for row in rows):
        sys.exit(FAILED)


def nightly_runs(home: Home) -> bool:
    """Whether a process runs that starts scheduled suites."""
    from vvbatch.transport import queue
    from vvbatch.transport.connection import ServerUnreachable, connect

    try:
        connection = connect(home)
    except ServerUnreachable:
        return False
    with connection:
        return queue.has_worker(connection, "regress")


def show_schedules(rows: list[ScheduleStatus], runs: bool) -> None:
    from vvbatch.report.columns import name, number
    from vvbatch.report.tables import print_table
    from vvbatch.report.times import when

    if not rows:
        click.echo("nothing is scheduled: vvbatch regress schedule SUITE --cron '30 2 * * *'")
        return
    cells = [
        [row.suite, row.profile or "its own", row.cron, when(row.next), when(row.last), len(row.missed) or None]
        for row in rows
    ]
    columns = [name("suite"), name("profile", 2), name("cron", 1), name("next"), name("last", 3), number("missed")]
    print_table(columns, cells)
    for row in rows:
        if row.missed:
            click.echo(f"missed, {row.suite}: {', '.join(map(when, row.missed[-5:]))}")
    if not runs:
        click.echo("no process runs them: vvbatch up  (restart it if it is running)", err=True)
