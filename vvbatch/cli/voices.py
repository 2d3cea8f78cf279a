"""`vvbatch voices`: list, import, check, variants, remove."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import msgspec
from click.shell_completion import CompletionItem

from vvbatch.cli.common import FAILED, BadInput, json_option, print_json

if TYPE_CHECKING:
    from vvbatch.voices.library import Found, Library
    from vvbatch.voices.overview import Row
    from vvbatch.voices.quality import Quality

GENDERS = ("female", "male", "other")
audio_file = click.Path(path_type=Path)


def complete_voice(context: click.Context, parameter: click.Parameter, start: str) -> list[CompletionItem]:
    from vvbatch.voices.errors import VoiceError

    try:
        return [CompletionItem(name) for name in open_library().names() if name.casefold().startswith(start.casefold())]
    except VoiceError:
        return []


def open_library() -> Library:
    from vvbatch.home import Home
    from vvbatch.voices import Library

    return Library.of(Home.from_environment())


def own_folder(project: bool) -> Path:
    """The folder for new voices: the project's, or the home's."""
    from vvbatch.home import Home
    from vvbatch.voices.library import PROJECT

    return PROJECT.absolute() if project else Home.from_environment().voices


project_option = click.option("--project", is_flag=True, help="Keep it in the project's ./voices, not the home.")
start_option = click.option("--start", "start_s", type=click.FloatRange(0), default=0.0, help="Seconds to skip first.")
length_option = click.option("--length", "length_s", type=click.FloatRange(0.4), help="Seconds to use from there.")


@click.group()
def voices() -> None:
    """List, import and check the voices that scripts can name.

    A voice is a short clean recording of one speaker. VibeVoice profiles clone it; the draft profile imitates
    its pitch and speed.

    \b
    Example:  vvbatch voices import mara.m4a --name mara --consent "Mara B., 2 May"
              vvbatch voices check mara
    """


@voices.command("list")
@click.option("--plot", type=audio_file, metavar="PNG", help="Draw each voice's waveform and spectrogram to a file.")
@json_option
def list_voices(plot: Path | None, as_json: bool) -> None:
    """Show every voice: the project's, the home's, the bundled ones.

    \b
    Example:  vvbatch voices list
              vvbatch voices list --plot voices.png
    """
    from vvbatch.report.columns import name, number, text
    from vvbatch.report.tables import print_table
    from vvbatch.voices.overview import listing

    library = open_library()
    rows = listing(library)
    if plot:
        draw(library, plot)
    if as_json:
        print_json(rows)
    else:
        columns = [name("voice"), name("language", 4), name("gender", 3), number("seconds"), text("licence", 5)]
        columns += [name("draft manner", 6), text("folder", 2), text("note", 1)]
        print_table(
            columns,
            [
                [
                    row.name + (" (default)" if row.default else ""),
                    row.language or None,
                    row.gender or None,
                    None if row.duration_s is None else f"{row.duration_s:.1f}",
                    row.license or None,
                    f"{row.manner.rate:g}x, {row.manner.pitch:+g} st" if row.manner else None,
                    Path(row.path).parent,
                    note_on(row),
                ]
                for row in rows
            ],
        )
        for row in rows:
            if row.error:
                click.echo(f"{row.name}: {row.error}")
    if any(row.error for row in rows):
        sys.exit(FAILED)


def note_on(row: Row) -> str | None:
    if row.error:
        return "cannot be used"
    return f"variant of {row.variant_of}" if row.variant_of else None


def draw(library: Library, path: Path) -> None:
    from vvbatch.voices import picture
    from vvbatch.voices.decode import decode
    from vvbatch.voices.errors import InvalidVoice
    from vvbatch.voices.quality import at_24_khz

    drawn = []
    for found in library.found.values():
        try:
            recording = decode(found.path)
        except InvalidVoice:
            continue  # the table has the reason
        note = f"{recording.duration_s:.1f} s"
        drawn.append((found.name, note, at_24_khz(recording.samples, recording.rate)))
    try:
        picture.draw(drawn, path)
    except OSError as error:
        raise BadInput(f"{path} cannot be written: {error.strerror}") from error
    click.echo(f"drawn: {path}", err=True)


@voices.command("import")
@click.argument("file", type=audio_file)
@click.option("--name", required=True, help="Its name in scripts: letters, digits, '-', '_' and '.'.")
@click.option("--language", default="", help="For example en-GB.")
@click.option("--gender", type=click.Choice(GENDERS), default=None, help="Sets the pitch of the draft profile.")
@click.option("--license", default="", help="Licence of the recording.")
@click.option("--consent", default="", metavar="TEXT", help="Who allowed the cloning of this voice, how, and when.")
@start_option
@length_option
@project_option
@json_option
def import_(
    file: Path, start_s: float, length_s: float | None, project: bool, as_json: bool, gender: str | None, **given: str
) -> None:
    """Make a voice from a recording: WAV, FLAC, MP3, M4A, Ogg and other formats that FFmpeg reads.

    It is converted to mono, 24 kHz and -25 dBFS RMS, without offset and without silence at its ends. 3 to 30 seconds
    work best.

    \b
    Example:  vvbatch voices import alice.wav --name alice --gender female
              vvbatch voices import interview.mp3 --name mara --start 62 --length 15
    """
    from vvbatch.voices.decode import decode, excerpted
    from vvbatch.voices.editing import import_voice

    library = open_library()
    recording = excerpted(decode(file), start_s, length_s)
    fields = {**given, "gender": gender or ""}
    entry = import_voice(own_folder(project), file, recording, fields, datetime.now(UTC), library)
    added(entry.name, as_json, recording.notes)
    if not (entry.consent and entry.license):
        click.echo("no consent or licence is recorded: clone only voices that you may clone", err=True)


def added(name: str, as_json: bool, notes: Sequence[str] = ()) -> None:
    """Print the new voice, notes on its recording, and a warning about its length."""
    from vvbatch.voices.overview import row

    made = row(open_library().find(name))
    duration_s = made.duration_s or 0.0
    if as_json:
        print_json(msgspec.structs.asdict(made) | {"notes": notes})
    else:
        click.echo(f"{made.name}: {duration_s:.1f} s, {made.path}")
    for note in notes:
        click.echo(f"note: {note}", err=True)
    if not 3.0 <= duration_s <= 30.0:
        length = "short" if duration_s < 3.0 else "long"
        click.echo(f"warning: {duration_s:.1f} s is {length}: a voice of 3 to 30 s clones best", err=True)


@voices.command()
@click.argument("names", nargs=-1, metavar="[VOICE|FILE]...", shell_complete=complete_voice)
@json_option
def check(names: tuple[str, ...], as_json: bool) -> None:
    """Measure whether voices are fit for cloning: all voices, or those named, or recordings by their path.

    Each measure is shown with its limit. Exit 1 if one is outside its limit.

    \b
    Example:  vvbatch voices check
              vvbatch voices check mara interview.mp3 --json
    """
    from vvbatch.report.voice_tables import print_quality
    from vvbatch.voices.quality import report as judged

    library = open_library()
    subjects = [library_or_file(library, name) for name in names] or list(library.found.values())
    reports = [
        judged(None, subject) if isinstance(subject, Path) else judged(subject.name, subject.path, gain_of(subject))
        for subject in subjects
    ]
    problems = [None if isinstance(subject, Path) else problem(subject) for subject in subjects]
    reports = [
        msgspec.structs.replace(report, error=report.error or why)
        for report, why in zip(reports, problems, strict=True)
    ]
    show(reports, as_json, print_quality)


def library_or_file(library: Library, name: str) -> Found | Path:
    """The voice of that name. Without one, the file: a path with a folder, or an existing file."""
    from vvbatch.voices.errors import UnknownVoice

    try:
        return library.find(name)
    except UnknownVoice:
        if "/" in name or Path(name).is_file():
            return Path(name)
        raise


def gain_of(found: Found) -> float:
    return float(found.entry.provenance.get("gain_db", 0.0)) if found.entry else 0.0


def problem(found: Found) -> str | None:
    """Why a render would refuse the voice, or None."""
    from vvbatch.voices.errors import VoiceError
    from vvbatch.voices.library import voice_of

    try:
        voice_of(found)
    except VoiceError as error:
        return str(error)
    return None


def show(reports: Sequence[Quality], as_json: bool, print_them: Callable[[Sequence[Quality]], None]) -> None:
    if as_json:
        print_json([report.as_json() for report in reports])
    else:
        print_them(reports)
    if not all(report.ok for report in reports):
        sys.exit(FAILED)


@voices.command()
@click.argument("name", metavar="VOICE", shell_complete=complete_voice)
@click.option("--as", "label", metavar="LABEL", help="Make the variant VOICE-LABEL.")
@start_option
@length_option
@click.option("--gain", "gain_db", type=click.FloatRange(-20, 12), default=0.0, help="dB above the usual level.")
@click.option("--speed", type=click.FloatRange(0.5, 2.0), default=1.0, help="Speed factor, at the same pitch.")
@click.option("--pitch", type=click.FloatRange(-12, 12), default=0.0, help="Semitones up or down, at the same speed.")
@project_option
@json_option
def variants(name: str, label: str | None, project: bool, as_json: bool, **changes: Any) -> None:
    """Make a variant of a voice (another excerpt, gain, speed or pitch), or compare the existing ones.

    \b
    Example:  vvbatch voices variants carter --as calm --speed 0.9 --pitch -1
              vvbatch voices variants carter
    """
    from vvbatch.report.voice_tables import print_comparison
    from vvbatch.voices.editing import add_variant
    from vvbatch.voices.overview import row, variants_of
    from vvbatch.voices.quality import report as judged
    from vvbatch.voices.vary import Change

    library, change = open_library(), Change(**changes)
    if label:
        if change == Change():
            raise click.UsageError("a variant needs a change: --start, --length, --gain, --speed or --pitch")
        entry = add_variant(own_folder(project), library.find(name), label, change, datetime.now(UTC), library)
        added(entry.name, as_json)
        return
    if change != Change():
        raise click.UsageError("name the variant with --as LABEL")
    found = [library.find(name), *variants_of(library, name)]
    reports = [
        msgspec.structs.replace(judged(each.name, each.path, gain_of(each)), sha256=row(each).sha256) for each in found
    ]
    show(reports, as_json, print_comparison)


@voices.command()
@click.argument("name", metavar="VOICE", shell_complete=complete_voice)
@click.option("--yes", is_flag=True, help="Do not ask for confirmation.")
def remove(name: str, yes: bool) -> None:
    """Remove a voice and its file from the home's or the project's library.

    \b
    Example:  vvbatch voices remove mara --yes
    """
    from vvbatch.profiles import bundled
    from vvbatch.voices import editing

    found = open_library().find(name)
    folder = found.path.parent
    if folder.resolve() == bundled("voices").resolve():
        raise BadInput(f"{found.name!r} is a bundled voice and cannot be removed")
    if found.entry is None:
        raise BadInput(f"{found.path} is not in a manifest: remove the file itself")
    if not yes:
        click.confirm(f"Remove {found.name!r} ({found.path})?", abort=True)
    click.echo(f"removed {editing.remove(folder, found.name)}")
