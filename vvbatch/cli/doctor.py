from __future__ import annotations

import sys

import click

from vvbatch.cli.common import FAILED, faults, json_option, print_json


@click.command()
@json_option
@faults
def doctor(as_json: bool) -> None:
    """Examine everything that a render needs, and name the command that mends what is broken.

    \b
    Example:  vvbatch doctor
    """
    from vvbatch import report
    from vvbatch.doctor import examine
    from vvbatch.home import Home

    findings = list(examine(Home.from_environment()))
    if as_json:
        print_json([finding._asdict() for finding in findings])
    else:
        rows = [[each.state, each.name, each.value, each.remedy or ""] for each in findings]
        report.print_table(["", "what", "found", "remedy"], rows)
        broken = [each.name for each in findings if not each.ok]
        click.echo(f"broken: {', '.join(broken)}" if broken else "nothing is broken")
    if not all(finding.ok for finding in findings):
        sys.exit(FAILED)
