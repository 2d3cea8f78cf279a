from __future__ import annotations

import click

from vvbatch.cli.common import Unavailable, json_option, print_json
from vvbatch.cli.inputs import complete_profile


@click.command()
@click.argument("name", metavar="PROFILE", shell_complete=complete_profile)
@click.option("--voice", "names", multiple=True, metavar="NAME", help="Only this voice; repeatable.  [default: all]")
@json_option
def warmup(name: str, names: tuple[str, ...], as_json: bool) -> None:
    """Load a profile's model and cache the voices, so that a worker's first line is quick; prints the times.

    Also measures the speed: by it `vvbatch check` says how long a batch will take, until the ledger has takes of it.

    \b
    Example:  vvbatch warmup 1.5b
    """
    from vvbatch import machine, profiles
    from vvbatch.batch.speeds import keep_speed, real_time
    from vvbatch.engine.contract import RequestRefused
    from vvbatch.home import Home
    from vvbatch.report.counting import waiting
    from vvbatch.report.tables import counted, print_table, rate
    from vvbatch.support.warmup import warmup as warm_up
    from vvbatch.voices import Library

    profile = profiles.load(name)
    machine.pin_threads(profile)
    home = Home.from_environment()
    library = Library.of(home)
    try:
        voices = {voice.sha256: voice for voice in map(library.resolve, names or library.names())}
        with waiting(f"loading {name} and reading {counted(len(voices), 'voice')}"):
            found = warm_up(profile, home.cache, list(voices.values()))
            keep_speed(home, profile.name, found.speed)
    except RequestRefused as error:
        raise Unavailable(str(error)) from error
    if as_json:
        print_json(found)
        return
    rows = [
        [when, f"{line.load_s:.2f} s", f"{line.first_chunk_s:.2f} s"]
        for when, line in (("before", found.before), ("after", found.after))
    ]
    print_table(["", ">model loaded in", ">first chunk after"], rows)
    read = f"{counted(len(found.voices), 'voice')} read in {found.voices_s:.2f} s, " if found.voices else ""
    click.echo(f"{read}{found.device} in {found.dtype}")
    click.echo(f"speed: {rate(real_time(found.speed))} x real time with {counted(found.speed.slots, 'line')} at once")
