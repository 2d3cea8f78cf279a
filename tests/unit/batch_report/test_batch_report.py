"""The report of a batch: one file that needs no network, complete, and with no text that is markup."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from urllib.parse import unquote

import msgspec
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st

from tests.support.cli import Cli
from tests.support.html import Page
from tests.support.ledgers import Clock, add_batch, fail, open_ledger, render
from tests.support.long_book import BATCH, long_book
from tests.support.sounds import speechlike, write_wav
from vvbatch import store
from vvbatch.batch.by_ear import reject
from vvbatch.batch.delete import delete, examine
from vvbatch.batch_report.charts import CORNERS, bounds, chapter_marks, running_median, tick_step
from vvbatch.batch_report.gather import MOST_CARDS, gather
from vvbatch.batch_report.write import html, write
from vvbatch.ledger import Ledger
from vvbatch.ledger.books import BookFileRow, FileLevels, record_book

pytest.importorskip("jinja2")
pytest.importorskip("PIL")


@pytest.fixture
def saga(tmp_path: Path) -> Iterator[Ledger]:
    """Three chapters of eight lines, every seventh failed; titles and texts with markup in them."""
    ledger = long_book(tmp_path, failed_every=7)
    yield ledger
    ledger.close()


def page_of(ledger: Ledger, folder: Path, batch: str = BATCH, *, embed: bool = False) -> Page:
    return Page("".join(html(gather(ledger, batch), folder, embed=embed)))


def test_every_line_with_a_file_has_a_player_with_a_relative_link_that_exists(saga: Ledger, tmp_path: Path) -> None:
    folder = tmp_path / "out" / BATCH
    page = page_of(saga, folder)
    sources = [str(attrs["src"]) for attrs in page.all("audio")]
    done = [line for line in gather(saga, BATCH).lines if line.path]
    assert len(done) == 21 and {line.path for line in done} == {str(folder / unquote(each)) for each in sources}
    assert not any(source.startswith("/") or ":" in source for source in sources)
    assert all(attrs["preload"] == "none" for attrs in page.all("audio"))


def test_the_page_needs_nothing_from_elsewhere_and_runs_one_script_that_it_names_by_its_hash(
    saga: Ledger, tmp_path: Path
) -> None:
    page = page_of(saga, tmp_path)
    for tag, attrs in page.elements:
        for name in ("src", "href", "srcset", "data", "action", "poster"):
            assert "://" not in (attrs.get(name) or ""), (tag, attrs)
    assert page.all("script") == [{}] and not page.all("link") and not page.all("iframe")
    (policy,) = [str(meta["content"]) for meta in page.all("meta") if meta.get("http-equiv")]
    digest = base64.b64encode(hashlib.sha256(page.script.encode()).digest()).decode()
    assert "default-src 'none'" in policy and f"script-src 'sha256-{digest}'" in policy


def test_titles_and_texts_are_never_markup(saga: Ledger, tmp_path: Path) -> None:
    page = page_of(saga, tmp_path)
    assert "The <script>alert(1)</script> & Saga" in page.words and "The <b>chapter</b> of 2" in page.words
    assert "alert" not in page.script


def test_failed_lines_come_first_with_what_failed_in_words_and_what_helps(saga: Ledger, tmp_path: Path) -> None:
    report = gather(saga, BATCH).report
    assert [line.why for line in report.to_hear] == ["failed"] * 3 + ["weakest"] * 6
    first = report.to_hear[0]
    assert first.id == "l7" and first.reasons == [
        "was cut short: 0.2 s of speech where at least 1.0 s were expected (duration_min)"
    ]
    weakest = next(line for line in report.to_hear if "1,984" in line.written)
    assert "one thousand nine hundred and eighty four" in weakest.spoken and weakest.script_line == weakest.number + 4
    page = page_of(saga, tmp_path)
    assert page.words.index("was cut short") < page.words.index("weakest", page.words.index("Chapters"))
    assert "vvbatch retry saga" in page.words and "As it is spoken:" in page.words


def test_the_weakest_are_the_lines_with_the_lowest_scores(saga: Ledger) -> None:
    gathered = gather(saga, BATCH)
    scores = sorted(line.score for line in gathered.lines if line.score is not None)
    weakest = [line for line in gathered.report.to_hear if line.why == "weakest"]
    assert [line.score for line in weakest] == scores[:6]
    assert all(words.startswith("closest to its limit: ") for line in weakest for words in line.reasons)
    assert any(line.reasons for line in weakest)


def test_a_rejected_line_comes_first_with_who_when_and_why(saga: Ledger, tmp_path: Path) -> None:
    reject(saga, BATCH, ["3"], by="mara", why="<b>wrong</b> stress")
    report = gather(saga, BATCH).report
    (line,) = [line for line in report.to_hear if line.why == "rejected"]
    assert (line.id, line.state, [take.state for take in line.takes]) == ("l3", "queued", ["rejected"])
    (words,) = line.reasons
    assert re.fullmatch(r"rejected by mara, 20\d\d-\d\d-\d\d \d\d:\d\d \S+: <b>wrong</b> stress", words)
    page = page_of(saga, tmp_path / "out" / BATCH)
    assert "1 rejected" in page.words and words in page.words
    assert ("rejected by a person", 1) in [(work.kind, work.takes) for work in report.time.work]
    assert any("takes/" in str(attrs["href"]) for attrs in page.all("a"))


def test_a_line_takes_few_bytes_of_the_page(tmp_path: Path) -> None:
    """5,000 lines stay under 40 MB."""
    sizes = []
    for lines in (8, 16):
        (tmp_path / f"{lines}").mkdir()
        ledger = long_book(tmp_path / f"{lines}", chapters=10, lines_each=lines)
        sizes.append(sum(map(len, html(gather(ledger, BATCH), tmp_path))))
        ledger.close()
    assert 0 < (sizes[1] - sizes[0]) / 80 < 4_000


def test_more_cards_than_a_page_can_hold_are_counted(tmp_path: Path) -> None:
    ledger = long_book(tmp_path, chapters=1, lines_each=MOST_CARDS + 5, failed_every=1)
    report = gather(ledger, BATCH).report
    assert len(report.to_hear) == MOST_CARDS and report.not_shown == {"failed": 5}
    assert f"{MOST_CARDS + 5} failed" in page_of(ledger, tmp_path).words
    ledger.close()


def test_an_embedded_page_holds_every_recording_and_links_none(saga: Ledger, tmp_path: Path) -> None:
    page = page_of(saga, tmp_path, embed=True)
    sources = [str(attrs["src"]) for attrs in page.all("audio")]
    assert sources and all(source.startswith("data:audio/mpeg;base64,") for source in sources)
    samples, rate = soundfile.read(io.BytesIO(base64.b64decode(sources[0].partition(",")[2])))
    assert rate == 24_000 and len(samples) > 5_000
    assert all(str(attrs["href"]).startswith("#") for attrs in page.all("a"))


@pytest.mark.slow
@pytest.mark.skipif(not shutil.which("chromium"), reason="no browser here")
def test_a_browser_draws_the_page_at_phone_width_without_an_error(saga: Ledger, tmp_path: Path) -> None:
    page, picture = tmp_path / "out" / BATCH / "report.html", tmp_path / "report.png"
    write(gather(saga, BATCH), page)
    flags = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--hide-scrollbars"]
    where = [f"--user-data-dir={tmp_path / 'chromium'}", "--window-size=500,900", f"--screenshot={picture}"]
    done = subprocess.run(
        ["chromium", *flags, *where, page.as_uri()], capture_output=True, text=True, timeout=120, check=False
    )
    assert picture.stat().st_size > 10_000 and "Content Security Policy" not in done.stderr


def test_how_many_lines_are_written_is_shown_chapter_by_chapter(saga: Ledger, tmp_path: Path) -> None:
    counts: list[tuple[int, int]] = []
    for _ in html(gather(saga, BATCH), tmp_path, seen=lambda done, total: counts.append((done, total))):
        pass
    assert counts == [(0, 24), (8, 24), (16, 24)]


def test_a_missing_file_is_named_and_the_page_is_made(saga: Ledger, tmp_path: Path) -> None:
    line = next(line for line in gather(saga, BATCH).lines if line.path)
    Path(str(line.path)).unlink()
    page = page_of(saga, tmp_path)
    assert "its file cannot be read:" in page.words and "l1.wav: No such file or directory" in page.words


def test_an_open_batch_has_a_report_too(tmp_path: Path) -> None:
    ledger = open_ledger(tmp_path)
    add_batch(ledger, "b", ["One.", "Two."])
    page = page_of(ledger, tmp_path, "b")
    assert "No take was made in this batch" in page.words and "2, all queued" in page.words
    ledger.close()


def test_a_chapter_sums_its_lines_and_its_takes(tmp_path: Path) -> None:
    clock = Clock()
    ledger = open_ledger(tmp_path, clock)
    add_batch(ledger, "b", ["One.", "Two."])
    render(ledger, "b", 1, clock, took_s=3.0, duration_s=4.0)
    fail(ledger, "b", 2)
    (chapter,) = gather(ledger, "b").report.chapters
    assert (chapter.lines, chapter.ready, chapter.audio_s, chapter.work_s) == (2, 1, 4.0, 3.0)
    spent = gather(ledger, "b").report.time
    assert [(work.kind, work.takes, work.share) for work in spent.work] == [
        ("kept", 1, 1.0),
        ("failed their checks", 1, 0.0),
    ]
    ledger.close()


def test_the_finished_book_is_listed_with_its_measures_and_a_link(saga: Ledger, tmp_path: Path) -> None:
    file = write_wav(tmp_path / "out" / BATCH / "book" / "Saga & <b>.wav", speechlike(1.0))
    row = BookFileRow(str(file), "wav", store.sha256_file(file), file.stat().st_size, 1.0)
    record_book(saga, BATCH, "audiobook", saga.now(), {}, [row], {"wav": FileLevels(-19.04, -3.1)})
    page = page_of(saga, tmp_path / "out" / BATCH)
    assert "-19.0 LUFS" in page.words and "-3.1 dBTP" in page.words and "Saga & <b>.wav" in page.words
    assert "book/Saga%20%26%20%3Cb%3E.wav" in [attrs["href"] for attrs in page.all("a")]


def test_a_page_that_cannot_be_written_leaves_the_old_one(
    saga: Ledger, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "report.html"
    path.write_text("old")
    monkeypatch.setattr("vvbatch.batch_report.write.html", broken)
    with pytest.raises(OSError, match="No space"):
        write(gather(saga, BATCH), path)
    assert path.read_text() == "old" and [each.name for each in tmp_path.glob(".tmp-*")] == []


def broken(*_: object, **__: object) -> Iterator[str]:
    yield "<!doctype html>"
    raise OSError(28, "No space left on device")


def test_the_command_writes_into_the_batch_folder_and_deleting_the_batch_removes_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VVBATCH_HOME", str(tmp_path))
    ledger = long_book(tmp_path)
    done = Cli()("report", "saga")
    path = tmp_path / "out" / BATCH / "report.html"
    assert done.stdout == f"{path}\n" and path.read_text().startswith("<!doctype html>")
    data = Cli().json("report", "last")
    assert data["batch"] == BATCH and data["counts"]["done"] == 24 and len(data["chapters"]) == 3
    assert json.loads(msgspec.json.encode(gather(ledger, BATCH).report)) == data
    assert "name another file with -o" in Cli()("report", "saga", "-o", str(path / "x"), code=1).output
    assert "unknown batch" in Cli()("report", "absent", code=2).output
    delete(ledger, examine(ledger, BATCH))
    assert not path.exists()
    ledger.close()


@given(st.lists(st.floats(-100, 100), min_size=1).map(sorted))
def test_a_chart_shows_a_range_with_two_ticks_or_more(values: list[float]) -> None:
    low, high = bounds(values)
    step = tick_step(high - low)
    assert low < high and 2 * step <= (high - low) * (1 + 1e-9) <= 5 * step * (1 + 1e-6)


@given(st.lists(st.floats(-10, 10), max_size=3000))
def test_a_running_median_stays_within_its_values_and_has_few_corners(values: list[float]) -> None:
    found = running_median(list(enumerate(values, start=1)))
    assert len(found) <= 2 * CORNERS and all(min(values) <= value <= max(values) for _, value in found)


@given(st.integers(1, 300))
def test_labels_of_chapters_do_not_touch(count: int) -> None:
    marks = chapter_marks([(number, 976 * number / count) for number in range(1, count + 1)])
    places = [at for at, label in marks if label]
    assert all(right - left >= 20 for left, right in pairwise(places))
