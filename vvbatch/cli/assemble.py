from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from vvbatch.cli.batch_ids import complete_batch
from vvbatch.cli.common import FAILED, Session, json_option, print_json, session

if TYPE_CHECKING:
    from vvbatch.batch.assemble import Order
    from vvbatch.book.document import BookView
    from vvbatch.cli.inputs import Planned
    from vvbatch.home import Home

MISSING_SHOWN = 10
FILES_SHOWN = 12


def book_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """`--book` and `--preset`; the command gets `book` and `preset`."""
    preset = click.option(
        "--preset", metavar="P", help="How loud, and for whom: audiobook, podcast, acx, raw, or one of settings.yaml."
    )(command)
    return click.option(
        "--book",
        metavar="FORMATS",
        help="Files to make: m4b, mp3, opus, flac, wav; mp3-chapters for one file a chapter; vtt.",
    )(preset)


@click.command()
@click.argument("batch", shell_complete=complete_batch)
@book_options
@click.option("--remaster", is_flag=True, help="Measure all gains again; every chapter may be encoded again.")
@json_option
def assemble(batch: str, book: str | None, preset: str | None, remaster: bool, as_json: bool) -> None:
    """Make the finished book of a batch: pauses, one level, chapters, cover, subtitles.

    Files go to OUT/<batch>/book/. Only chapters that changed are encoded again. Lines that are not finished are listed:
    their chapters are not made, and no file of the whole book is. Exit 1 then, and when a check of the preset fails.

    \b
    Example:  vvbatch assemble last --book m4b,mp3-chapters
              vvbatch assemble last --preset acx
    """
    from vvbatch.batch.assemble import order_of
    from vvbatch.ledger.queries import find_batch

    with session() as here:
        batch_id = find_batch(here.ledger, batch)
        view = assembled(here, batch_id, order_of(book, preset, remaster), quiet=as_json)
    if as_json:
        print_json(view)
    else:
        print_book(view)
    if view.state != "made":
        sys.exit(FAILED)


def assembled(here: Session, batch_id: str, order: Order, *, quiet: bool) -> BookView:
    """The book, made with its progress on stderr."""
    from vvbatch.batch.assemble import assemble
    from vvbatch.report.counting import counting

    with counting("takes transcribed", quiet=quiet) as transcribed, counting("chapters", quiet=quiet) as seen:
        return assemble(here.ledger, here.home, batch_id, order, seen, transcribed)


def with_books(planned: Sequence[Planned], book: str | None, preset: str | None, home: Home) -> list[Planned]:
    """The plans with the books that are ordered for them, checked before anything is queued. Raises BookError."""
    ordering = book is not None or preset is not None
    if not ordering and not any(each.plan.book.asked for each in planned):
        return list(planned)
    from vvbatch.batch.assemble import check_cover, order_of, with_order
    from vvbatch.settings import load

    order, settings, found = order_of(book, preset), load(home), []
    for each in planned:
        stated = with_order(each.plan.book, order, settings)
        if stated.asked and each.imported is None:
            check_cover(stated)
        found.append(replace(each, plan=replace(each.plan, book=stated)))
    return found


def print_book(view: BookView) -> None:
    from vvbatch.report.tables import counted, print_table

    for line in view.missing[:MISSING_SHOWN]:
        click.echo(
            f"missing: {line.id} of chapter {line.chapter} is {line.state}{f': {line.error}' if line.error else ''}"
        )
    if len(view.missing) > MISSING_SHOWN:
        click.echo(f"… and {len(view.missing) - MISSING_SHOWN} more lines")
    if view.missing:
        remedy = f"vvbatch retry {view.batch}, or correct the script and run it again"
        click.echo(f"{counted(len(view.missing), 'line')} missing: no file of the whole book was made; {remedy}")
    failed = [check for check in view.acx if not check.ok] if isinstance(view.acx, list) else []
    if isinstance(view.acx, list):
        click.echo(f"acx: {len(view.acx) - len(failed)} of {counted(len(view.acx), 'check')} passed")
    if failed:
        rows = [[check.name, check.subject, f"{check.value:g}", check.limit] for check in failed]
        print_table(["check", "of", "value", "limit"], rows)
    print_files(view)
    if view.files:
        hours, rest = divmod(round(view.duration_s), 3600)
        length = f"{hours}:{rest // 60:02d}:{rest % 60:02d}"
        level = f"{view.loudness_lufs:.1f} LUFS, " if view.loudness_lufs is not None else ""
        now = f"newly encoded: {view.encoded}" if view.encoded else "none encoded again"
        click.echo(f"{counted(len(view.chapters), 'chapter')}, {length}, {now}")
        click.echo(f"preset {view.preset}: {level}true peak {view.true_peak_dbtp:.1f} dBTP")
    for warning in view.warnings:
        click.echo(f"warning: {warning}", err=True)


def print_files(view: BookView) -> None:
    if len(view.files) <= FILES_SHOWN:
        for file in view.files:
            click.echo(file.path)
        return
    counts = Counter(file.format for file in view.files)
    shown = ", ".join(f"{count} {format_}" for format_, count in counts.items())
    click.echo(f"{Path(view.files[0].path).parent}: {shown}")
