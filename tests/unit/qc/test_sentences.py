from __future__ import annotations

import re

import pytest

from tests.conftest import ROOT
from vvbatch.qc.check import at_least, at_most
from vvbatch.qc.sentences import MEANINGS


def test_every_check_of_the_page_has_a_sentence() -> None:
    page = (ROOT / "docs" / "quality.md").read_text()
    tables = page[page.index("## Without models") : page.index("## Any audio file")]
    names = set(
        re.findall(r"`([a-z_]+)`", "\n".join(row.split("|")[1] for row in tables.splitlines() if row[:3] == "| `"))
    )
    names |= set(re.findall(r"`([a-z_]+)`: ", tables)) | {"first_word", "last_word"}
    assert names - set(MEANINGS) == {"words"}  # a model


@pytest.mark.parametrize("name", MEANINGS)
def test_a_sentence_shows_the_numbers_and_ends_with_the_name(name: str) -> None:
    reason = at_most(name, 1234.5678, 0.25).reason
    assert reason.endswith(f"({name})") and "{" not in reason


def test_what_happened_is_said_with_what_was_expected() -> None:
    assert at_least("duration_min", 1.61, 1.94).reason == (
        "was cut short: 1.6 s of speech where at least 1.9 s were expected (duration_min)"
    )
    assert at_most("other", 2.0, 1.0).reason == "other 2.0 (limit 1.0)"
