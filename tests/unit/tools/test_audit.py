from __future__ import annotations

import pytest

from tools.audit import licence_problems, vulnerabilities


@pytest.mark.parametrize(
    "licence", ["MIT", "Apache Software License", "BSD-3-Clause", "MPL-2.0 AND MIT", "LGPL-3.0-only", "PSF-2.0"]
)
def test_free_licences_are_let_in(licence: str) -> None:
    assert licence_problems([{"Name": "a", "Version": "1", "License": licence}]) == []


@pytest.mark.parametrize(
    "licence",
    [
        "GPL-3.0-or-later",
        "GNU Affero General Public License v3",
        "AGPL-3.0",
        "Proprietary",
        "UNKNOWN",
        "",
        "MIT AND GPL-2.0",
    ],
)
def test_others_are_named(licence: str) -> None:
    assert licence_problems([{"Name": "a", "Version": "1", "License": licence}]) == [f"a 1: {licence}"]


def test_the_optional_engines_licence_is_known() -> None:
    assert licence_problems([{"Name": "piper-tts", "Version": "1", "License": "GPL-3.0-or-later"}]) == []


def test_what_could_not_be_looked_up_is_not_taken_for_good() -> None:
    report = {
        "dependencies": [
            {"name": "good", "version": "1", "vulns": []},
            {"name": "bad", "version": "1", "vulns": [{"id": "CVE-1", "fix_versions": ["2"]}]},
            {"name": "unlisted", "skip_reason": "not found"},
            {"name": "vvbatch", "skip_reason": "editable"},
        ]
    }
    assert vulnerabilities(report) == (["bad 1: CVE-1, mended in 2"], ["unlisted"])
