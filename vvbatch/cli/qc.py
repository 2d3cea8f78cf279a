"""`vvbatch qc`: the checks of a render, on any audio file."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from vvbatch.cli.common import FAILED, json_option, print_json
from vvbatch.cli.inputs import complete_profile, language_tag

if TYPE_CHECKING:
    from vvbatch.listening.files import FileReport
    from vvbatch.listening.models import ListeningModels


@click.command()
@click.argument("files", nargs=-1, required=True, type=click.Path(exists=True, path_type=Path))
@click.option("--text", help="The text that should be spoken; without it neither words nor duration are checked.")
@click.option("--language", callback=language_tag, metavar="CODE", help="Of the text.  [default: detected in it]")
@click.option("--voice", metavar="VOICE", help="The voice it should sound like: a voice of the library, or a file.")
@click.option(
    "--model",
    "--profile",
    "profile",
    metavar="PROFILE",
    shell_complete=complete_profile,
    help="Use this profile's limits instead of the general ones.",
)
@click.option(
    "--listen/--no-listen",
    default=None,
    help="Check with listening models too.  [default: if the extra `qc` is installed]",
)
@json_option
def qc(
    files: tuple[Path, ...],
    text: str | None,
    language: str | None,
    voice: str | None,
    profile: str | None,
    listen: bool | None,
    as_json: bool,
) -> None:
    """Check audio files: every check with its value and its limit. Exit 1 when a check fails.

    Checks that cannot run are listed, and do not count as failed.

    \b
    Example:  vvbatch qc out/*/chapter-01/*.wav
              vvbatch qc 0001-hello.wav --text "Who's there?" --voice alice --json
    """
    from vvbatch import profiles
    from vvbatch.listening.files import Expected, reports

    limits = profiles.load(profile).qc if profile else profiles.QcLimits()
    expected = Expected(limits, text, voice_file(voice) if voice else None, language)
    models, reasons = open_models(listen)
    found = list(reports(files, expected, models, reasons))
    if as_json:
        print_json([report.as_json() for report in found])
    else:
        show(found)
    if not all(report.ok for report in found):
        sys.exit(FAILED)


def voice_file(voice: str) -> Path:
    """The file of that name, or else the library's voice. Raises VoiceError."""
    from vvbatch.home import Home
    from vvbatch.voices import Library

    return Path(voice) if Path(voice).is_file() else Library.of(Home.from_environment()).resolve(voice).path


def open_models(listen: bool | None) -> tuple[ListeningModels | None, dict[str, str]]:
    """The models, or the reason for each that is missing. Raises ListeningUnavailable if `listen` requires them."""
    from vvbatch.listening.contract import LISTEN, ListeningUnavailable
    from vvbatch.listening.models import ListeningModels

    if listen is False:
        return None, dict.fromkeys(LISTEN, "--no-listen")
    try:
        return ListeningModels.open(), {}
    except ListeningUnavailable as error:
        if listen:
            raise
        return None, dict.fromkeys(LISTEN, str(error))


def show(reports: Sequence[FileReport]) -> None:
    """One row a check on a terminal and in a pipe; failed checks are marked."""
    from vvbatch.qc.sentences import meaning
    from vvbatch.report.columns import name, number, text
    from vvbatch.report.tables import print_table, printable

    for report in reports:
        click.echo(printable(f"{report.file}: {'good' if report.ok else report.error or 'failed'}"))
        rows = [
            [
                *(check.name, f"{check.value:.6g}", f"{check.limit:.6g}"),
                "" if check.ok else f"failed: it {meaning(check.name, check.value, check.limit)}",
            ]
            for check in report.checks
        ]
        if rows:
            print_table([name("check"), number("value"), number("limit"), text("")], rows)
        for what, words in found_in(report):
            click.echo(printable(f"{what}: {words}"))
        for what, why in report.not_checked.items():
            click.echo(printable(f"not checked: {what} ({why})"))


def found_in(report: FileReport) -> list[tuple[str, str]]:
    """Which words are wrong and where, of the checks that have details."""
    details = [check.detail for check in report.checks if check.detail]
    kinds = ("missing", "added", "repeated", "wrong", "at_s")
    return [
        (
            kind.removesuffix("_s"),
            ", ".join(str(" for ".join(each[::-1]) if isinstance(each, list) else each) for each in detail[kind]),
        )
        for detail in details
        for kind in kinds
        if kind in detail
    ]
