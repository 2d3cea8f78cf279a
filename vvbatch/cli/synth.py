from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from vvbatch.cli.common import FAILED, Failed, Session, json_option, print_json, session
from vvbatch.cli.inputs import override_options, show_warnings

if TYPE_CHECKING:
    from redis import Redis

    from vvbatch.batch.plan import Overrides
    from vvbatch.processes.session import Workers


AUDIO_SUFFIXES = ("", ".wav", ".wave", ".flac", ".mp3", ".ogg")  # as vvbatch.audio.encode, which loads numpy


class TextCommand(click.Command):
    """A command whose argument is a text: the error for one that begins with a dash shows how to pass it."""

    def parse_args(self, context: click.Context, args: list[str]) -> list[str]:
        try:
            return super().parse_args(context, args)
        except click.NoSuchOption as error:
            remedy = 'put -- before a text that begins with a dash: vvbatch synth -- "-20 degrees outside."'
            raise click.UsageError(f"{error.format_message().rstrip('.')}; {remedy}", context) from error


@click.command(cls=TextCommand)
@click.argument("text")
@click.option("--voice", default="default", show_default=True, help="A voice of the library (`vvbatch voices list`).")
@override_options
@click.option(
    "--seed",
    type=click.IntRange(0, 2**63 - 1),
    metavar="N",
    help="Seed of the take.  [default: derived from the text, voice and profile]",
)
@click.option(
    "--out",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Also write the audio to this file, .wav, .flac, .mp3 or .ogg.",
)
@click.option("--stream", is_flag=True, help="Write a WAV stream to stdout while the line renders, for a player.")
@json_option
def synth(
    text: str, voice: str, overrides: Overrides, seed: int | None, out: Path | None, stream: bool, as_json: bool
) -> None:
    """Render one line, at the front of the queue; starts a worker if none runs. Ctrl-C cancels the line.

    With --stream the line has one take, which is played as it is made: no second take and no escalation. Exit 1 if that
    take then fails its checks, or the engine fails.

    \b
    Example:  vvbatch synth "The lamp went out." --voice alice --out lamp.wav
              vvbatch synth "The lamp went out." --stream | aplay
    """
    from vvbatch import settings, store
    from vvbatch.batch.delete import prune_speech
    from vvbatch.batch.finish import end_if_complete
    from vvbatch.batch.plan import make_plan
    from vvbatch.batch.submit import submit
    from vvbatch.ledger.batches import cancel_lines
    from vvbatch.ledger.queries import batch_view
    from vvbatch.ledger.records import BatchKind
    from vvbatch.ledger.states import INTERACTIVE
    from vvbatch.processes.session import wait_for, workers_for
    from vvbatch.script.one import one_line
    from vvbatch.speech_text import lexicon
    from vvbatch.voices import Library

    if out is not None and out.suffix.lower() not in AUDIO_SUFFIXES:
        allowed = ", ".join(suffix for suffix in AUDIO_SUFFIXES if suffix)
        raise click.BadParameter(
            f"no audio format of this kind is written: {out.name!r}; allowed: {allowed}", param_hint="--out"
        )
    if stream:
        if as_json:
            raise click.UsageError("--stream and --json both write to stdout: choose one")
        if overrides.takes is not None or overrides.escalate not in (None, "none"):
            raise click.UsageError("--stream plays the first take: leave out --takes and --escalate")
        overrides = replace(overrides, takes=1, escalate="none")
    overrides = replace(overrides, whole_lines=True)  # one line, one file
    with session() as here:
        keep_days = settings.load(here.home).keep_speech_days
        script, words = one_line(text, voice=voice, seed=seed), lexicon.load(here.home)
        plan = make_plan(script, Library.of(here.home), overrides, words)
        show_warnings([plan])
        if stream:
            plan = plan.streamed()
        if out is not None:
            store.check_writable(out.absolute().parent, 0)
        with here.queue() as queue:
            added = submit(plan, here.ledger, queue.connection, here.home.out, INTERACTIVE, kind=BatchKind.SPEECH)
            batch_id = added.id
            with workers_for(queue.server, queue.connection) as workers:
                try:
                    streamed = stream and stream_line(here, queue.connection, batch_id, workers)
                    wait_for(here.ledger, [batch_id], workers)
                except (KeyboardInterrupt, BrokenPipeError, Failed):  # before the worker is stopped: it would finish it
                    cancel_lines(here.ledger, batch_id)
                    end_if_complete(here.ledger, batch_id)
                    raise
        prune_speech(here.ledger, keep_days)
        view = batch_view(here.ledger, batch_id)
    line = view.lines[0]
    if stream and not streamed and line.path:  # a finished take served the line
        sys.stdout.buffer.write(pcm16_of(Path(line.path)))
    if out is not None and line.path:
        from vvbatch.audio.encode import encoded

        store.write_atomically(out.absolute(), encoded(Path(line.path), out.suffix.lower()))
    if as_json:
        print_json(view)
    elif line.path:
        click.echo(str(out or line.path), err=stream)
    else:
        click.echo(f"failed: {line.error}", err=True)
    if not line.path:
        sys.exit(FAILED)


def stream_line(here: Session, connection: Redis, batch_id: str, workers: Workers) -> bool:
    """Write the line's take to stdout while it is rendered. Returns whether there was one, when the line has ended.

    Raises Failed when a second take begins, which would play after what has been played of the first.
    """
    from vvbatch.ledger.queries import open_batches
    from vvbatch.ledger.records import line_key
    from vvbatch.transport import stream

    output = sys.stdout.buffer
    output.write(stream.wav_header())
    output.flush()
    begun = False
    while True:
        item = stream.receive(connection, line_key(batch_id, 1), timeout_s=1)
        if isinstance(item, stream.Begun):
            if begun:
                raise Failed("the worker ended while the line was streamed; run the command again")
            begun = True
        elif item:
            output.write(item)
            output.flush()
        elif not open_batches(here.ledger, [batch_id]):
            return begun
        else:
            workers.keep_running(here.ledger, [batch_id])


def pcm16_of(path: Path) -> bytes:
    from vvbatch import audio

    return audio.to_pcm16(audio.read(path)[0]).astype("<i2").tobytes()
