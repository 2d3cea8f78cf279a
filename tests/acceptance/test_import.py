"""A manuscript is imported, checked and rendered as docs/narration.md says."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from tests.acceptance.test_docs_setup import page, typed
from tests.conftest import Shell
from tests.support.cli import Cli
from tests.support.manuscripts import PNG, Epub, entry
from vvbatch.manuscript import SUFFIXES
from vvbatch.manuscript.model import Kind
from vvbatch.script import parsed_text

COVER = '<item id="c" href="c.png" media-type="image/png" properties="cover-image"/>'
BOOK = Epub(
    {"a.xhtml": "<h1>One</h1><p>“Who’s there?” said Mara.</p>", "b.xhtml": "<h1>Two</h1><p>The end.</p>"},
    entry("One", "a.xhtml") + entry("Two", "b.xhtml"),
    manifest=COVER,
    files={"OEBPS/c.png": PNG},
)


def test_the_commands_of_the_page_on_narration(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    BOOK.write(tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("VVBATCH_CONFIGS")
    done = []
    for line in typed("narration.md"):
        words = shlex.split(line) if line.startswith("vvbatch ") else []
        if words and words[1] in ("import", "check"):
            Cli()(*words[1:])
            done.append(words[1])
    assert {"import", "check"} <= set(done)
    assert (tmp_path / "book.yaml").is_file() and (tmp_path / "book-cover.png").read_bytes() == PNG


def test_the_page_shows_a_script_and_names_every_kind_and_format() -> None:
    text = page("narration.md")
    [script] = re.findall(r"```yaml\n(.*?)```", text, re.DOTALL)[:1]
    assert parsed_text(Path("book.yaml"), script).warnings == ()
    assert set(re.findall(r"^\| `([a-z-]+)` \|", text, re.MULTILINE)) >= {kind.value for kind in Kind}
    names = {"epub": "EPUB", "docx": "DOCX", "md": "Markdown", "html": "HTML", "srt": "SRT", "vtt": "WebVTT"}
    assert all(name in text for name in names.values()) and {f".{suffix}" for suffix in names} <= set(SUFFIXES)


def test_a_manuscript_is_rendered_and_its_script_is_kept_beside_the_output(shell: Shell, tmp_path: Path) -> None:
    book, out = BOOK.write(tmp_path), tmp_path / "out"
    done = shell.json("run", str(book), "--model", "ready", "--out", str(out))
    assert done["state"] == "done" and done["script"] == str(book)
    folder = out / done["batch"]
    assert (folder / "cover.png").read_bytes() == PNG
    checked = shell.json("check", str(folder / "script.yaml"), "--model", "ready")
    assert (checked["lines"], checked["cached"]) == (done["counts"]["total"], done["counts"]["total"])
    assert shell.json("verify", done["batch"])["problems"] == []
    shell("delete", done["batch"], "--yes")
    assert not folder.exists()


def test_a_script_beside_the_output_that_was_edited_is_not_deleted(shell: Shell, tmp_path: Path) -> None:
    book, out = BOOK.write(tmp_path), tmp_path / "out"
    batch = shell.json("run", str(book), "--model", "ready", "--out", str(out))["batch"]
    script = out / batch / "script.yaml"
    script.write_text(script.read_text(encoding="utf-8").replace("The end.", "THE END."), encoding="utf-8")
    shell("delete", batch, "--yes")
    assert [path.name for path in (out / batch).iterdir()] == ["script.yaml"]
