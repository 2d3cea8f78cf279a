from __future__ import annotations

import logging
import sys
from collections.abc import Collection
from contextlib import nullcontext
from importlib.util import find_spec
from pathlib import Path

import click

from vvbatch.cli.common import BadInput, Session, Unavailable, session
from vvbatch.cli.inputs import notify_command, notify_option, notifying, workers_option
from vvbatch.cli.serve import require_server, require_token


@click.command()
@workers_option
@click.option("--serve", is_flag=True, help="Run the HTTP server too (`vvbatch serve`), at the settings' address.")
@click.option(
    "--log", type=click.Path(path_type=Path, dir_okay=False), help="Write to this file, rotated, not to the terminal."
)
@notify_option
def up(names: list[str], serve: bool, log: Path | None, notify: str | None) -> None:
    """Run the queue and the workers in the foreground, supervised, until Ctrl-C.

    Books of scripts with `book:` are made when their batches end. Scheduled suites (`vvbatch regress schedule`) run as
    well.

    Each worker says when it is ready. A profile that cannot start is named with the command that mends it; when none
    can, up ends with exit code 3.

    Ctrl-C lets the workers finish the lines in flight; a second Ctrl-C puts them back into the queue.

    \b
    Example:  vvbatch up --workers 1.5b,draft
              vvbatch up --workers draft --serve
    """
    from vvbatch.processes.log_file import output_to
    from vvbatch.processes.session import book_program, nightly_program, server_program, worker_program
    from vvbatch.processes.supervisor import Supervisor
    from vvbatch.regress.schedule import scheduled
    from vvbatch.settings import load
    from vvbatch.transport import server

    if log is not None:
        check_log(log)
    programs = [worker_program(name) for name in names]
    with session() as here:
        command = notify_command(notify, here.home)
        report_unable(here, names)
        if makes_books():
            programs.append(book_program())
        if scheduled(here.ledger):
            programs.append(nightly_program())
        if serve:
            require_server()
            chosen = load(here.home).serve
            require_token(chosen.host, chosen.proxies)
            programs.append(server_program())
    output = output_to(log) if log else nullcontext()
    with output, server.own_server(here.home) as own:
        logging.basicConfig(stream=sys.stderr, format="%(asctime)s up: %(message)s", datefmt="%Y-%m-%d %H:%M:%S")
        click.echo(f"starting {', '.join(names)}; Ctrl-C stops", err=True)
        with session() as here:
            report_unserved(here, names)
            with notifying(here, command) as tell:
                ended = Supervisor(here.home, programs, server=own, to_terminal=True).run(tell)
        sys.exit(ended)


def report_unable(here: Session, names: Collection[str]) -> None:
    """Name the profiles that cannot start here before anything is loaded. Raises Unavailable when none can."""
    from vvbatch.models.ready import not_ready

    unable = not_ready(dict.fromkeys(names), here.home)
    if unable.keys() == set(names):
        raise Unavailable("\n".join(unable.values()))
    for why in unable.values():
        click.echo(why, err=True)


def makes_books() -> bool:
    """Whether the extra `book` is installed; says on stderr if it is not."""
    installed = find_spec("av") is not None
    if not installed:
        click.echo("no books are made: they need the extra `book`: pip install 'vvbatch[book]'", err=True)
    return installed


def check_log(log: Path) -> None:
    """Raises BadInput when the log cannot be written."""
    from vvbatch import store

    try:
        store.make_folder(log.absolute().parent)
        log.open("ab").close()
    except OSError as error:
        raise BadInput(f"{log} cannot be written: {error.strerror}; name another file with --log") from error


def report_unserved(here: Session, names: Collection[str]) -> None:
    """Name profiles that lines wait for and that have no worker here; workers report those that come later."""
    from vvbatch.ledger.queues import waiting_by_profile
    from vvbatch.report.overview import unserved
    from vvbatch.transport import queue, server

    waiting = {profile: count for profile, count in waiting_by_profile(here.ledger).items() if profile not in names}
    if waiting:
        with server.connect(here.home) as connection:
            for profile, count in waiting.items():
                if not queue.has_worker(connection, profile):
                    click.echo(f"waiting: {unserved(profile, count)}", err=True)
