from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from vvbatch.cli.common import FAILED, INTERRUPTED, faults, json_option, print_json
from vvbatch.cli.inputs import wishes_options

if TYPE_CHECKING:
    from redis import Redis

    from vvbatch.batch.plan import Overrides
    from vvbatch.ledger import Ledger
    from vvbatch.processes.session import Workers


@click.command()
@click.argument("text")
@click.option("--voice", default="default", show_default=True, help="A voice of the library (`vvbatch voices list`).")
@wishes_options
@click.option("--seed", type=click.IntRange(0, 2**63 - 1), help="[default: made from the text, voice and model]")
@click.option("--out", type=click.Path(path_type=Path, dir_okay=False), help="Also put the file here.")
@click.option("--stream", is_flag=True, help="Write a WAV stream to stdout while it is rendered, for a player.")
@json_option
@faults
def synth(
    text: str, voice: str, wishes: Overrides, seed: int | None, out: Path | None, stream: bool, as_json: bool
) -> None:
    """Speak one line, at the front of the queue; starts a worker if none runs.

    \b
    Example:  vvbatch synth "The lamp went out." --voice alice --out lamp.wav
              vvbatch synth "The lamp went out." --stream | aplay
    """
    from vvbatch import settings, store
    from vvbatch.batch.delete import prune_speech
    from vvbatch.batch.plan import make_plan
    from vvbatch.batch.submit import submit
    from vvbatch.home import Home
    from vvbatch.ledger.journal import ledger_of
    from vvbatch.ledger.queries import batch_view
    from vvbatch.ledger.records import BatchKind
    from vvbatch.processes.session import sigterm_as_interrupt, wait_for, workers_for
    from vvbatch.script.one import one_line
    from vvbatch.transport import server
    from vvbatch.voices import Library

    if stream and as_json:
        raise click.UsageError("--stream and --json both want stdout: choose one")
    home = Home.from_environment()
    keep_days = settings.load(home).keep_speech_days
    plan = make_plan(one_line(text, voice=voice, seed=seed), Library.of(home), wishes)
    if stream:
        plan = plan.streamed()
    if out is not None:
        store.check_writable(out.absolute().parent, 0)
    with sigterm_as_interrupt(), server.own_server(home) as own_server:
        connection = server.connect(home)
        ledger = ledger_of(home)
        batch_id = submit(plan, ledger, connection, home.out, "high", kind=BatchKind.SPEECH, at_front=True).id
        try:
            with workers_for(own_server, connection) as own:
                if stream:
                    pass_on(connection, ledger, batch_id, own)
                wait_for(ledger, [batch_id], own)
        except KeyboardInterrupt:
            ledger.cancel(batch_id)
            sys.exit(INTERRUPTED)
    prune_speech(ledger, keep_days)
    view = batch_view(ledger, batch_id)
    line = view.lines[0]
    if out is not None and line.path:
        store.write_atomically(out.absolute(), Path(line.path).read_bytes())
    if as_json:
        print_json(view)
    elif line.path:
        click.echo(str(out or line.path), err=stream)
    else:
        click.echo(f"failed: {line.error}", err=True)
    if not line.path:
        sys.exit(FAILED)


def pass_on(connection: Redis, ledger: Ledger, batch_id: str, own: Workers) -> None:
    """Write the line's chunks to stdout as they come, until it has ended."""
    from vvbatch.ledger.queries import open_batches
    from vvbatch.ledger.records import line_key
    from vvbatch.transport import stream

    output = sys.stdout.buffer
    output.write(stream.wav_header())
    while True:
        chunk = stream.receive(connection, line_key(batch_id, 1), timeout_s=1)
        if chunk:
            output.write(chunk)
            output.flush()
        elif chunk == b"" or not open_batches(ledger, [batch_id]):
            return
        else:
            own.look_after(ledger, [batch_id])
