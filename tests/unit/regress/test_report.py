"""The page is one file that needs nothing else, shows what it should, and lets no text become markup."""

from __future__ import annotations

import base64
import io
import shutil
import subprocess
import xml.etree.ElementTree as ET
from pathlib import Path

import msgspec
import numpy as np
import pytest
import soundfile

from tests.support.cli import Cli
from tests.support.html import Page
from tests.support.nights import judged, suite, voice
from vvbatch.home import Home
from vvbatch.ledger import Ledger
from vvbatch.pages.media import Budget, flac
from vvbatch.regress import records, schedule
from vvbatch.regress.baseline import bless
from vvbatch.regress.records import Night
from vvbatch.regress.report import junit
from vvbatch.regress.report.trends import charts
from vvbatch.regress.report.write import html
from vvbatch.regress.summary import summary
from vvbatch.regress.verdict import Reason

pytestmark = pytest.mark.slow  # every page has pictures and sounds: 7 s together
pytest.importorskip("jinja2")
pytest.importorskip("PIL")


@pytest.fixture
def three_nights(ledger: Ledger, where: Home) -> Ledger:
    """A blessed night, one that is the same, one in which a line is louder, one cut and one failed."""
    judged(ledger, where, "n1")
    bless(ledger, where, suite(), records.find_night(ledger, "small", "n1"), "ada", 'it is "good" <script>')
    judged(ledger, where, "n2")
    judged(ledger, where, "n3", {1: voice(1, gain_db=1.0), 2: None, 4: voice(4)[:20_000]}, machine={"cpu": "<new>"})
    return ledger


def written(ledger: Ledger, name: str = "n3") -> str:
    return html(ledger, suite(), summary(ledger, "small", name))


def test_the_page_refers_to_nothing_outside_itself(three_nights: Ledger) -> None:
    page = Page(written(three_nights))
    for _, attrs in page.elements:
        for name in ("src", "href", "srcset", "data", "action", "poster", "xlink:href"):
            assert (attrs.get(name) or "#").startswith(("#", "data:"))
    assert not page.all("script") and not page.all("link") and not page.all("iframe")
    (style,) = page.all("style")
    text = written(three_nights)
    assert "url(" not in text and "@import" not in text and "://" not in text
    (policy,) = [meta for meta in page.all("meta") if meta.get("http-equiv")]
    assert "default-src 'none'" in str(policy["content"]) and style == {}


def test_the_page_shows_verdicts_reasons_versions_trends_pictures_and_both_recordings(three_nights: Ledger) -> None:
    page = Page(written(three_nights))
    for text in ("1 dB louder", "NaN latents at step 7", "of the speech are cut", "blessed", "ada", "<new>"):
        assert text in page.words
    assert [attrs["class"] for attrs in page.all("details")] == ["line worse"] * 2 + ["line changed", "line same"]
    audio = [attrs["src"] for attrs in page.all("audio")]
    assert len(audio) == 6  # two lines with both, one with its baseline, one the same
    samples, rate = soundfile.read(io.BytesIO(base64.b64decode(str(audio[0]).partition(",")[2])))
    assert rate == 24_000 and len(samples) > 10_000
    assert all(attrs["alt"] for attrs in page.all("img")) and all(attrs["aria-label"] for attrs in page.all("audio"))
    assert all(attrs["aria-label"] for attrs in page.all("svg"))
    assert len(page.all("svg")) == 7 and "The last 3 nights" in page.words


def test_texts_are_never_markup(three_nights: Ledger) -> None:
    page = Page(written(three_nights))
    assert "The <b>fourth</b> & last line." in page.words and 'it is "good" <script>' in page.words
    assert "Small & <i>plain</i>" in page.words and not page.all("i") and not page.all("script")


def test_a_first_night_and_one_whose_audio_is_gone_have_a_page_too(ledger: Ledger, where: Home) -> None:
    judged(ledger, where, "n1")
    assert "4 unblessed" in " ".join(Page(written(ledger, "n1")).words.split())
    shutil.rmtree(where.path / "regress" / "small" / "nights")
    page = Page(written(ledger, "n1"))
    assert page.words.count("cannot be read") == 4 and not page.all("audio")


