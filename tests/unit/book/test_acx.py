"""The report on what ACX asks of files."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from tests.support import books
from tests.support.books import take_samples
from vvbatch.book.acx import AcxCheck, acx_report
from vvbatch.book.build import build
from vvbatch.book.codecs import mp3
from vvbatch.book.contents import Chapter
from vvbatch.book.presets import PRESETS

pytestmark = pytest.mark.slow  # chapters are encoded: 5 s together

pytest.importorskip("av")
ACX = PRESETS["acx"]


def report(chapters: list[Chapter], cache: Path, preset: object = ACX) -> list[AcxCheck]:
    built = build(books.work(chapters, preset), [mp3(192)], cache)  # type: ignore[arg-type]
    (encoded,) = built.encoded
    return acx_report(built.book, encoded.chapters, built.levels, encoded.target)


def chapter_of(folder: Path, number: int, floor_dbfs: float | None, voice: str) -> Chapter:
    items = []
    for index in range(3):
        samples = take_samples(4.0, 10 * number + index, before_s=0.4, after_s=0.4, floor_dbfs=floor_dbfs)
        pause = take_samples(0.01, 1, before_s=0.0, after_s=0.4, floor_dbfs=floor_dbfs)[400:]
        import numpy as np

        gap = np.concatenate([samples, pause, take_samples(2.0, index, floor_dbfs=floor_dbfs)])
        items.append(books.speech(folder, f"{voice}{number}{index}", gap, voice))
    return Chapter(number, f"Chapter {number}", tuple(items))


def test_a_clean_book_passes_every_check(tmp_path: Path) -> None:
    checks = report([chapter_of(tmp_path, 1, None, "emma"), chapter_of(tmp_path, 2, None, "emma")], tmp_path / "cache")
    assert [check for check in checks if not check.ok] == []
    assert {check.name for check in checks} == {
        "rms_db", "peak_db", "floor_db", "head_s", "tail_s", "length_s", "floor_in_speech_db",
    }  # fmt: skip
    head = next(check for check in checks if check.name == "head_s")
    assert head.value == pytest.approx(0.75, abs=0.03) and head.limit == "0.5 to 1"


def test_a_noisy_voice_fails_by_name_within_speech_while_our_own_pauses_are_quiet(tmp_path: Path) -> None:
    checks = report(
        [chapter_of(tmp_path, 1, None, "emma"), chapter_of(tmp_path, 2, -50.0, "carter")], tmp_path / "cache"
    )
    failed = {(check.name, check.subject) for check in checks if not check.ok}
    assert failed == {("floor_in_speech_db", "carter")}
    assert all(check.ok for check in checks if check.name == "floor_db")


def test_a_voice_that_speaks_for_seconds_without_a_pause_is_judged_by_its_gaps(tmp_path: Path) -> None:
    samples = take_samples(1.5, 7, before_s=0.03, after_s=0.03)  # no tenth of a second is quiet
    spoken = books.speech(tmp_path, "short", samples, "maya")
    first = chapter_of(tmp_path, 1, None, "emma")
    checks = report([replace(first, items=(*first.items, spoken))], tmp_path / "cache")
    assert [check for check in checks if not check.ok] == []
    assert {check.subject for check in checks if check.name == "floor_in_speech_db"} == {"emma", "maya"}


def test_a_head_outside_the_limits_fails_and_names_the_chapter(tmp_path: Path) -> None:
    import msgspec

    preset = msgspec.structs.replace(ACX, head_s=2.0)
    checks = report([replace(chapter_of(tmp_path, 1, None, "emma"), title="Snow")], tmp_path / "cache", preset)
    (failed,) = [check for check in checks if not check.ok]
    assert (failed.name, failed.subject) == ("head_s", "01 Snow")
