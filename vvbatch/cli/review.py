from __future__ import annotations

import sys
from collections import Counter
from typing import TYPE_CHECKING

import click

from vvbatch.cli.batch_ids import complete_batch
from vvbatch.cli.common import Session, session
from vvbatch.cli.reject import say_rejected, who_decides, who_option

if TYPE_CHECKING:
    from vvbatch.ledger.batch_takes import KeptLine

KEYS = "g good · r reject · n next · p play again · q quit"


@click.command()
@click.argument("batch", shell_complete=complete_batch)
@click.option("--flagged", is_flag=True, help="Only lines that vvbatch report shows first: rejected, and of low score.")
@click.option("--again", is_flag=True, help="Also lines that were reviewed before.")
@who_option
def review(batch: str, flagged: bool, again: bool, who: str | None) -> None:
    """Listen to a batch line by line, and say which takes are good and which are to be rendered again.

    Each line is opened in the system's player; where there is none, its path is printed. A key says what is next: g the
    take is good, r reject it and give the reason, n the next line, p play it again, q quit. The next review goes on
    with the lines that were not reviewed, and with the new takes of those that were rejected.

    \b
    Example:  vvbatch review last --flagged
    """
    from vvbatch.batch.review import is_kept, to_review
    from vvbatch.batch.submit import restore_where_it_runs
    from vvbatch.ledger.queries import find_batch
    from vvbatch.report.tables import counted

    if not sys.stdin.isatty():
        raise click.UsageError("review reads keys: run it in a terminal")
    by = who_decides(who)
    with session() as here:
        batch_id = find_batch(here.ledger, batch)
        lines = to_review(here.ledger, batch_id, flagged=flagged, again=again)
        said: Counter[str] = Counter()
        try:
            for place, line in enumerate(lines, start=1):
                if not is_kept(here.ledger, line):
                    click.echo(f"\n{place}/{len(lines)}  {line.id} has changed meanwhile: review the batch again")
                    continue
                show(here, line, f"{place}/{len(lines)}")
                verdict = ask(here, batch_id, line, by)
                if verdict is None:
                    break
                said[verdict] += 1
        finally:
            if said["rejected"] and not restore_where_it_runs(here.ledger, here.home, batch_id):
                click.echo("no queue is running: start it with  vvbatch up, or run the script again", err=True)
        left = len(lines) - said.total()
        click.echo(f"{said['good']} good, {said['rejected']} rejected; {counted(left, 'line')} left to review")


def show(here: Session, line: KeptLine, place: str) -> None:
    from vvbatch.batch.review import checks_in_words

    score = "" if line.score is None else f", score {line.score:.2f}"
    click.echo(f"\n{place}  chapter {line.chapter}, line {line.number}, {line.id}{score}")
    click.echo(f"  {line.written or line.spoken}")
    for words in checks_in_words(here.ledger, line):
        click.echo(f"  {words}")
    play(here, line)


def play(here: Session, line: KeptLine) -> None:
    from vvbatch.errors import VvbatchError
    from vvbatch.top.actions import Actions

    try:
        click.echo(f"  {Actions(here.ledger, here.home).play(line.path)}")
    except VvbatchError as error:
        click.echo(f"  {line.path} ({error})")


def ask(here: Session, batch_id: str, line: KeptLine, by: str) -> str | None:
    """What a key says of the line: good, next, rejected; None to quit."""
    from vvbatch.batch.review import note_reviewed

    click.echo(f"  {KEYS}")
    while True:
        try:
            key = click.getchar().lower()
        except EOFError:
            return None
        if key == "q":
            return None
        if key == "p":
            play(here, line)
        elif key == "g":
            note_reviewed(here.ledger, batch_id, line, "good", by)
            return "good"
        elif key == "n":
            note_reviewed(here.ledger, batch_id, line, "next", by)
            return "next"
        elif key == "r" and rejected(here, batch_id, line, by):
            return "rejected"


def rejected(here: Session, batch_id: str, line: KeptLine, by: str) -> bool:
    """Whether the line was rejected; a worker or another command may have changed it meanwhile."""
    from vvbatch.batch.by_ear import reject
    from vvbatch.errors import VvbatchError

    why = click.prompt("  why", default="", show_default=False).strip() or None
    try:
        say_rejected(reject(here.ledger, batch_id, [line.id], by=by, why=why))
    except VvbatchError as error:
        click.echo(f"  {error}", err=True)
        return False
    return True
