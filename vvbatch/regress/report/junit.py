"""A night as JUnit XML, a test case a line: what CI systems show."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Mapping, Sequence
from typing import Any

from vvbatch.report.tables import printable

FAILURES = ("worse", "unblessed")


def junit(night: Mapping[str, Any]) -> bytes:
    """The document of a night's `summary`. A case of its own stands for what the night as a whole shows."""
    counts = night["counts"]
    failures = sum(counts[verdict] for verdict in FAILURES) + bool(night["reasons"])
    name = f"{night['suite']}.{night['profile']}"
    suite = ET.Element(
        "testsuite",
        name=name,
        tests=str(len(night["lines"]) + 1),
        failures=str(failures),
        errors="0",
        skipped="0",
        timestamp=str(night["started_at"])[:19],
    )
    whole = ET.SubElement(suite, "testcase", classname=name, name="the whole night")
    if night["reasons"]:
        fail(whole, night["verdict"], night["reasons"])
    for line in night["lines"]:
        title = printable(f"{line['line']}: {line['text']}")
        case = ET.SubElement(suite, "testcase", classname=name, name=title)
        if line["verdict"] in FAILURES:
            fail(case, line["verdict"], line["reasons"])
        elif line["reasons"]:
            ET.SubElement(case, "system-out").text = f"{line['verdict']}: {sentence(line['reasons'])}"
    root = ET.Element("testsuites")
    root.append(suite)
    ET.indent(root)
    written: bytes = ET.tostring(root, encoding="utf-8", xml_declaration=True)
    return written + b"\n"


def fail(case: ET.Element, verdict: str, reasons: Sequence[Mapping[str, Any]]) -> None:
    names = ", ".join(reason["name"] for reason in reasons)
    ET.SubElement(case, "failure", type=verdict, message=f"{verdict}: {names}").text = sentence(reasons)


def sentence(reasons: Sequence[Mapping[str, Any]]) -> str:
    return printable("; ".join(reason["text"] for reason in reasons))