def test_missed_nights_are_listed(three_nights: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    schedule.set_schedule(three_nights, "small", None, "30 2 * * *")
    monkeypatch.setattr(three_nights, "now", lambda: "2027-01-01T00:00:00.000000Z")
    assert "nights missed" in Page(written(three_nights)).words


def test_the_media_stay_within_their_room() -> None:
    budget = Budget(left=100)
    assert budget.take(b"a" * 60, "audio/flac") and budget.take(b"a" * 60, "audio/flac") is None
    assert budget.take(b"a" * 40, "audio/flac") and (budget.left, budget.left_out) == (0, 1)
    assert len(flac(np.zeros(24_000, np.float32))) < 10_000


def test_charts_stand_where_nights_have_nothing_to_show() -> None:
    assert charts([], {}) == []
    night = Night(
        id="n", suite="small", profile="draft", batch_id=None, state="ended", verdict="same", reasons=[], speed=None,
        facts=None, started_at="2026-03-01T22:00:00Z", ended_at=None, pruned_at=None,
    )  # fmt: skip
    (only,) = charts([night], {"n": []})
    assert only.bars == []


def test_junit_has_a_case_a_line_and_fails_what_is_worse(three_nights: Ledger) -> None:
    (found,) = ET.fromstring(junit(summary(three_nights, "small", "n3")))
    assert (found.get("name"), found.get("tests"), found.get("failures")) == ("small.draft", "5", "2")
    failed = {
        case.get("name"): case.find("failure").get("message") for case in found if case.find("failure") is not None
    }
    assert list(failed.values()) == ["worse: failed", "worse: cut"]
    assert "l4: The <b>fourth</b> & last line." in failed
    changed = [case.findtext("system-out") for case in found if case.find("system-out") is not None]
    assert len(changed) == 1 and "1 dB louder" in changed[0]


def test_junit_is_well_formed_whatever_an_error_holds(three_nights: Ledger) -> None:
    found = summary(three_nights, "small", "n3")
    found = msgspec.structs.replace(found, reasons=[Reason("odd", "\x00\x1b[31m ]]> \ud800", "worse")])
    assert ET.fromstring(junit(found))[0].get("failures") == "3"


def test_the_command_writes_page_and_junit_and_prints_data(
    three_nights: Ledger, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    suite_file = tmp_path / "small.yaml"
    suite_file.write_text("version: 1\nlines: [One.]\n")
    out, xml = tmp_path / "report.html", tmp_path / "night.xml"
    done = Cli()("regress", "report", str(suite_file), "--out", str(out), "--junit", str(xml))
    assert done.stdout.split() == [str(out), str(xml)] and out.read_text().startswith("<!doctype html>")
    data = Cli().json("regress", "report", str(suite_file), "--night", "n2")
    assert (data["night"], data["verdict"], data["missed"]) == ("n2", "same", [])
    assert [each["id"] for each in data["history"]] == ["n1", "n2", "n3"]
    assert "unknown night 'x'" in Cli()("regress", "report", str(suite_file), "--night", "x", code=2).output
    bad = Cli()("regress", "report", str(suite_file), "--out", str(tmp_path / "report.html" / "x"), code=1)
    assert "name another file" in bad.output


@pytest.mark.skipif(not shutil.which("chromium"), reason="no browser here")
def test_a_browser_draws_the_page_at_phone_width_without_an_error(three_nights: Ledger, tmp_path: Path) -> None:
    page, picture = tmp_path / "report.html", tmp_path / "report.png"
    page.write_text(written(three_nights))
    flags = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--hide-scrollbars"]
    where = [f"--user-data-dir={tmp_path / 'chromium'}", "--window-size=500,900", f"--screenshot={picture}"]
    done = subprocess.run(
        ["chromium", *flags, *where, page.as_uri()], capture_output=True, text=True, timeout=120, check=False
    )
    assert picture.stat().st_size > 10_000 and "Content Security Policy" not in done.stderr
    assert Path(page).exists()
