from __future__ import annotations

import pytest
from msgspec.structs import replace

from vvbatch.ledger.views import Failure
from vvbatch.qc.check import at_least, at_most
from vvbatch.qc.sentences import MEANINGS
from vvbatch.report.failed import BROKEN, SOUND, failed_words, place, remedies

FAILURE = Failure(
    batch="book-1",
    line="ch2-014",
    error=f"{at_least('duration_min', 1.61, 1.94).reason}; 3 takes",
    at="2026-03-01T22:00:00.000000Z",
    trouble="qc",
    number=14,
    chapter=2,
    chapter_title="The stairs",
    text="She never  came back.",
    profile="draft",
    script="/home/mara/book.yaml",
    script_line=88,
    script_column=7,
)


def test_a_failure_names_the_sentence_its_place_and_what_was_wrong() -> None:
    assert failed_words(FAILURE) == (
        "chapter 2, line 14 (book.yaml:88): 'She never came back.' was cut short: 1.6 s of speech where at least 1.9 s "
        "were expected; 3 takes"
    )


def test_a_reason_that_is_no_sentence_follows_a_colon() -> None:
    assert failed_words(replace(FAILURE, error="RuntimeError: NaN at step 3", chapter=1, chapter_title="")) == (
        "line 14 (book.yaml:88): 'She never came back.': RuntimeError: NaN at step 3"
    )
    assert failed_words(replace(FAILURE, error=None)).endswith("back.': failed without a reason")


@pytest.mark.parametrize(
    ("script", "line", "words"),
    [
        ("novel.epub", 5, "chapter 2, line 14 (script.yaml:5)"),  # the script is kept beside the output
        ("TEXT", 1, "chapter 2, line 14"),  # of `vvbatch synth`
        ("old.yaml", None, "chapter 2, line 14"),  # recorded before places were
    ],
)
def test_a_place_is_in_the_file_that_the_author_can_open(script: str, line: int | None, words: str) -> None:
    assert place(replace(FAILURE, script=script, script_line=line)) == words


@pytest.mark.parametrize(
    ("trouble", "error", "label", "command"),
    [
        ("qc", at_least("duration_min", 1.0, 2.0).reason, "try again", "vvbatch retry book-1  with other seeds"),
        ("qc", at_least("voice", 0.1, 0.4).reason, "listen", "vvbatch voices check"),
        ("qc", at_most("dc_offset", 0.1, 0.01).reason, "find the cause", "vvbatch doctor"),
        ("crash", "the worker died", "find the cause", "vvbatch doctor"),
        ("resource", "No space left on device", "make room", "vvbatch retry book-1"),
        ("input", "the text is empty", "correct", "the script"),
    ],
)
def test_the_remedy_fits_the_cause(trouble: str, error: str, label: str, command: str) -> None:
    ((found, words),) = remedies("book-1", [replace(FAILURE, trouble=trouble, error=error)])
    assert found == label
    assert command in words


def test_the_checks_that_a_remedy_depends_on_are_checks() -> None:
    assert {*SOUND, *BROKEN} <= MEANINGS.keys()


def test_a_remedy_of_many_lines_is_said_once() -> None:
    assert len(remedies("book-1", [FAILURE, replace(FAILURE, number=15)])) == 1
