"""`vvbatch models`: list, download, check, prove and convert. Only `pull` and `sync` use the network."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from vvbatch.cli.common import FAILED, UNAVAILABLE, BadInput, json_option, print_json, session
from vvbatch.cli.inputs import complete_profile

if TYPE_CHECKING:
    from vvbatch.models.integrity import Problem
    from vvbatch.models.inventory import ProfileModel
    from vvbatch.models.snapshot import Source
    from vvbatch.profiles import Model, Profile


@click.group()
@click.pass_context
def models(context: click.Context) -> None:
    """List, fetch, check, prove and convert models."""
    if context.invoked_subcommand != "pull":
        os.environ.update(HF_HUB_OFFLINE="1", TRANSFORMERS_OFFLINE="1")


profiles_argument = click.argument("names", nargs=-1, metavar="[PROFILE…]", shell_complete=complete_profile)
profile_argument = click.argument("name", metavar="PROFILE", shell_complete=complete_profile)


def manifests() -> Path:
    from vvbatch.home import Home

    return Home.from_environment().cache / "models"


def with_model(name: str) -> Profile:
    """A profile that has a model to fetch. Raises BadInput."""
    from vvbatch import profiles

    profile = profiles.load(name)
    if profile.engine != "vibevoice":
        raise BadInput(f"profile {name!r} needs no model from a hub: its voice is a package (`vvbatch models list`)")
    return profile


def chosen(names: Sequence[str]) -> list[Profile]:
    """The named profiles; without names, every one that has a model."""
    from vvbatch import profiles

    if names:
        return [with_model(name) for name in names]
    return [profile for name in profiles.names() if (profile := profiles.load(name)).engine == "vibevoice"]


@models.command("list")
@json_option
def list_models(as_json: bool) -> None:
    """Show each profile's model: its path, whether it is complete, its device, whether it fits in memory.

    \b
    Example:  vvbatch models list
    """
    from vvbatch import profiles
    from vvbatch.models.inventory import describe

    rows = [describe(profiles.load(name), manifests()) for name in profiles.names()]
    if as_json:
        print_json(rows)
        return
    from vvbatch.report import tables
    from vvbatch.report.columns import name, number, text
    from vvbatch.report.tables import print_table, print_words

    cells = [
        [
            row.profile,
            row.state,
            None if row.size_bytes is None else tables.size(row.size_bytes),
            f"{row.device}/{row.dtype}" if row.device else "no device",
            memory_text(row),
        ]
        for row in rows
    ]
    columns = [name("profile"), name("state"), number("size"), name("runs on", 1), text("memory", 2)]
    print_table(columns, cells)
    for (repo, revision), of_it in by_model(rows).items():
        row = of_it[0]
        print_words("")
        print_words(f"{repo} at {revision[:12]}: {', '.join(each.profile for each in of_it)}")
        for words in [*([row.path] if row.path else []), *row.problems, *row.notes]:
            print_words(words, indent=2)
        if row.remedy:
            print_words(f"to fix it:  {row.remedy}", indent=2)


def user_path(path: Path) -> Path:
    return Path(os.path.expanduser(path)).absolute()  # noqa: PTH111  pathlib raises for an unknown ~user


def by_model(rows: Sequence[ProfileModel]) -> dict[tuple[str, str], list[ProfileModel]]:
    """The rows of each (repo, revision): profiles often share a model and differ in where it runs."""
    found: dict[tuple[str, str], list[ProfileModel]] = {}
    for row in rows:
        found.setdefault((row.repo, row.revision), []).append(row)
    return found


def memory_text(row: ProfileModel) -> str | None:
    from vvbatch.report import tables

    if row.memory_bytes is None:
        return None
    total = row.memory_total_bytes
    words = f"{tables.size(row.memory_bytes)} of {'unknown' if total is None else tables.size(total)}"
    return words if row.memory_fits is not False else f"too little: {words}"


@models.command()
@profiles_argument
@click.option("--fast", is_flag=True, help="Hash only files that changed since they were last hashed.")
@click.option("--accept", is_flag=True, help="Accept the files of a local folder as they are now.")
@json_option
def verify(names: tuple[str, ...], fast: bool, accept: bool, as_json: bool) -> None:
    """Check that models are complete: links, index against shards, headers against sizes, every byte against its hash.

    Without PROFILE, every model that is on this machine is checked.

    \b
    Example:  vvbatch models verify 1.5b
    """
    from vvbatch.models.integrity import drift, profile_problems, remedy
    from vvbatch.models.inventory import Verified, state_of
    from vvbatch.models.snapshot import sources
    from vvbatch.report.counting import counting

    rows: list[Verified] = []
    known: dict[Model, list[Problem]] = {}  # profiles share models: each is read once
    for profile in chosen(names):
        parts = sources(profile.model)
        if accept:
            accept_folders(parts)
        if profile.model not in known:
            with counting(f"of {profile.model.repo} hashed", of_bytes=True, quiet=as_json) as seen:
                known[profile.model] = profile_problems(profile, manifests(), "changed" if fast else "everything", seen)
        problems = known[profile.model]
        state = state_of(problems)
        if state == "absent" and not names:
            continue
        notes = [note for part in parts if (note := drift(part, manifests()))]
        rows.append(Verified(profile.name, state, problems, notes, remedy(profile, problems) if problems else None))
    if as_json:
        print_json(rows)
    for row in [] if as_json else rows:
        good = "complete, nothing has changed since it was hashed" if fast else "complete, every hash is right"
        click.echo(f"{row.profile}: {row.state if row.problems else good}")
        for problem in row.problems:
            click.echo(f"  {problem.kind}: {problem.message}")
        for note in row.notes if row.state != "absent" else []:
            click.echo(f"  note: {note}")
        if row.remedy:
            click.echo(f"  to fix it:  {row.remedy}")
    if not rows and not as_json:
        click.echo("no model is on this machine: vvbatch models pull PROFILE")
    states = {row.state for row in rows}
    if "incomplete" in states:
        sys.exit(FAILED)
    if "absent" in states:
        sys.exit(UNAVAILABLE)


def accept_folders(parts: Sequence[Source]) -> None:
    """Forget the recorded hashes of local folders. Raises BadInput when no source is one."""
    from vvbatch.models.manifest import forget
    from vvbatch.models.snapshot import snapshot

    folders = [snapshot(part.repo, part.revision) for part in parts if part.local]
    if not folders:
        raise BadInput(f"--accept is for local folders: {parts[0].repo} is checked against the hub")
    for folder in folders:
        forget(folder, manifests())


@models.command()
@profile_argument
@click.option("--repo", metavar="OWNER/NAME", help="Another repo with the same model, e.g. aoi-ot/VibeVoice-Large.")
@click.option("--revision", help="A commit of --repo.  [default: its main]")
def pull(name: str, repo: str | None, revision: str | None) -> None:
    """Download a profile's model and tokenizer at their pinned revisions, and verify every byte.

    Run the same command again to continue after an interruption. HF_ENDPOINT, HF_TOKEN and HF_HUB_CACHE are respected.

    \b
    Example:  vvbatch models pull 1.5b
              vvbatch models pull 7b --repo vibevoice/VibeVoice-7B-hf
    """
    from vvbatch.models import pull as pulling
    from vvbatch.models.snapshot import sources
    from vvbatch.report import tables
    from vvbatch.report.counting import counting

    if revision and not repo:
        raise click.UsageError("--revision belongs to --repo; a profile's own revision is in its file")
    profile = with_model(name)
    wanted = [part for part in with_repo(sources(profile.model), repo, revision) if not part.local]
    found = [pulling.find_on_hub(part) for part in wanted]
    size = pulling.check_space(found)
    if size:
        click.echo(f"{tables.size(size)} to download from {pulling.endpoint()}", err=True)
    for hub in found:
        repo_name = hub.source.repo
        with (
            counting(f"of {repo_name} fetched", of_bytes=True) as fetched,
            counting(f"of {repo_name} verified", of_bytes=True) as verified,
        ):
            folder = pulling.pull(hub, manifests(), fetched, verified)
        click.echo(f"{hub.source.repo} at {hub.commit}: {folder}")
    if repo:
        model = {"repo": repo, "revision": found[0].commit}
        if not any(file.name == "tokenizer.json" for file in found[0].files):
            model |= {"tokenizer_repo": found[1].source.repo, "tokenizer_revision": found[1].commit}
        explain_use(name, model)


def with_repo(parts: list[Source], repo: str | None, revision: str | None) -> list[Source]:
    """The same sources with the model from another repo, and the tokenizer in that repo if there is one."""
    from dataclasses import replace

    from vvbatch.models.snapshot import MODEL_FILES

    if repo is None:
        return parts
    model = replace(parts[0], repo=repo, revision=revision or "main", patterns=MODEL_FILES)
    return [model, *parts[1:]]


@models.command()
@click.argument("source")
@profiles_argument
def sync(source: str, names: tuple[str, ...]) -> None:
    """Copy models from another machine's Hugging Face cache by rsync, and verify them. SOURCE is only read.

    SOURCE is that cache: a mounted folder, user@host:path (over ssh) or rsync://host/module/path. Without PROFILE,
    every model in it that a profile uses is copied.

    \b
    Example:  vvbatch models sync studio:.cache/huggingface/hub 1.5b
    """
    from vvbatch.models import sync as syncing
    from vvbatch.models.integrity import verify as verified
    from vvbatch.models.snapshot import repo_folder, sources
    from vvbatch.report.counting import counting

    profiles = chosen(names)
    try:
        place = syncing.checked_source(source)
    except ValueError as error:
        raise BadInput(str(error)) from error
    place, there = syncing.find_cache(place)
    parts = {part: None for profile in profiles for part in sources(profile.model) if not part.local}
    wanted = {part: repo_folder(part.repo).name for part in parts}
    absent = sorted({part.repo for part, folder in wanted.items() if folder not in there})
    if names and absent:
        raise BadInput(f"{place} does not have {', '.join(absent)}: it has {', '.join(there)}")
    here = [part for part, folder in wanted.items() if folder in there]
    if not here:
        raise BadInput(f"{place} has no model of a profile: it has {', '.join(there)}")
    for folder in dict.fromkeys(wanted[part] for part in here):
        click.echo(f"copying {folder}", err=True)
        syncing.sync(place, folder, progress_line if sys.stderr.isatty() else None)
        if sys.stderr.isatty():
            progress_line("")
    bad = False
    for part in here:
        with counting(f"of {part.repo} verified", of_bytes=True) as seen:
            problems = verified(part, manifests(), progress=seen)
        click.echo(f"{part}: {'complete' if not problems else 'not usable'}")
        for problem in problems:
            click.echo(f"  {problem.kind}: {problem.message}")
        bad = bad or bool(problems)
    if bad:
        sys.exit(FAILED)


def progress_line(line: str) -> None:
    click.echo(f"\r\033[K{line}", nl=False, err=True)


@models.command()
@profile_argument
@click.option("--voice", default="default", show_default=True, help="A voice of the library (`vvbatch voices list`).")
@json_option
def prove(name: str, voice: str, as_json: bool) -> None:
    """Render 12 sentences, listen to them, and compare them with real VibeVoice audio. Exit 1 when a measure is off.

    Do this once after a model was pulled, and after a change of its profile, its device or torch. The result is kept
    in the ledger; `vvbatch doctor` says which profiles were not proven on this machine.

    \b
    Example:  vvbatch models prove 1.5b --voice alice
    """
    from vvbatch import profiles
    from vvbatch.listening.models import ListeningModels
    from vvbatch.models.integrity import require_ready
    from vvbatch.proof.run import prove as prove_profile
    from vvbatch.report.counting import counting
    from vvbatch.report.proof import print_proof
    from vvbatch.report.watch import progress

    profile = profiles.load(name)
    listener = ListeningModels.open(("words", "voice"))
    require_ready(profile, manifests())
    with session() as here, counting("takes measured", quiet=as_json) as seen:
        found = prove_profile(
            profile,
            voice,
            here.home,
            here.ledger,
            listener,
            lambda ids: progress(here.ledger, ids, quiet=as_json),
            seen,
        )
    if as_json:
        print_json(found)
    else:
        print_proof(found)
    if found.verdict != "good":
        sys.exit(FAILED)


@models.command()
@profile_argument
@click.option("--out", type=click.Path(path_type=Path), required=True, help="The folder to create.")
def convert(name: str, out: Path) -> None:
    """Convert a model from the original's layout to transformers', and check it by loading it again.

    \b
    Example:  vvbatch models convert 1.5b --out ~/models/vibevoice-1.5b-hf
    """
    from vvbatch.engine.vibevoice.convert import convert as convert_model
    from vvbatch.models.integrity import require_ready
    from vvbatch.report.counting import counting

    profile = with_model(name)
    require_ready(profile, manifests())
    with counting("converted", of_bytes=True) as seen:
        folder = convert_model(profile, user_path(out), seen)
    click.echo(str(folder))
    explain_use(name, {"repo": str(folder), "revision": "local"})


def explain_use(name: str, model: dict[str, str]) -> None:
    """Print how to make a profile for a model that no profile names yet."""
    import yaml

    from vvbatch import profiles

    line = yaml.safe_dump({"model": model}, default_flow_style=None, sort_keys=False, width=10_000).strip()
    click.echo(
        "to render with it, make your own profile: set VVBATCH_CONFIGS to a folder of yours, copy\n"
        f"  {profiles.file_of(name)}\ninto it under another name, and write in the copy\n  {line}",
        err=True,
    )
