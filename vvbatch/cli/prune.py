from __future__ import annotations

import re
from datetime import timedelta

import click

from vvbatch.cli.common import BadInput, json_option, print_json, session
from vvbatch.cli.delete import delete_all, print_doomed, require_yes


@click.command()
@click.option("--older-than", metavar="AGE", help="Ended longer ago than 30d, 12h, 8w [default: keep_speech_days].")
@click.option("--kind", type=click.Choice(["speech", "script", "proof", "night"]), default="speech", show_default=True)
@click.option("--dry-run", is_flag=True, help="Only list what would be deleted.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@json_option
def prune(older_than: str | None, kind: str, dry_run: bool, yes: bool, as_json: bool) -> None:
    """Delete old batches with their files, by default speech of `vvbatch synth` past `keep_speech_days`.

    `keep_speech_days` is a key of settings.yaml in the home folder, 30 by default; `vvbatch synth` applies it as well.
    Other kinds than speech are deleted only with --older-than. The verdict of a proof stays. Open batches and those
    that a regression suite refers to stay: it removes the audio of its nights itself (`keep_nights`).

    \b
    Example:  vvbatch prune --dry-run
              vvbatch prune --older-than 7d --yes
    """
    from vvbatch import settings
    from vvbatch.batch.delete import old_batches
    from vvbatch.ledger.records import BatchKind
    from vvbatch.report.tables import counted

    require_yes(yes or dry_run, as_json)
    with session() as here:
        home, ledger = here.home, here.ledger
        days = settings.load(home).keep_speech_days
        if older_than is not None:
            age = age_of(older_than)
        elif kind != "speech":
            raise click.UsageError(f"--kind {kind} needs --older-than AGE")
        elif days is None:
            raise click.UsageError(
                "settings.yaml keeps speech for ever (keep_speech_days: null): give --older-than AGE"
            )
        else:
            age = timedelta(days=days)
        found = old_batches(ledger, BatchKind(kind), age)
        deletable = [each for each in found if each.refused is None]
        if not dry_run:
            delete_all(ledger, deletable, yes, as_json)
        elif as_json:
            print_json(found)
        else:
            print_doomed(found)
            click.echo(f"{counted(len(deletable), 'batch')} would be deleted")


def age_of(text: str) -> timedelta:
    """Raises BadInput."""
    from vvbatch.ledger.listings import UNITS

    found = re.fullmatch(r"(\d{1,5})([smhdw])", text.strip())
    if not found:
        raise BadInput(f"not an age: {text!r}; give 90m, 12h, 30d or 8w")
    return timedelta(**{UNITS[found[2]]: int(found[1])})
