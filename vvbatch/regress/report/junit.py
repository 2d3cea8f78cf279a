"""A night as JUnit XML for CI systems, one test case per line."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Sequence

from vvbatch.regress.summary import Summary
from vvbatch.regress.verdict import Reason
from vvbatch.report.tables import printable

FAILURES = ("worse", "unblessed")


def junit(night: Summary) -> bytes:
    """The XML document. An additional test case holds the reasons of the night as a whole."""
    failures = sum(night.counts[verdict] for verdict in FAILURES) + bool(night.reasons)
    name = f"{night.suite}.{night.profile}"
    suite = ET.Element(
        "testsuite",
        name=name,
        tests=str(len(night.lines) + 1),
        failures=str(failures),
        errors="0",
        skipped="0",
        timestamp=night.started_at[:19],
    )
    whole = ET.SubElement(suite, "testcase", classname=name, name="the whole night")
    if night.reasons:
        fail(whole, str(night.verdict), night.reasons)
    for line in night.lines:
        title = printable(f"{line.line}: {line.text}")
        case = ET.SubElement(suite, "testcase", classname=name, name=title)
        if line.verdict in FAILURES:
            fail(case, line.verdict, line.reasons)
        elif line.reasons:
            ET.SubElement(case, "system-out").text = f"{line.verdict}: {sentence(line.reasons)}"
    root = ET.Element("testsuites")
    root.append(suite)
    ET.indent(root)
    written: bytes = ET.tostring(root, encoding="utf-8", xml_declaration=True)
    return written + b"\n"


def fail(case: ET.Element, verdict: str, reasons: Sequence[Reason]) -> None:
    names = ", ".join(reason.name for reason in reasons)
    ET.SubElement(case, "failure", type=verdict, message=f"{verdict}: {names}").text = sentence(reasons)


def sentence(reasons: Sequence[Reason]) -> str:
    return printable("; ".join(reason.text for reason in reasons))
