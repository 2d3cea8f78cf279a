"""`vvbatch bench`: how close the engine is to the original, and how fast it is here."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from vvbatch.cli.common import FAILED, json_option, print_json
from vvbatch.profiles import SLOTS

DTYPES = ("float32", "bfloat16", "float16", "int8")


@click.group()
def bench() -> None:
    """Measure the VibeVoice engine."""


@bench.command()
@click.argument("folder", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--dtype", type=click.Choice(DTYPES), default="float32", show_default=True)
@click.option("--device", default="cpu", show_default=True, help="cpu, mps, cuda or cuda:1.")
@json_option
def parity(folder: Path, dtype: str, device: str, as_json: bool) -> None:
    """Compare with the output of the original: FOLDER holds a model, v1.wav … and expected.npz.

    \b
    Example:  vvbatch bench parity tiny-42 --json
    """
    from vvbatch.engine.bench import parity as measured

    cases = measured.parity(folder, dtype, device)
    if as_json:
        print_json(measured.as_json(folder, dtype, cases))
    else:
        click.echo(f"{'case':12} {'slots':>5} {'together':>8} {'tokens':>7} {'latents':>9} {'audio':>9}")
        for case in cases:
            errors = [
                "lengths" if error is None else f"{error:.1e}" for error in (case.latents_max_err, case.audio_max_err)
            ]
            equal = "equal" if case.tokens_equal else "differ"
            click.echo(f"{case.case:12} {case.slots:5} {case.together:8} {equal:>7} {errors[0]:>9} {errors[1]:>9}")
    if not all(case.tokens_equal for case in cases):
        sys.exit(FAILED)


def whole_numbers(context: click.Context, parameter: click.Parameter, value: str | None) -> list[int]:
    if value is None:
        return []
    try:
        numbers = [int(part) for part in value.split(",")]
    except ValueError as error:
        raise click.BadParameter(f"{value!r}: give numbers separated by commas, as in 1,4,16") from error
    if not numbers or min(numbers) < 1:
        raise click.BadParameter(f"{value!r}: the numbers must be at least 1")
    return numbers


@bench.command()
@click.option("--shape", default="1.5b", show_default=True, help="1.5b, 7b, or the folder of a model.")
@click.option("--dtype", type=click.Choice(DTYPES), default="float32", show_default=True)
@click.option("--device", default="cpu", show_default=True)
@click.option("--slots", callback=whole_numbers, default="1,4,8,16", show_default=True)
@click.option(
    "--occupied",
    callback=whole_numbers,
    help="Measure with so many lines in the slots, as in 1,4,16.  [default: one in every slot]",
)
@click.option(
    "--context",
    "contexts",
    callback=whole_numbers,
    help="Measure the cost of a step, a new line and memory instead, at these positions, as in 1024,16384.",
)
@click.option(
    "--vs", type=click.Choice(["transformers"]), help="Do the same work with transformers' generate, interleaved."
)
@click.option("--frames", type=click.IntRange(2), default=12, show_default=True, help="Frames of each line in a round.")
@click.option("--rounds", type=click.IntRange(1), default=3, show_default=True)
@click.option("--threads", type=click.IntRange(1), help="CPU threads.  [default: all]")
@json_option
def engine(
    shape: str,
    dtype: str,
    device: str,
    slots: list[int],
    occupied: list[int],
    contexts: list[int],
    vs: str | None,
    frames: int,
    rounds: int,
    threads: int | None,
    as_json: bool,
) -> None:
    """Measure the speed of steps. Weights are random unless --shape is a folder; every token is a frame.

    \b
    Example:  vvbatch bench engine --shape 1.5b --dtype bfloat16 --slots 1,16 --vs transformers --json
    """
    from vvbatch.engine.bench import contexts as long
    from vvbatch.engine.bench import speed

    if contexts and (vs or occupied):
        raise click.UsageError(
            "--context measures the engine alone with a line in every slot: leave out --vs, --occupied"
        )
    if occupied and max(occupied) > max(slots):
        raise click.UsageError(f"--occupied {max(occupied)} is more than the slots: give --slots {max(occupied)}")
    setup = speed.Setup(shape, dtype, device, frames, rounds, threads)
    if contexts:
        long_report = long.measure(setup, slots, contexts, print_progress)
        print_json(long_report) if as_json else click.echo(long.table(long_report))
    else:
        report = speed.measure(setup, slots, vs is not None, print_progress, occupied)
        print_json(report) if as_json else click.echo(speed.table(report))


@bench.command()
@click.option("--shape", default="1.5b", show_default=True, help="1.5b, 7b, tiny, or the folder of a model.")
@click.option("--dtype", type=click.Choice(DTYPES), default="float32", show_default=True)
@click.option("--device", default="cpu", show_default=True)
@click.option("--lines", type=click.IntRange(1), default=48, show_default=True, help="Lines of the batch.")
@click.option("--slots", type=click.IntRange(1), default=SLOTS, show_default=True)
@click.option("--listen", is_flag=True, help="All models listen to each take.")
@click.option("--threads", type=click.IntRange(1), help="CPU threads.  [default: all]")
@json_option
def batch(
    shape: str, dtype: str, device: str, lines: int, slots: int, listen: bool, threads: int | None, as_json: bool
) -> None:
    """Measure a whole batch: lines of 1 to 31 s through `vvbatch run` in a folder of its own.

    The lines are the same each time. Weights are random unless --shape is a folder. Efficiency is the speed of the
    batch over the speed with a line in every slot all the time, measured in the same run.

    \b
    Example:  vvbatch bench batch --shape 1.5b --dtype bfloat16 --lines 48 --json
    """
    from vvbatch.engine.bench import batch as measured

    setup = measured.Setup(shape, dtype, device, slots, lines, listen, threads)
    report = measured.measure(setup, print_progress)
    if as_json:
        print_json(report)
    else:
        click.echo(measured.table(report))


def print_progress(line: str) -> None:
    """On stderr: the report is on stdout."""
    click.echo(line, err=True)
