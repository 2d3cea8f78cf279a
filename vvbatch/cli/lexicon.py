"""`vvbatch lexicon`: how words are pronounced."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import click

from vvbatch.cli.common import json_option, print_json, session
from vvbatch.cli.inputs import plan_scripts

language_option = click.option("--language", metavar="TAG", help="Only in this language: de, en-GB.")
voice_option = click.option("--voice", metavar="NAME", help="Only for this voice, as scripts name it.")
engine_option = click.option("--engine", type=click.Choice(["draft", "vibevoice"]), help="Only for this engine.")


@click.group()
def lexicon() -> None:
    """How words are pronounced, in every script: lexicon.yaml in the home folder.

    A script has pronunciations of its own under `pronounce:`; they go before the lexicon's.

    \b
    Example:  vvbatch lexicon add Worcestershire "Wooster-sher"
              vvbatch check book.yaml --spoken
    """


@lexicon.command("add")
@click.argument("word")
@click.argument("say")
@language_option
@voice_option
@engine_option
@json_option
def add_word(word: str, say: str, language: str | None, voice: str | None, engine: str | None, as_json: bool) -> None:
    """Say SAY where a text has WORD, as a whole word.

    A WORD in small letters is for every case; one with a capital only for itself and for itself in capitals.

    \b
    Example:  vvbatch lexicon add Siobhan Shivawn --language en
    """
    from vvbatch.home import Home
    from vvbatch.speech_text.lexicon import Pronunciation, add

    entry = Pronunciation(word=word, say=say, language=language, voice=voice, engine=engine)
    before = add(Home.from_environment(), entry)
    if as_json:
        print_json({**shown(entry), "before": before.say if before else None})
    else:
        was = f" (it was {before.say})" if before else ""
        click.echo(f"{word} is spoken as {say}{was}; lines that have it are rendered again at the next run")


@lexicon.command("remove")
@click.argument("word")
@language_option
@voice_option
@engine_option
@json_option
def remove_word(word: str, language: str | None, voice: str | None, engine: str | None, as_json: bool) -> None:
    """Remove every entry of WORD, or those of a language, voice or engine.

    \b
    Example:  vvbatch lexicon remove Siobhan
    """
    from vvbatch.home import Home
    from vvbatch.report.tables import counted
    from vvbatch.speech_text.lexicon import remove

    gone = remove(Home.from_environment(), word, language=language, voice=voice, engine=engine)
    if as_json:
        print_json([shown(entry) for entry in gone])
    else:
        click.echo(f"removed {counted(len(gone), 'pronunciation')} of {word}")


@lexicon.command("list")
@json_option
def list_words(as_json: bool) -> None:
    """List the entries.

    \b
    Example:  vvbatch lexicon list --json
    """
    from vvbatch.home import Home
    from vvbatch.report.columns import name, text
    from vvbatch.report.tables import print_table
    from vvbatch.speech_text.lexicon import load

    entries = load(Home.from_environment())
    if as_json:
        print_json([shown(entry) for entry in entries])
    elif entries:
        rows = [[entry.word, entry.say, entry.language, entry.voice, entry.engine] for entry in entries]
        columns = [name("word"), text("say"), name("language", 2), name("voice", 1), name("engine", 3)]
        print_table(columns, rows)
    else:
        click.echo("the lexicon is empty: vvbatch lexicon add WORD SAY")


@lexicon.command("check")
@click.argument("scripts", nargs=-1, type=click.Path(path_type=Path), metavar="[SCRIPT…]")
@json_option
def check_words(scripts: tuple[Path, ...], as_json: bool) -> None:
    """Check lexicon.yaml; with scripts, also in how many of their lines each word is, and which words have no entry.

    \b
    Example:  vvbatch lexicon check book.yaml
    """
    from vvbatch.batch.estimate import misheard, written_texts
    from vvbatch.batch.plan import Overrides
    from vvbatch.report.batch import print_candidates
    from vvbatch.report.tables import counted, print_table
    from vvbatch.speech_text.candidates import candidates
    from vvbatch.speech_text.lexicon import load
    from vvbatch.speech_text.pronunciation import lines_with

    with session() as here:
        entries = load(here.home)
        planned = plan_scripts(scripts, Overrides(), here.home, chapters=True)
        plans = [each.plan for each in planned]
        texts = [text for plan in plans for text in written_texts(plan)]
        wrong = sum((misheard(here.ledger, plan.script) for plan in plans), start=Counter[str]())
    known = {entry.word for entry in entries}.union(*(plan.pronounced for plan in plans))
    used = lines_with(sorted(known), texts)
    missing = candidates(texts, known, wrong)
    if as_json:
        words = [{"word": word, "lines": count} for word, count in used.items()]
        print_json({"entries": len(entries), "used": words, "candidates": missing})
        return
    click.echo(f"lexicon.yaml is in order: {counted(len(entries), 'pronunciation')}")
    if scripts and used:
        print_table(["word", ">lines"], list(used.items()))
    print_candidates(missing)


def shown(entry: object) -> dict[str, object]:
    return {name: getattr(entry, name) for name in ("word", "say", "language", "voice", "engine")}
