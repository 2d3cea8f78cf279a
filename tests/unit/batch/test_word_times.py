"""Words get their times from the checks of their takes, or are recognised once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import pytest

from tests.support import books
from tests.support.ledgers import add_batch, open_ledger, render
from vvbatch.batch.word_times import with_all_words, with_checked_words
from vvbatch.book.contents import Chapter, Word
from vvbatch.ledger.books import recognised_words
from vvbatch.ledger.schema import qc_results
from vvbatch.listening.contract import ListeningUnavailable


class Recogniser:
    """Transcribes each clip as the same two words, and counts the seconds."""

    versions: ClassVar = {"whisper": "fake"}
    transcribed_s: float = 0.0

    def language(self, text: str, declared: str | None) -> str:
        return declared or "en"

    def model_for(self, language: str) -> Recogniser | None:
        return self if language == "en" else None

    def why_not(self, language: str) -> str:
        return f"fake does not know {language!r}"

    def transcribe(self, clips: Sequence[Any], language: str) -> list[list[Any]]:
        from vvbatch.listening.words import Word as Transcribed

        Recogniser.transcribed_s += sum(map(len, clips)) / 16_000
        return [[Transcribed(" Some", 0.2, 0.9, 1.0), Transcribed(" words", 0.9, 1.6, 1.0)] for _ in clips]


@pytest.fixture
def recogniser(monkeypatch: pytest.MonkeyPatch) -> type[Recogniser]:
    words = pytest.importorskip("vvbatch.listening.words")
    monkeypatch.setattr(words.Words, "open", lambda threads: Recogniser())
    Recogniser.transcribed_s = 0.0
    return Recogniser


SOME = (Word("Some", 0.2, 0.9), Word("words", 0.9, 1.6))


def words_of(chapters: Sequence[Chapter]) -> list[tuple[Word, ...] | None]:
    return [speech.words for chapter in chapters for speech in chapter.speeches]


def test_what_a_check_of_a_take_understood_is_not_recognised_again(
    tmp_path: Path, recogniser: type[Recogniser]
) -> None:
    (chapter,) = with_checked_words([books.chapter(tmp_path, 1, lines=3)], {"c001-l1": [("Hi", 0.1, 0.4)]})
    assert words_of([chapter]) == [None, (Word("Hi", 0.1, 0.4),), None]
    completed, warnings = with_all_words([chapter], "en", tmp_path / "cache")
    assert words_of(completed) == [SOME, (Word("Hi", 0.1, 0.4),), SOME] and warnings == []
    assert recogniser.transcribed_s == pytest.approx(2 * 1.9, abs=0.01)


def test_what_was_recognised_once_needs_no_model_again(
    tmp_path: Path, recogniser: type[Recogniser], monkeypatch: pytest.MonkeyPatch
) -> None:
    chapters = [books.chapter(tmp_path, 1, lines=3)]
    first = with_all_words(chapters, "en", tmp_path / "cache")
    monkeypatch.setattr("vvbatch.listening.words.Words.open", None)
    assert with_all_words(chapters, "en", tmp_path / "cache") == first


def test_of_an_edited_chapter_only_the_new_take_is_transcribed(tmp_path: Path, recogniser: type[Recogniser]) -> None:
    chapter = books.chapter(tmp_path, 1, lines=3)
    with_all_words([chapter], "en", tmp_path / "cache")
    edited = books.speech(tmp_path, "c001-l1", books.take_samples(1.0, 7))
    recogniser.transcribed_s = 0.0
    progress: list[tuple[int, int]] = []
    again = replace(chapter, items=(chapter.items[0], edited, chapter.items[2]))
    found, _ = with_all_words([again], "en", tmp_path / "cache", lambda *counts: progress.append(counts))
    assert words_of(found) == [SOME] * 3
    assert recogniser.transcribed_s == pytest.approx(1.4, abs=0.01)
    assert progress == [(1, 1)]


def test_takes_in_a_language_that_no_model_knows_have_no_words_and_it_is_said(
    tmp_path: Path, recogniser: type[Recogniser]
) -> None:
    chapters = [books.chapter(tmp_path, 1, lines=2)]
    found, warnings = with_all_words(chapters, "cy", tmp_path / "cache")
    assert found == chapters
    assert warnings == ["vtt: words have no times in 2 of 2 lines: fake does not know 'cy'"]


@pytest.mark.parametrize(
    ("error", "why"),
    [
        (ImportError("No module named 'ctranslate2'"), "the extra `qc` is not installed: pip install 'vvbatch[qc]'"),
        (ListeningUnavailable("the package p is missing: get it"), "the package p is missing: get it"),
    ],
)
def test_without_a_model_takes_have_no_words_and_it_is_said(
    tmp_path: Path, recogniser: type[Recogniser], monkeypatch: pytest.MonkeyPatch, error: Exception, why: str
) -> None:
    def missing(threads: int) -> None:
        raise error

    monkeypatch.setattr("vvbatch.listening.words.Words.open", missing)
    chapters = [books.chapter(tmp_path, 1, lines=2)]
    found, warnings = with_all_words(chapters, "en", tmp_path / "cache")
    assert (found, warnings) == (chapters, [f"vtt: words have no times in 2 of 2 lines: {why}"])


def test_the_ledger_gives_the_words_of_the_takes_that_are_kept(tmp_path: Path) -> None:
    ledger = open_ledger(tmp_path)
    add_batch(ledger, "a", ["One.", "Two."])
    take = render(ledger, "a", 1)
    detail = {"missing": ["x"], "words": [["One", 0.1, 0.5]]}
    with ledger.engine.begin() as connection:
        row = {"take_id": take, "position": 9, "name": "wer", "value": 0, "limit": 0.3, "ok": True, "detail": detail}
        connection.execute(qc_results.insert().values(row))
    assert recognised_words(ledger, "a") == {"l1": [("One", 0.1, 0.5)]}
    ledger.close()
