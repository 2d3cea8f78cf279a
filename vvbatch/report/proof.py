"""The result of `vvbatch models prove`, as people read it."""

from __future__ import annotations

import click

from vvbatch.proof.record import Proof
from vvbatch.proof.verdict import Judged
from vvbatch.report.columns import name, text
from vvbatch.report.columns import number as number_column
from vvbatch.report.tables import print_facts, print_table, printable


def print_proof(proof: Proof) -> None:
    """The table of measures, the verdict, and what to do when something is off."""
    rows = [
        [each.name, each.unit, *map(number, (each.median, each.lowest, each.highest)), allowed(each), verdict(each)]
        for each in proof.measures
    ]
    columns = [
        name("measure"),
        name("in", 2),
        number_column("median"),
        number_column("lowest", 1),
        number_column("highest", 1),
    ]
    print_table([*columns, number_column("allowed"), text("")], rows)
    click.echo()
    off = [each.name for each in proof.measures if not each.ok]
    words = f"off: {', '.join(off)}" if off else "good: the takes are like real VibeVoice audio"
    print_facts(
        [
            ("verdict", f"profile {proof.profile} with voice {proof.voice} is {words}"),
            ("rendered by", f"{proof.engine}, {proof.model} on {proof.device} in {proof.dtype}"),
            ("batch", f"{proof.batch}  (vvbatch ledger takes --batch {proof.batch})"),
        ]
    )
    if proof.causes:
        click.echo("\nlikely causes:")
    for position, each in enumerate(proof.causes, start=1):
        click.echo(printable(f"{position}. {each.cause}"))
        click.echo(printable(f"   {each.remedy}"))


def number(value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def allowed(measure: Judged) -> str:
    if measure.low == measure.high:
        return f"{measure.low:g}"
    return f"{measure.low:g} to {measure.high:g}"


def verdict(measure: Judged) -> str:
    words = [*(["off"] if not measure.ok else []), *([f"{measure.outside} outside"] if measure.outside else [])]
    return ", ".join(words)
