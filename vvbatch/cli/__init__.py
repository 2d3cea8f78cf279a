"""The command line. A command is imported when it is called, so `--help` is quick."""

from __future__ import annotations

import gc
import importlib
import os
from typing import Any

import click

from vvbatch import __version__
from vvbatch.cli.common import command_errors
from vvbatch.errors import require_utf8
from vvbatch.processes.stop_signals import as_interrupt

COLLECT_AFTER = 50_000
"""New objects. At Python's default of 700, imports alone start a hundred collections: an eighth of a quick command."""

COMMANDS = {
    "run": ("run", "Render scripts from start to end: queue, workers, summary"),
    "up": ("up", "Run the queue and the workers in the foreground"),
    "serve": ("serve", "Serve speech and batches over HTTP, as OpenAI's API has it"),
    "check": ("check", "Parse and plan scripts; show what would be rendered"),
    "import": ("import_", "Make a script of a manuscript: EPUB, DOCX, Markdown, subtitles"),
    "lexicon": ("lexicon", "Say how words are pronounced"),
    "submit": ("submit", "Put scripts into the queue"),
    "assemble": ("assemble", "Make the finished book of a batch: files with chapters"),
    "report": ("report", "Write a batch as one HTML page to listen to and look at"),
    "synth": ("synth", "Render one line, at the front of the queue"),
    "status": ("status", "Show the queue, the workers and the batches"),
    "top": ("top", "Watch and steer everything, full screen"),
    "pause": ("control", "Pause a batch, or a profile's queue"),
    "resume": ("control", "Resume a paused batch or queue"),
    "cancel": ("control", "Cancel a batch or one of its lines"),
    "retry": ("control", "Queue failed and cancelled lines again"),
    "review": ("review", "Listen to a batch line by line; say what is good"),
    "reject": ("reject", "Reject takes that you do not like; their lines are rendered again"),
    "prefer": ("prefer", "Make another take the file of its line"),
    "ledger": ("ledger", "Query what was rendered: batches, lines, takes, metrics, SQL"),
    "delete": ("delete", "Delete batches with their files"),
    "prune": ("prune", "Delete old batches, by default one-off speech"),
    "verify": ("verify", "Hash every output file again and compare with the ledger"),
    "replay": ("replay", "Render a take again from its ledger record, and compare"),
    "qc": ("qc", "Check any audio file as a render is checked"),
    "regress": ("regress", "Render suites every night and compare them with blessed takes"),
    "models": ("models", "List, fetch, check and convert models"),
    "voices": ("voices", "List, import and check voices"),
    "doctor": ("doctor", "Find what is broken, and show the command that fixes it"),
    "bundle": ("bundle", "Write a zip for a bug report, without secrets"),
    "warmup": ("warmup", "Load a model and cache the voices for a quick first line"),
    "service": ("service", "Run vvbatch up whenever you are logged in"),
    "bench": ("bench", "Measure the engine"),
    "redis": ("redis", "Run the home folder's own Redis in the foreground"),
    "completion": ("completion", "Print the shell completion script"),
}
"""Command name: (module in vvbatch.cli, short help). The module holds a click command of that name."""


class LazyGroup(click.Group):
    def list_commands(self, context: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, context: click.Context, name: str) -> click.Command | None:
        if name not in COMMANDS:
            return None
        module = importlib.import_module(f"vvbatch.cli.{COMMANDS[name][0]}")
        command: click.Command = getattr(module, COMMANDS[name][0] if name == "import" else name)
        return command

    def parse_args(self, context: click.Context, args: list[str]) -> list[str]:
        with command_errors():
            for argument in args:
                require_utf8(argument, "the argument")
        return super().parse_args(context, args)

    def invoke(self, context: click.Context) -> Any:
        with command_errors(), as_interrupt():
            return super().invoke(context)

    def format_commands(self, context: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in COMMANDS.items()])


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="vvbatch")
@click.pass_context
def main(context: click.Context) -> None:
    """Render narration scripts to speech in batch with VibeVoice, and keep a ledger of every take.

    \b
    Example:  vvbatch run examples/lighthouse.yaml
              vvbatch up --workers draft    # and in another terminal:
              vvbatch submit book.yaml
    """
    gc.set_threshold(COLLECT_AFTER)
    if context.invoked_subcommand != "models":  # its `pull` may connect to the hub
        os.environ.update(HF_HUB_OFFLINE="1", TRANSFORMERS_OFFLINE="1")
