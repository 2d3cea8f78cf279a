"""`vvbatch import`: a manuscript becomes a script."""

from __future__ import annotations

from pathlib import Path

import click

from vvbatch.cli.common import BadInput, json_option, print_json
from vvbatch.manuscript.model import KEEPABLE, Kind


def kinds(_context: click.Context, _parameter: click.Parameter, values: tuple[str, ...]) -> frozenset[Kind]:
    """What is kept, of options that may each name several with commas. Raises BadParameter."""
    words = [word.strip().lower() for value in values for word in value.split(",") if word.strip()]
    if "all" in words:
        return frozenset(KEEPABLE)
    if unknown := [word for word in words if word not in KEEPABLE]:
        raise click.BadParameter(f"{unknown[0]!r} is none of {', '.join(KEEPABLE)}, all")
    return frozenset(Kind(word) for word in words)


@click.command("import")
@click.argument("manuscript", type=click.Path(path_type=Path))
@click.option(
    "-o",
    "--out",
    "script",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="SCRIPT",
    help="The script.  [default: the name of the manuscript with .yaml, here]",
)
@click.option("--keep", multiple=True, callback=kinds, metavar="KIND,…", help="Speak what is left out; see above.")
@click.option("--voice", metavar="VOICE", help="The narrator's voice.  [default: the voice `default`]")
@click.option("--quotes", metavar="VOICE", help="Another voice for quoted speech. Who speaks is not guessed.")
@click.option(
    "--depth",
    type=click.IntRange(1, 9),
    default=2,
    show_default=True,
    help="Levels of the table of contents whose entries are chapters.",
)
@click.option("--update", is_flag=True, help="Merge the manuscript's changes into a script that was edited.")
@click.option("--force", is_flag=True, help="Replace a script that was edited.")
@json_option
def import_(
    manuscript: Path,
    script: Path | None,
    keep: frozenset[Kind],
    voice: str | None,
    quotes: str | None,
    depth: int,
    update: bool,
    force: bool,
    as_json: bool,
) -> None:
    """Make a script of a manuscript: EPUB, DOCX, Markdown, HTML, plain text, SRT or WebVTT.

    Each paragraph becomes a line. What is left out is listed with place and reason; `--keep` with one of these words,
    or with `all`, speaks it: toc, footnotes, page-numbers, copyright, captions, code, title-page, tables, ruby,
    images, index, auxiliary (outside the order of reading), hidden, sounds (of subtitles).

    Importing again keeps the ids of lines that did not change, so their takes stay cached. A script that was edited is
    not overwritten: --update merges, --force replaces it.

    \b
    Example:  vvbatch import book.epub -o book.yaml
              vvbatch import book.docx -o book.yaml --quotes alice --keep captions
    """
    from vvbatch.home import Home
    from vvbatch.manuscript import read_manuscript
    from vvbatch.manuscript.importing import import_manuscript, view_of
    from vvbatch.manuscript.model import Options
    from vvbatch.report.imported import print_imported

    if update and force:
        raise BadInput("--update merges and --force replaces: give one of them")
    target = script or Path(manuscript.stem + ".yaml")
    if target.suffix.lower() not in (".yaml", ".yml"):
        raise BadInput(f"{target}: a script that is imported is YAML: name it {target.stem}.yaml")
    read = read_manuscript(manuscript, Options(keep, quotes, depth))
    done = import_manuscript(read, manuscript, target, Home.from_environment(), voice=voice, update=update, force=force)
    if as_json:
        print_json(view_of(read, done))
    else:
        print_imported(view_of(read, done))
