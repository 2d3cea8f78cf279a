"""From a script to files that play, with the draft voice, as a person does it."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import av
import pytest
import soundfile
import soxr
from PIL import Image

from tests.conftest import ROOT, Shell, wait_until
from vvbatch.proof.sentences import SENTENCES

pytest.importorskip("piper")
LIGHTHOUSE = ROOT / "examples" / "lighthouse.yaml"


def test_run_makes_the_book_and_assembles_it_again_only_where_it_changed(shell: Shell, tmp_path: Path) -> None:
    out = tmp_path / "out"
    words = ("run", "--model", "draft", "--out", str(out), "--book", "m4b,mp3,flac")
    done = shell.json(*words, str(LIGHTHOUSE))
    book = done["book"]
    assert (done["state"], book["state"], book["missing"]) == ("done", "made", [])
    assert len(book["chapters"]) == 3 and len(book["lines"]) == 9 and book["encoded"] == 9
    assert book["loudness_lufs"] == pytest.approx(-19.0, abs=0.1) and book["true_peak_dbtp"] <= -3.0
    hashes = {file["path"]: file["sha256"] for file in book["files"]}
    m4b = next(path for path in hashes if path.endswith(".m4b"))
    with av.open(m4b) as container:
        assert len(container.chapters()) == 3
    if shutil.which("ffprobe"):
        ran = subprocess.run(
            ["ffprobe", "-v", "error", "-show_chapters", "-of", "json", m4b], capture_output=True, text=True, check=True
        )
        starts = [float(chapter["start_time"]) for chapter in json.loads(ran.stdout)["chapters"]]
        assert starts == pytest.approx([chapter["start_s"] for chapter in book["chapters"]], abs=0.00051)
    assert shell.json("verify", done["batch"])["problems"] == []
    again = shell.json("assemble", done["batch"], "--book", "m4b,mp3,flac")
    assert {file["path"]: file["sha256"] for file in again["files"]} == hashes and again["encoded"] == 0
    shell("delete", done["batch"], "--yes")
    assert not list(out.rglob("*.m4b"))


def test_a_script_describes_its_book_and_a_bad_cover_is_refused_before_rendering(shell: Shell, tmp_path: Path) -> None:
    script = tmp_path / "s.yaml"
    script.write_text(
        "version: 1\ntitle: Snow\nauthor: Jane\nmodel: draft\ncover: cover.png\nbook: {formats: [mp3-chapters, vtt]}\n"
        "chapters:\n  - {title: One, lines: [Snow fell., It was night.]}\n  - {title: Two, lines: [It melted.]}\n"
    )
    refused = shell("run", str(script), code=2)
    assert "cover.png does not exist: name a JPEG or PNG file" in refused.stderr
    assert shell.json("ledger", "batches") == []
    Image.new("RGB", (600, 600)).save(tmp_path / "cover.png")
    shown = shell("run", str(script))
    names = sorted(path.name for path in (tmp_path / "home").rglob("book/*") if "out" in path.parts)
    assert names == ["01 One.mp3", "01 One.srt", "01 One.vtt", "02 Two.mp3", "02 Two.srt", "02 Two.vtt"]
    assert "2 chapters" in shown.stdout and "preset audiobook" in shown.stdout


def test_the_words_of_finished_chapters_are_as_recognisable_as_those_of_the_takes(shell: Shell, tmp_path: Path) -> None:
    words = pytest.importorskip("vvbatch.listening.words").Words.open(2)
    from vvbatch.listening.wording import compare, spoken_words

    chapters = [{"title": "One", "lines": SENTENCES[:6]}, {"title": "Two", "lines": SENTENCES[6:]}]
    (tmp_path / "s.yaml").write_text(
        json.dumps({"version": 1, "title": "Words", "model": "draft", "chapters": chapters})
    )
    done = json.loads(shell("run", "s.yaml", "--book", "mp3-chapters,vtt", "--json", timeout=400).stdout)

    def recognised_words(path: str) -> list[str]:
        samples, rate = soundfile.read(path, dtype="float32")
        (found,) = words.transcribe([soxr.resample(samples, rate, 16_000)])
        return spoken_words("".join(word.text for word in found))

    def error_rate(paths: list[str]) -> float:
        said = [word for path in paths for word in recognised_words(path)]
        return compare(spoken_words(" ".join(SENTENCES)), said).error_rate

    takes = error_rate([line["path"] for line in done["lines"]])
    book = error_rate([file["path"] for file in done["book"]["files"] if file["format"] == "mp3"])
    assert takes < 0.2 and book <= takes + 0.02, f"word error: takes {takes:.3f}, book {book:.3f}"
    with_words = next(file["path"] for file in done["book"]["files"] if file["format"] == "vtt")
    assert Path(with_words).read_text().count(" <00:00:") > 40


def test_a_submitted_batch_gets_the_book_that_is_ordered_with_it(shell: Shell, tmp_path: Path) -> None:
    script, out = tmp_path / "s.yaml", tmp_path / "out"
    script.write_text("version: 1\ntitle: Snow\nmodel: ready\nlines: [Snow fell., It was night.]\n")
    assert "preset 'loud' is unknown" in shell("submit", str(script), "--preset", "loud", code=2).stderr
    assert shell.json("ledger", "batches") == []
    shell.start("vvbatch", "redis")
    done = shell("submit", str(script), "--out", str(out), "--book", "flac,mp3-chapters")
    assert "no process is running that makes books" in done.stderr
    shell.start("workers.books", output=sys.stderr.fileno())
    shell.start("tests.support.ready", "ready", output=sys.stderr.fileno())
    book = out / done.stdout.strip() / "book"
    wait_until(lambda: (book / "01 Snow.srt").exists(), timeout=120)  # the last file
    assert {"01 Snow.mp3", "01 Snow.srt", "Snow.flac", "Snow.srt"} <= {path.name for path in book.iterdir()}


def test_a_batch_with_an_open_line_has_no_book(shell: Shell, tmp_path: Path) -> None:
    script = tmp_path / "s.yaml"
    script.write_text("version: 1\ntitle: Snow\nmodel: draft\nlines: [Snow fell.]\n")
    batch = shell.json("submit", str(script))["batch"]
    done = shell("assemble", batch, code=1)
    assert "1 line missing: no file of the whole book was made" in done.stdout
    assert shell.json("assemble", batch, code=1)["missing"][0]["state"] == "queued"
