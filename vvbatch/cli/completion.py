from __future__ import annotations

import click
from click.shell_completion import get_completion_class


@click.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion(shell: str) -> None:
    """Print the completion script for a shell: commands, options, batch ids and profile names.

    \b
    Example:  vvbatch completion bash >> ~/.bashrc
              vvbatch completion zsh >> ~/.zshrc
              vvbatch completion fish > ~/.config/fish/completions/vvbatch.fish
    """
    from vvbatch.cli import main

    made = get_completion_class(shell)
    assert made is not None
    click.echo(made(main, {}, "vvbatch", "_VVBATCH_COMPLETE").source())
