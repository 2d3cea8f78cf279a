"""`vvbatch service`: `vvbatch up` whenever the user is logged in."""

from __future__ import annotations

import os
import sys

import click

from vvbatch.cli.common import FAILED, json_option, print_json
from vvbatch.cli.inputs import workers_option


@click.group()
def service() -> None:
    """Run `vvbatch up` as a service: launchd on macOS, systemd on Linux."""


@service.command()
@workers_option
@click.option("--serve", is_flag=True, help="Run the HTTP server too.")
@click.option("--no-start", is_flag=True, help="Only write the service's file.")
def install(names: list[str], serve: bool, no_start: bool) -> None:
    """Write the service's file and start it, now and at each login.

    Its log is logs/service.log in the home folder, rotated.

    \b
    Example:  vvbatch service install --workers 1.5b,draft
    """
    from vvbatch.home import Home
    from vvbatch.processes import service as services

    home = Home.from_environment()
    made = services.service(",".join(names), home.path, os.environ, serve=serve)
    path = services.install(made, start=not no_start)
    click.echo(str(path))
    click.echo(f"log: {home.logs / 'service.log'}", err=True)
    if not services.on_macos():
        click.echo("to keep it running when you are logged out:  loginctl enable-linger", err=True)


@service.command()
@json_option
def status(as_json: bool) -> None:
    """Show whether the service is installed and running. Exit 1 when it is installed and not running.

    \b
    Example:  vvbatch service status --json
    """
    from vvbatch.processes import service as services

    found = services.status()
    if as_json:
        print_json(found)
    elif not found.installed:
        click.echo("not installed: vvbatch service install --workers PROFILE,…")
    else:
        running = {True: "running", False: "not running", None: "installed, state unknown"}[found.running]
        click.echo(f"{running} ({found.said}): {found.file}")
    if found.installed and found.running is False:
        sys.exit(FAILED)


@service.command()
def remove() -> None:
    """Stop the service and remove its file.

    \b
    Example:  vvbatch service remove
    """
    from vvbatch.processes import service as services

    removed = services.remove()
    click.echo(f"{'removed' if removed else 'not installed'}: {services.file()}")
