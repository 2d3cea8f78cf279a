"""Test names in the documents exist; personification stays rare."""

from __future__ import annotations

import re

from tests.conftest import ROOT

PAGES = sorted((ROOT / "docs").glob("*.md"))


def test_every_test_that_a_document_names_exists() -> None:
    """A name is a file's stem, a whole test, or the beginning of one followed by `…`."""
    files = list((ROOT / "tests").rglob("test_*.py"))
    stems = {file.stem for file in files}
    tests = {name for file in files for name in re.findall(r"^def (test_\w+)", file.read_text("utf-8"), re.MULTILINE)}
    named = {(page.name, name) for page in PAGES for name in re.findall(r"`(test_\w+…?)`", page.read_text("utf-8"))}
    assert len(named) >= 10
    missing = [
        (page, name)
        for page, name in sorted(named)
        if name not in stems | tests
        and not (name.endswith("…") and any(test.startswith(name.removesuffix("…")) for test in tests))
    ]
    assert missing == []


def test_words_that_personify_stay_rare() -> None:
    """Software reports, prints and returns; people are told. Sentences that are only spoken in tests may have them."""
    folders = ("vvbatch", "jobs", "workers", "tests", "tools", "bench", "docs", "examples")
    files = [*ROOT.glob("*.md"), *(file for each in folders for file in (ROOT / each).rglob("*.*"))]
    words = re.compile(r"\b(?:told|heard|nobody|anew)\b", re.IGNORECASE)
    found = {
        str(file.relative_to(ROOT)): count
        for file in files
        if file.suffix in (".py", ".md") and file.name != "RESULTS.md"
        if (count := len(words.findall(file.read_text("utf-8"))))
    }
    assert sum(found.values()) <= 60, found
