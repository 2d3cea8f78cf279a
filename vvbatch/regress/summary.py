"""One night as plain data: what `regress run --json` prints, and what reports are made of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from vvbatch.ledger import Ledger
from vvbatch.regress import records
from vvbatch.regress.verdict import VERDICTS


def summary(ledger: Ledger, suite: str, night_id: str) -> dict[str, Any]:
    """`night`, `verdict`, `counts`, `reasons` of the night, `changed` facts, `speed`, and each of `lines`."""
    night = records.find_night(ledger, suite, night_id)
    rows = records.verdicts_of(ledger, [night["id"]])[night["id"]]
    results = {result.line: result for result in records.results(ledger, night["batch_id"])}
    then = records.baselines_by_id(ledger, {row["baseline_id"] for row in rows if row["baseline_id"]})
    lines = [line_of(row, results.get(row["line"]), then.get(row["baseline_id"])) for row in rows]
    return {
        "suite": suite,
        "night": night["id"],
        "profile": night["profile"],
        "batch": night["batch_id"],
        "state": night["state"],
        "verdict": night["verdict"],
        "started_at": night["started_at"],
        "ended_at": night["ended_at"],
        "counts": {verdict: sum(row["verdict"] == verdict for row in rows) for verdict in VERDICTS},
        "reasons": night["reasons"] or [],
        "changed": changed(results.values(), then, rows),
        "speed": night["speed"] or {},
        "facts": night["facts"] or {},
        "pruned": night["pruned_at"] is not None,
        "lines": lines,
    }


def line_of(row: Mapping[str, Any], result: Any, baseline: Mapping[str, Any] | None) -> dict[str, Any]:
    return {
        "line": row["line"],
        "text": result.text if result else (baseline or {}).get("text", ""),
        "verdict": row["verdict"],
        "reasons": row["reasons"],
        "measures": row["measures"],
        "take": row["take_id"],
        "path": result.path if result else None,
        "sha256": result.take.get("sha256") if result else None,
        "duration_s": result.take.get("duration_s") if result else None,
        "baseline": None
        if baseline is None
        else {
            name: baseline[name]
            for name in ("id", "take_id", "path", "sha256", "blessed_at", "blessed_by", "why", "facts")
        },
    }


def changed(results: Any, then: Mapping[str, Any], rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """What of engine, versions and machine is not as with the baselines, each difference once."""
    facts = {result.line: result.facts for result in results}
    found: list[dict[str, Any]] = []
    for row in rows:
        baseline = then.get(row["baseline_id"])
        if baseline and facts.get(row["line"]):
            for each in records.differences(baseline["facts"], facts[row["line"]]):
                # A voice or the parameters of one line belong to that line.
                if each["what"] not in ("voices", "control_hash") and each not in found:
                    found.append(each)
    return found
