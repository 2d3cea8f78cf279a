from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from vvbatch.cli.common import FAILED, Failed, Unavailable, json_option, print_json, session

if TYPE_CHECKING:
    from vvbatch.regress.replay import Replay


@click.command()
@click.argument("take", metavar="TAKE")
@click.option("--out", type=click.Path(path_type=Path, dir_okay=False), help="Write the new render to this WAV file.")
@json_option
def replay(take: str, out: Path | None, as_json: bool) -> None:
    """Render a take again from its ledger record, and compare the two.

    On the same machine with the same versions they are equal, bit for bit. Otherwise the difference is measured, and
    what has changed since is listed. Exit 0 equal, 1 different, 3 the model or a voice is missing.

    \b
    Example:  vvbatch replay 1f0c8a3be2d94c57 --out again.wav
              vvbatch ledger takes --batch last --limit 1 --json    # lists takes
    """
    from vvbatch import machine, profiles, store
    from vvbatch.engine.contract import RequestRefused
    from vvbatch.regress.replay import recorded
    from vvbatch.regress.replay import replay as render_again
    from vvbatch.voices import VoiceError

    with session() as here:
        try:
            machine.pin_threads(profiles.load(recorded(here.ledger, take).take.profile))
            if not as_json:
                click.echo("loading the model and rendering …", err=True)
            found, wav = render_again(here.ledger, here.home, take)
        except (VoiceError, RequestRefused) as error:
            raise Unavailable(str(error)) from error
    if out:
        try:
            store.write_atomically(out.absolute(), wav)
        except OSError as error:
            raise Failed(f"{out} could not be written: {error.strerror}; name another file with --out") from error
    found.out = str(out.absolute()) if out else None
    if as_json:
        print_json(found)
    else:
        show(found)
    if not found.equal:
        sys.exit(FAILED)


def show(found: Replay) -> None:
    from msgspec.structs import asdict

    from vvbatch.report.columns import name, text
    from vvbatch.report.tables import Fact, print_facts, print_table

    by = {"sha256": "bit for bit", "samples": "in every sample", "checks": "in every check"}[found.equal_by]
    facts: list[Fact] = [("take", found.take)]
    facts.append(("verdict", f"equal, {by}" if found.equal else "different"))
    if found.note:
        facts.append(("note", found.note))
    if found.out:
        facts.append(("file", found.out))
    print_facts(facts)
    if found.changed:
        rows = [[each.what, each.then, each.now] for each in found.changed]
        print_table([name("changed since"), text("then"), text("now")], rows)
    elif not found.equal:
        click.echo("nothing that the ledger records has changed since: the engine is not repeatable here")
    if found.difference and not found.equal:
        measured = [[measure, value] for measure, value in asdict(found.difference).items() if measure != "bits"]
        print_table(["measure", ">now against then"], measured)
