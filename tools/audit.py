"""What the installed packages' licences are, and what is publicly known to be vulnerable in them: `make audit`.

Ends with 1 when something is found, and with 3 when it could not be looked up: nothing known is not nothing there.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

FOUND, UNKNOWN = 1, 3
OWN = "vvbatch"
# Free for every use within an Apache-2.0 project that does not change them; the weaker copyleft ones stay libraries.
FREE = re.compile(
    r"apache|\bmit\b|mit-|bsd|0bsd|isc|psf|python software|cnri|zlib|cc0|unlicense|bsl-1\.0|boost|hpnd|mpl|mozilla|lgpl"
    r"|lesser general",
    re.IGNORECASE,
)
NOT_FREE = re.compile(
    r"\b(a?gpl|agplv3|gplv[23]|affero)|(?<!lesser )general public|proprietary|sspl|busl", re.IGNORECASE
)
# Seen to be as they are, by hand.
KNOWN: Mapping[str, str] = {
    "piper-tts": "GPL-3.0: the engine of the draft voice, an optional extra that nothing else imports",
}
NOT_DECLARED: Mapping[str, str] = {
    "atheris": "Apache-2.0, by the file in its repository: only for `make fuzz`",
}


def licence_problems(packages: Iterable[Mapping[str, str]]) -> list[str]:
    """Packages, as pip-licenses tells of them, whose licence is neither free for our use nor known here."""
    found = []
    for package in packages:
        name, licence = package["Name"], package["License"]
        if name.lower() in KNOWN:
            continue
        if licence == "UNKNOWN" and name.lower() in NOT_DECLARED:
            continue
        if NOT_FREE.search(licence) or not FREE.search(licence):
            found.append(f"{name} {package['Version']}: {licence}")
    return found


def vulnerabilities(report: Mapping[str, Any]) -> tuple[list[str], list[str]]:
    """Of pip-audit's report: what is known to be vulnerable, and the packages of which nothing could be learnt."""
    known, unknown = [], []
    for package in report["dependencies"]:
        if package["name"] == OWN:
            continue
        if "skip_reason" in package:
            unknown.append(package["name"])
        for each in package.get("vulns", []):
            mended = ", ".join(each["fix_versions"]) or "no version yet"
            known.append(f"{package['name']} {package['version']}: {each['id']}, mended in {mended}")
    return known, unknown


def output_of(argv: Sequence[str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(argv, capture_output=True, text=True, check=False)


def audit(tools: Path, python: str, pins: Path) -> int:
    listed = output_of([str(tools / "pip-licenses"), "--python", python, "--format=json", "--with-system"])
    if listed.returncode:
        print(f"the licences could not be listed:\n{listed.stderr}", file=sys.stderr)
        return UNKNOWN
    packages = json.loads(listed.stdout)
    for licence, count in sorted(Counter(package["License"] for package in packages).items()):
        print(f"{count:4}  {licence}")
    bad = licence_problems(packages)
    print(f"licences of {len(packages)} packages: {len(bad)} not free for our use")
    asked = output_of(
        [str(tools / "pip-audit"), "--requirement", str(pins), "--no-deps", "--disable-pip", "--format=json"]
    )
    try:
        known, unknown = vulnerabilities(json.loads(asked.stdout))
    except ValueError:
        known, unknown = [], ["all: " + (asked.stderr.strip().splitlines() or ["no answer"])[-1]]
    print("\n".join([*bad, *known]))
    if unknown:
        print(
            f"vulnerabilities: NOT LOOKED UP for {len(unknown)} packages ({', '.join(unknown[:3])}, …): the package "
            "index in use does not tell of them, or cannot be reached. Run `make audit` where pypi.org answers.",
            file=sys.stderr,
        )
    else:
        print(f"known vulnerabilities: {len(known)}")
    return FOUND if bad or known else UNKNOWN if unknown else 0


if __name__ == "__main__":
    sys.exit(audit(Path(sys.argv[1]), sys.argv[2], Path(sys.argv[3])))
