"""ledger batches, lines, takes, metrics, query, export: what was rendered, how, how fast and how well."""

from __future__ import annotations

import csv
import functools
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from vvbatch.cli.batch_ids import complete_batch
from vvbatch.cli.common import KINDS, BadInput, json_option, print_json, session, utc_option
from vvbatch.cli.inputs import complete_profile

if TYPE_CHECKING:
    from vvbatch.home import Home
    from vvbatch.ledger.sql import Answer
    from vvbatch.report.columns import Column

Row = TypeVar("Row")

# As vvbatch.ledger has them, which would load the database for `--help`.
BATCH_STATES = ("open", "paused", "done", "failed", "cancelled")
LINE_STATES = ("queued", "rendering", "done", "cached", "failed", "cancelled")
TAKE_STATES = ("rendering", "done", "failed_qc", "failed", "crashed", "cancelled", "superseded", "rejected")
TABLES = ("batches", "lines", "takes", "qc_results", "events", "nights", "verdicts", "baselines")


@click.group()
def ledger() -> None:
    """Query what was rendered: batches, lines, takes, metrics, SQL.

    \b
    Example:  vvbatch ledger takes --batch last --sort rtf:desc
              vvbatch ledger query "SELECT state, count(*) FROM takes GROUP BY state"
    """


