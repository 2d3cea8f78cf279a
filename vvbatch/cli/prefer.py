from __future__ import annotations

import click

from vvbatch.cli.common import json_option, print_json, session
from vvbatch.cli.reject import who_decides, who_option


@click.command()
@click.argument("take")
@who_option
@json_option
def prefer(take: str, who: str | None, as_json: bool) -> None:
    """Make another take its line's file: a candidate whose audio was kept (--keep-takes), or one that was rejected.

    TAKE is the id of a take, or its beginning: `vvbatch ledger takes --batch BATCH --line ID` lists those of a line. A
    rejection of the take is taken back. The take that was kept before keeps its audio, so it can be preferred again.

    \b
    Example:  vvbatch prefer 3f2a9c1d5e6b7a80
    """
    from vvbatch.batch.by_ear import prefer as prefer_take

    by = who_decides(who)
    with session() as here:
        done = prefer_take(here.ledger, take, by=by)
    if as_json:
        print_json(done)
        return
    back = "; its rejection is taken back" if done.taken_back else ""
    instead = f" instead of {done.before}" if done.before else ""
    click.echo(f"line {done.line} of {done.batch} has take {done.take}{instead}{back}")
