from __future__ import annotations

import sys
from collections.abc import Sequence

import click

from vvbatch.cli.common import Unavailable, kind_options, session


@click.command()
@kind_options
def top(kinds: Sequence[str]) -> None:
    """Full screen: workers, queues, batches and their lines, newest takes and failures. ? shows the keys.

    Reads the ledger, so it also works while Redis is down, and says so. It needs the extra `top`.

    \b
    Example:  vvbatch top
              vvbatch top --kind speech
    """
    try:
        import textual  # noqa: F401
    except ImportError as error:
        raise Unavailable(
            "top needs Textual: pip install 'vvbatch[top]'; vvbatch status --watch needs nothing"
        ) from error
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise click.UsageError("top needs a terminal; `vvbatch status` prints the same into a pipe or a file")
    from vvbatch.top.actions import Actions
    from vvbatch.top.app import Top
    from vvbatch.top.reader import Reader
    from vvbatch.top.server import ServerReader

    with session() as here:
        Top(Reader(here.ledger, kinds), ServerReader(here.home), Actions(here.ledger, here.home)).run()
