from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from vvbatch.cli.common import UNAVAILABLE, BadInput, json_option, print_json, session
from vvbatch.cli.inputs import override_options, plan_scripts, scripts_argument

if TYPE_CHECKING:
    from vvbatch.batch.plan import Overrides


@click.command()
@scripts_argument
@override_options
@click.option("--spoken", is_flag=True, help="Print what each line will say, and what was written of it.")
@click.option("--strict", is_flag=True, help="Exit with 2 if there is a warning.")
@json_option
def check(
    scripts: tuple[Path, ...], chapters: bool, overrides: Overrides, spoken: bool, strict: bool, as_json: bool
) -> None:
    """Parse and plan scripts without rendering: what would be rendered, what is cached, how long it will take.

    Shows chapters, words that may need a pronunciation, and warnings with their places: what of a text is not spoken,
    what VibeVoice speaks badly, and what may be a mistake (docs/lint.md). Exit 3 if nothing can render the lines: their
    model is neither on this machine nor served by a worker.

    \b
    Example:  vvbatch check book.yaml --model 1.5b
    """
    from vvbatch import report
    from vvbatch.batch.estimate import estimate, spoken_line
    from vvbatch.batch.ready import unrendered
    from vvbatch.report.tables import counted

    with session() as here:
        planned = plan_scripts(scripts, overrides, here.home, chapters=chapters)
        plans = [each.plan for each in planned]
        if spoken:
            lines = [spoken_line(line) for plan in plans for line in plan.lines]
            if as_json:
                print_json(lines)
            else:
                report.print_spoken(lines)
            return
        missing = unrendered(plans, here.home, here.ledger)
        for why in missing:
            click.echo(f"Error: {why}", err=True)
        checked = [estimate(plan, here.ledger) for plan in plans]
    if as_json:
        print_json(checked[0] if len(checked) == 1 else checked)
    else:
        for each in checked:
            report.print_estimate(each)
    if missing:
        sys.exit(UNAVAILABLE)
    if strict and (found := sum(len(each.warnings) for each in checked)):
        raise BadInput(f"{counted(found, 'warning')}, with --strict")