def filters(*names: str, states: Sequence[str] = ()) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """The options of a list; the command gets them as one Filter, `wanted`, and the open ledger."""
    options = {
        "batch": click.option("--batch", metavar="BATCH", shell_complete=complete_batch, help="Of this batch only."),
        "line": click.option("--line", metavar="ID", help="Of this line only, with all its parts."),
        "state": click.option("--state", type=click.Choice(states), help="In this state only."),
        "profile": click.option(
            "--model",
            "--profile",
            "profile",
            metavar="PROFILE",
            shell_complete=complete_profile,
            help="Of this profile only.",
        ),
        "kind": click.option("--kind", type=click.Choice(KINDS), help="Of this kind only."),
        "voice": click.option("--voice", metavar="NAME", help="Spoken with this voice only."),
        "since": click.option(
            "--since", metavar="WHEN", help="Made since a date, a time (UTC) or an age: 90m, 12h, 2d."
        ),
        "sort": click.option(
            "--sort", metavar="COLUMN[:desc]", help="Sort by any column of the table or key of --json."
        ),
        "limit": click.option(
            "--limit", type=click.IntRange(0), default=100, show_default=True, help="At most so many; 0 for all."
        ),
    }

    def decorate(command: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(command)
        def wrapped(as_json: bool, since: str | None, **given: Any) -> None:
            from vvbatch.ledger.listings import Filter, moment

            if given.get("line") is not None and given.get("batch") is None:
                raise click.UsageError(f"--line {given['line']!r} without a batch: ids are unique in a batch; name it")
            own = {name: given.pop(name) for name in list(given) if name not in options}
            with session() as here:
                wanted = Filter(**given, since=moment(since, here.ledger.now()) if since else None)
                command(here.ledger, wanted, as_json, **own)

        for name in reversed(names):
            wrapped = options[name](wrapped)
        return json_option(utc_option(wrapped))

    return decorate


def show(
    rows: list[Row],
    limit: int,
    as_json: bool,
    columns: Sequence[Column],
    cells: Callable[[Row], Any],
) -> None:
    """A list as JSON or as a table, and on stderr whether there is more of it."""
    from vvbatch.report.tables import print_table

    shown = rows[:limit] if limit else rows
    if as_json:
        print_json(shown)
    else:
        if shown or not sys.stdout.isatty():
            print_table(columns, [cells(row) for row in shown])
        if not shown:
            click.echo("nothing matches", err=True)
    if len(rows) > len(shown):
        click.echo(f"the first {limit:,} only: --limit 0 shows all", err=True)


def one_more(wanted: Any) -> Any:
    """The filter with room for one row more, by which one sees that there is more."""
    from dataclasses import replace

    return replace(wanted, limit=wanted.limit + 1) if wanted.limit else wanted


@ledger.command()
@filters("state", "profile", "kind", "since", "sort", "limit", states=BATCH_STATES)
def batches(ledger: Any, wanted: Any, as_json: bool) -> None:
    """List batches, newest first.

    \b
    Example:  vvbatch ledger batches --since 7d --state failed
    """
    from vvbatch.ledger.listings import list_batches
    from vvbatch.report.ledger_tables import BATCH_COLUMNS, batch_cells

    show(list_batches(ledger, one_more(wanted)), wanted.limit, as_json, BATCH_COLUMNS, batch_cells)


@ledger.command()
@click.argument("batch", required=False, shell_complete=complete_batch)
@filters("line", "state", "profile", "voice", "since", "sort", "limit", states=LINE_STATES)
def lines(ledger: Any, wanted: Any, as_json: bool) -> None:
    """List the lines of a batch, or of all.

    \b
    Example:  vvbatch ledger lines last --state failed
    """
    from vvbatch.ledger.listings import list_lines
    from vvbatch.report.ledger_tables import LINE_COLUMNS, line_cells

    show(list_lines(ledger, one_more(wanted)), wanted.limit, as_json, LINE_COLUMNS, line_cells)


@ledger.command()
@filters("batch", "line", "state", "profile", "voice", "since", "sort", "limit", states=TAKE_STATES)
def takes(ledger: Any, wanted: Any, as_json: bool) -> None:
    """List takes, newest first: every attempt at a line, with all that it was made with.

    \b
    Example:  vvbatch ledger takes --batch last --sort rtf:desc --limit 20
              vvbatch ledger takes --state failed_qc --since 12h --json
    """
    from vvbatch.ledger.listings import list_takes
    from vvbatch.report.ledger_tables import TAKE_COLUMNS, take_cells

    show(list_takes(ledger, one_more(wanted)), wanted.limit, as_json, TAKE_COLUMNS, take_cells)


@ledger.command()
@click.option("--per-day", is_flag=True, help="A row for each day (UTC).")
@filters("batch", "state", "profile", "voice", "since", "sort", states=TAKE_STATES)
def metrics(ledger: Any, wanted: Any, as_json: bool, per_day: bool) -> None:
    """Speed and quality by model, device and dtype.

    rtf is wall seconds per second of audio of one take; speed counts what was rendered side by side.

    \b
    Example:  vvbatch ledger metrics --since 7d --per-day
    """
    from vvbatch.ledger.listings import metrics as measure
    from vvbatch.report.ledger_tables import metric_cells, metric_columns

    rows = measure(ledger, wanted, per_day=per_day)
    show(rows, 0, as_json, metric_columns(per_day), metric_cells(per_day))


@ledger.command()
@click.argument("sql")
@click.option("--limit", type=click.IntRange(1, 1_000_000), default=1000, show_default=True, help="Rows at most.")
@click.option("--timeout", type=click.FloatRange(0.1, 3600), default=30.0, show_default=True, help="Seconds at most.")
@click.option("--csv", "as_csv", is_flag=True, help="CSV on stdout.")
@json_option
def query(sql: str, limit: int, timeout: float, as_csv: bool, as_json: bool) -> None:
    """Run one SELECT on the ledger; `-` reads it from stdin. The connection can only read.

    \b
    Example:  vvbatch ledger query "SELECT profile, avg(rtf) FROM takes WHERE state = 'done' GROUP BY profile"
              vvbatch ledger query "SELECT name FROM sqlite_master" --csv
    """
    from vvbatch.home import Home
    from vvbatch.ledger.sql import query as ask
    from vvbatch.report.tables import print_table

    if as_csv and as_json:
        raise click.UsageError("--csv and --json both want stdout: choose one")
    home = Home.from_environment()
    create_ledger(home)
    answer = ask(home.ledger_url, sys.stdin.read() if sql == "-" else sql, limit, timeout)
    if as_json:
        print_json([dict(zip(answer.columns, row, strict=True)) for row in answer.rows])
    elif as_csv:
        writer = csv.writer(sys.stdout, lineterminator="\n")
        writer.writerows([answer.columns, *answer.rows])
    else:
        print_table(columns_of(answer), answer.rows)
    if answer.cut:
        click.echo(f"the first {limit:,} rows only: --limit allows more", err=True)


LONG = 24  # characters of a text that may be wrapped


def columns_of(answer: Answer) -> list[Column]:
    """Columns for a terminal: numbers, names, and texts where something is long and has spaces."""
    from vvbatch.report.columns import Column, Kind

    kinds: list[Kind] = []
    for cells in zip(*answer.rows, strict=True) if answer.rows else [()] * len(answer.columns):
        known = [cell for cell in cells if cell is not None]
        if known and all(isinstance(cell, int | float) for cell in known):
            kinds.append("number")
        else:
            kinds.append("text" if any(len(str(cell)) > LONG and " " in str(cell) for cell in known) else "name")
    return [Column(name, kind) for name, kind in zip(answer.columns, kinds, strict=True)]


def create_ledger(home: Home) -> None:
    """Make the home's own ledger if there is none yet: a query then finds its tables, with no rows."""
    from sqlalchemy import make_url

    from vvbatch.ledger.journal import ledger_of

    file = make_url(home.ledger_url).database
    if make_url(home.ledger_url).get_backend_name() == "sqlite" and file and not Path(file).exists():
        ledger_of(home).close()


@ledger.command()
@click.option("--table", type=click.Choice(TABLES), default="takes", show_default=True)
@click.option("--format", "form", type=click.Choice(["csv", "jsonl"]), default="csv", show_default=True)
@click.option("--out", type=click.Path(path_type=Path, dir_okay=False), help="Into this file.  [default: the pipe]")
def export(table: str, form: str, out: Path | None) -> None:
    """Write a whole table as CSV or JSON lines, into a file or a pipe. A file appears when it is complete.

    \b
    Example:  vvbatch ledger export --table takes --format jsonl --out takes.jsonl
              vvbatch ledger export --table lines | gzip > lines.csv.gz
    """
    if out is None and sys.stdout.isatty():
        raise click.UsageError(f"a whole table is not for a terminal: name a file, --out {table}.{form}, or use a pipe")
    from vvbatch.ledger.export import export as write
    from vvbatch.ledger.export import export_file
    from vvbatch.report.tables import counted

    with session() as here:
        if out is None:
            write(here.ledger, table, form, sys.stdout)
            return
        try:
            count = export_file(here.ledger, table, form, out)
        except OSError as error:
            raise BadInput(f"{out} cannot be written: {error.strerror}") from error
        click.echo(f"{counted(count, 'row')} in {out}", err=True)
