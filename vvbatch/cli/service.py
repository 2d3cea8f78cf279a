"""`vvbatch service`: `vvbatch up` whenever the user is logged in."""

from __future__ import annotations

import os
import sys

import click

from vvbatch.cli.common import FAILED, Failed, faults, json_option, print_json


@click.group()
def service() -> None:
    """Run `vvbatch up` as a service: launchd on macOS, systemd on Linux."""


@service.command()
@click.option(
    "--workers", "models", default="draft", show_default=True, metavar="PROFILE,…", help="As of `vvbatch up`."
)
@click.option("--no-start", is_flag=True, help="Only write the file.")
@faults
def install(models: str, no_start: bool) -> None:
    """Write the service's file and start it, now and at each login. Its log, logs/service.log in the home, is rotated.

    \b
    Example:  vvbatch service install --workers 1.5b,draft
    """
    from vvbatch import profiles
    from vvbatch.home import Home
    from vvbatch.processes import service as services

    names = [profiles.load(name.strip()).name for name in models.split(",") if name.strip()]
    if not names:
        raise click.UsageError("--workers names no profile")
    home = Home.from_environment()
    try:
        path = services.install(services.service(",".join(names), home.path, os.environ), start=not no_start)
    except (services.ServiceError, OSError) as error:
        raise Failed(str(error)) from error
    click.echo(str(path))
    click.echo(f"log: {home.logs / 'service.log'}", err=True)
    if not services.on_macos():
        click.echo("to keep it running when you are logged out:  loginctl enable-linger", err=True)


@service.command()
@json_option
@faults
def status(as_json: bool) -> None:
    """Say whether the service is installed and running; exit 1 when it is installed and does not run.

    \b
    Example:  vvbatch service status --json
    """
    from vvbatch.processes import service as services

    found = services.status()
    if as_json:
        print_json(found)
    elif not found["installed"]:
        click.echo("not installed: vvbatch service install --workers PROFILE,…")
    else:
        running = {True: "running", False: "not running", None: "installed, cannot be asked"}[found["running"]]
        click.echo(f"{running} ({found['said']}): {found['file']}")
    if found["installed"] and found["running"] is False:
        sys.exit(FAILED)


@service.command()
@faults
def remove() -> None:
    """Stop the service and remove its file.

    \b
    Example:  vvbatch service remove
    """
    from vvbatch.processes import service as services

    try:
        removed = services.remove()
    except (services.ServiceError, OSError) as error:
        raise Failed(str(error)) from error
    click.echo(f"{'removed' if removed else 'not installed'}: {services.file()}")
