"""Listen, reject, listen: with the draft voice, as a person does it."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

from tests.conftest import Shell

pytest.importorskip("piper")
pytest.importorskip("av")
CHAPTERS = [
    {"title": "One", "lines": ["The lamp went out at midnight.", "Mara took her coat."]},
    {"title": "Two", "lines": ["The tide came in before dawn.", "They waited."]},
]


def test_a_rejected_line_is_rendered_by_the_next_run_and_only_its_chapter_is_encoded_again(
    shell: Shell, tmp_path: Path
) -> None:
    script = tmp_path / "s.yaml"
    script.write_text(json.dumps({"version": 1, "title": "Lamp", "model": "draft", "chapters": CHAPTERS}))
    words = ("run", str(script), "--out", str(tmp_path / "out"))
    first = shell.json(*words, "--book", "flac")
    batch, line = first["batch"], first["lines"][2]
    assert (first["book"]["state"], first["book"]["encoded"]) == ("made", 2)
    rejected = shell.json("reject", batch, line["id"], "--why", "swallows the d")
    assert (rejected["lines"][0]["take"], rejected["queued"], rejected["state"]) == (line["take"], 1, "rendering")
    assert sha256(line["path"]) == line["sha256"]
    assert shell.json("verify", batch)["problems"] == []
    again = shell.json(*words)
    new = again["lines"][2]
    assert (again["batch"], again["state"], new["path"]) == (batch, "done", line["path"])
    assert sha256(new["path"]) == new["sha256"] != line["sha256"]
    assert (again["book"]["state"], again["book"]["encoded"]) == ("made", 1)
    assert [file["path"] for file in again["book"]["files"]] == [file["path"] for file in first["book"]["files"]]
    (kept,) = shell.json("ledger", "takes", "--batch", batch, "--state", "rejected")
    assert (kept["take"], kept["rejected_why"], sha256(kept["path"])) == (
        line["take"], "swallows the d", line["sha256"],
    )  # fmt: skip
    assert shell.json("prefer", line["take"])["taken_back"]
    assert sha256(line["path"]) == line["sha256"]
    back = shell.json("assemble", batch)
    assert [file["sha256"] for file in back["files"]] == [file["sha256"] for file in first["book"]["files"]]
    assert shell.json("verify", batch)["problems"] == []


def sha256(path: str) -> str:
    return hashlib.sha256(Path(path).read_bytes()).hexdigest()
