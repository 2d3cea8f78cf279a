from __future__ import annotations

import sys

import click

from vvbatch.cli.common import FAILED, json_option, print_json


@click.command()
@click.option("--deep", is_flag=True, help="Also render with a small random model on each device of this machine.")
@json_option
def doctor(deep: bool, as_json: bool) -> None:
    """Examine everything that a render needs, and print the command that fixes what is broken.

    \b
    Example:  vvbatch doctor --deep
    """
    from vvbatch.home import Home, HomeError
    from vvbatch.report.counting import waiting
    from vvbatch.report.findings import print_findings
    from vvbatch.support.doctor import examine

    try:
        home: Home | HomeError = Home.from_environment()
    except HomeError as error:
        home = error
    with waiting("examining; models that were copied by hand are read once"):
        findings = list(examine(home, deep))
    if as_json:
        print_json([finding._asdict() for finding in findings])
    else:
        print_findings(findings)
        broken = [each.name for each in findings if not each.ok]
        click.echo(f"broken: {', '.join(broken)}" if broken else "nothing is broken")
    if not all(finding.ok for finding in findings):
        sys.exit(FAILED)
