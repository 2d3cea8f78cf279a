from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from vvbatch.cli.common import faults, json_option, print_json
from vvbatch.cli.inputs import plan_scripts, scripts_argument, wishes_options

if TYPE_CHECKING:
    from vvbatch.batch.plan import Overrides


@click.command()
@scripts_argument
@wishes_options
@json_option
@faults
def check(scripts: tuple[Path, ...], wishes: Overrides, as_json: bool) -> None:
    """Parse and plan scripts without rendering: what would be rendered, what is cached, how long it will take.

    \b
    Example:  vvbatch check book.yaml --model 1.5b
    """
    from vvbatch import report
    from vvbatch.batch.estimate import estimate
    from vvbatch.home import Home
    from vvbatch.ledger import Ledger

    home = Home.from_environment()
    plans = plan_scripts(scripts, wishes, home)
    ledger = Ledger(home.ledger_url)
    checked = [estimate(plan, ledger) for plan in plans]
    if as_json:
        print_json(checked[0] if len(checked) == 1 else checked)
    else:
        for each in checked:
            report.print_estimate(each)
