from __future__ import annotations

import logging
import sys
from collections.abc import Sequence

import click

from vvbatch.cli.common import BadInput, Unavailable, session


@click.command()
@click.option("--host", help="Address to listen on; one that other machines reach needs a token.  [default: 127.0.0.1]")
@click.option("--port", type=click.IntRange(0, 65535), help="0 chooses a free one.  [default: 8880]")
def serve(host: str | None, port: int | None) -> None:
    """Serve speech and batches over HTTP, for the clients of OpenAI's API; the workers render.

    Needs the extra `server`. An address that other machines reach needs VVBATCH_TOKEN_FILE, a file with a token.
    Without a worker it serves finished takes only: `vvbatch up --workers draft --serve` runs both. docs/server.md has
    a recipe for each client.

    \b
    Example:  vvbatch serve
              vvbatch serve --port 9000
    """
    import asyncio

    from vvbatch import settings

    require_server()
    from vvbatch.web import access, server

    with session() as here:
        chosen = settings.load(here.home)
        host = chosen.serve.host if host is None else host
        token = require_token(host, chosen.serve.proxies)
        logging.basicConfig(level=logging.INFO, stream=sys.stderr, format="%(asctime)s %(name)s %(message)s")
        server.allow_files()
        listening = server.listen(host, chosen.serve.port if port is None else port)
        with here.queue() as queue:
            made = server.services(here.home, here.ledger, chosen, access.Access(token))
            click.echo(f"http://{access.url_host(host)}:{listening[0].getsockname()[1]}", err=True)
            asyncio.run(server.run(server.server_of(made, host, listening), made, queue.server, listening))


def require_server() -> None:
    """Raises Unavailable without the packages of the extra."""
    try:
        import vvbatch.web.server  # noqa: F401
    except ImportError as error:
        if (error.name or "").startswith("vvbatch"):
            raise
        raise Unavailable(f"serve needs {error.name}: pip install 'vvbatch[server]'") from error


def require_token(host: str, proxies: Sequence[str]) -> str | None:
    """The token; None if there is none and none is needed. Raises TokenError, and BadInput where one is missing."""
    from vvbatch.web import access

    token = access.token_from_environment()
    if token is None and (proxies or not access.is_loopback(host)):
        why, instead = (
            ("serve.proxies opens the server to other machines", "remove them from settings.yaml")
            if proxies
            else (f"{host} is reached from other machines", "listen on 127.0.0.1")
        )
        token_file = f"set {access.TOKEN_FILE} to a file with a token of {access.SHORTEST} or more characters"
        raise BadInput(f"{why}: {token_file}, or {instead}")
    return token
