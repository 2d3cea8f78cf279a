from __future__ import annotations

import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from vvbatch.cli.common import FAILED, UNAVAILABLE, BadInput, Session, json_option, print_json, session
from vvbatch.cli.inputs import override_options, plan_scripts, scripts_argument

if TYPE_CHECKING:
    from vvbatch.batch.deadline import EstimateBy
    from vvbatch.batch.estimate import Estimate, Speeds
    from vvbatch.batch.plan import Overrides, Plan


@click.command()
@scripts_argument
@override_options
@click.option("--spoken", is_flag=True, help="Print what each line will say, and what was written of it.")
@click.option("--strict", is_flag=True, help="Exit with 2 if there is a warning.")
@click.option(
    "--by",
    metavar="TIME",
    help="Will it be ready by 07:00 (or 2026-03-01T07:00)? Shows what else would be; exit 1 if not.",
)
@json_option
def check(
    scripts: tuple[Path, ...],
    chapters: bool,
    form: str | None,
    overrides: Overrides,
    spoken: bool,
    strict: bool,
    by: str | None,
    as_json: bool,
) -> None:
    """Parse and plan scripts without rendering: what would be rendered, what is cached, how long it will take.

    Shows chapters, words that may need a pronunciation, and warnings with their places: what of a text is not spoken,
    what VibeVoice speaks badly, and what may be a mistake (docs/lint.md). Exit 3 if nothing can render the lines: their
    model is neither on this machine nor served by a worker.

    \b
    Example:  vvbatch check book.yaml --model 1.5b
              vvbatch check book.yaml --by 07:00
    """
    from vvbatch.batch.estimate import estimate, spoken_line
    from vvbatch.batch.ready import unrendered
    from vvbatch.batch.speeds import known_speed
    from vvbatch.report.batch import print_deadline, print_estimate, print_spoken
    from vvbatch.report.tables import counted

    dated: list[EstimateBy] = []
    with session() as here:
        planned = plan_scripts(scripts, overrides, here.home, chapters=chapters, form=form)
        plans = [each.plan for each in planned]
        if spoken:
            lines = [spoken_line(line) for plan in plans for line in plan.lines]
            if as_json:
                print_json(lines)
            else:
                print_spoken(lines)
            return
        missing = unrendered(plans, here.home, here.ledger)
        for why in missing:
            click.echo(f"Error: {why}", err=True)
        speeds = partial(known_speed, here.home)
        checked: Sequence[Estimate] = [estimate(plan, here.ledger, speeds) for plan in plans]
        if by is not None:
            checked = dated = with_deadlines(checked, plans, here, by, speeds)
    if as_json:
        print_json(checked[0] if len(checked) == 1 else checked)
    else:
        for each in checked:
            print_estimate(each)
        for one in dated:
            print_deadline(one.by)
    if missing:
        sys.exit(UNAVAILABLE)
    if strict and (found := sum(len(each.warnings) for each in checked)):
        raise BadInput(f"{counted(found, 'warning')}, with --strict")
    if any(each.by.ready is False for each in dated):
        sys.exit(FAILED)


def with_deadlines(
    checked: Sequence[Estimate], plans: Sequence[Plan], here: Session, by: str, speeds: Speeds
) -> list[EstimateBy]:
    """Each estimate with what is ready by then, with every profile whose model is on this machine."""
    from datetime import datetime

    from vvbatch import profiles
    from vvbatch.batch.deadline import time_after, with_deadline
    from vvbatch.models.ready import not_ready

    now = datetime.fromisoformat(here.ledger.now()).astimezone()
    end = time_after(by, now)
    unable = not_ready(profiles.names(), here.home)
    usable = [name for name in profiles.names() if name not in unable]
    return [
        with_deadline(each, plan, here.ledger, end, now, speeds, usable)
        for each, plan in zip(checked, plans, strict=True)
    ]
