"""`vvbatch qc`: the checks of a render, on any audio file."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click

from vvbatch.cli.common import FAILED, faults, json_option, print_json


@click.command()
@click.argument("files", nargs=-1, required=True, type=click.Path(exists=True, path_type=Path))
@click.option("--text", help="What should be heard; without it the duration is not judged.")
@click.option("--model", metavar="PROFILE", help="Judge by this profile's limits instead of the general ones.")
@json_option
@faults
def qc(files: tuple[Path, ...], text: str | None, model: str | None, as_json: bool) -> None:
    """Judge audio files: every check with its value and its limit. Exit code 1 when a check fails.

    \b
    vvbatch qc out/*/chapter-01/*.wav
    vvbatch qc 0001-hello.wav --text "Who's there?" --model draft --json
    """
    from vvbatch import profiles
    from vvbatch.qc import file_report

    limits = profiles.load(model).qc if model else profiles.QcLimits()
    reports = [file_report(file, text, limits) for file in files]
    if as_json:
        print_json(reports)
    else:
        show(reports)
    if not all(report["ok"] for report in reports):
        sys.exit(FAILED)


def show(reports: list[dict[str, Any]]) -> None:
    """One row a check on a terminal and in a pipe; what failed stands out."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console()
    for report in reports:
        console.print(Text(f"{report['file']}: {'good' if report['ok'] else report.get('error') or 'failed'}"))
        table = Table("check", "value", "limit", "", box=None)
        for check in report["checks"]:
            verdict = "" if check["ok"] else "[red]failed[/red]"
            table.add_row(check["name"], f"{check['value']:.6g}", f"{check['limit']:.6g}", verdict)
        console.print(table)
