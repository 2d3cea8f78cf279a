"""Long lines in parts, on the whole way: what an edit renders again, and commands that name a line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.test_vibevoice import PROFILE as TINY
from tests.conftest import Shell
from vvbatch.profiles import bundled

TEXT = (
    "The lamp went out at midnight. No one on the island had ever seen it dark before. The keeper climbed the stairs "
    "and counted every one of them. At the top he found the door wide open. The wind had come in and blown the flame "
    "away. He lit it again and sat down to wait. In the morning the boats came back, one after the other. Nobody asked "
    "about the light that night."
)
PART_WORDS = "part_words: {min: 4, best: 16, max: 30}"


def script(path: Path, text: str) -> str:
    line = {"id": "intro", "text": text}
    chapters = [{"title": "The lamp", "lines": [line, {"id": "short", "text": "That was all."}]}]
    path.write_text(json.dumps({"version": 1, "speak_titles": True, "chapters": chapters}))
    return str(path)


@pytest.fixture(params=["draft", "vibevoice"])
def profile(request: pytest.FixtureRequest, home: Path, tmp_path: Path) -> str:
    """A profile with small parts, of the draft voice or of a tiny VibeVoice model."""
    if request.param == "draft":
        written = (bundled("configs") / "draft.yaml").read_text().replace("part_words: off", PART_WORDS)
    else:
        tiny_model = pytest.importorskip("tests.support.tiny_model")
        folder = tiny_model.make(tmp_path / "model", seed=2)
        written = TINY.format(folder=folder, dtype="float32").replace(
            "max_chars: 5000", f"max_chars: 200, {PART_WORDS}"
        )
    (tmp_path / "configs" / "parts.yaml").write_text(written)
    return "parts"


def test_an_edit_of_one_sentence_leaves_the_other_parts_as_they_are(shell: Shell, profile: str, tmp_path: Path) -> None:
    def run(text: str) -> dict[str, Any]:
        view = shell.json("run", script(tmp_path / "s.yaml", text), "--model", profile, code=None)
        assert view["counts"]["total"] == len(view["lines"])
        return {line["id"]: line for line in view["lines"]}

    assert shell.json("check", script(tmp_path / "s.yaml", TEXT), "--model", profile)["lines"] == 3
    first = run(TEXT)
    parts = [line for line in first.values() if line["part_of"] == "intro"]
    assert len(parts) > 3
    assert list(first) == ["chapter-01~title", *(part["id"] for part in parts), "short"]
    assert [part["id"] for part in parts] == [f"intro~{number}" for number in range(1, len(parts) + 1)]
    hashes = {line["sha256"] for line in first.values() if line["state"] == "done"}  # random weights may babble on
    assert len(hashes) >= len(first) - 2
    for old, new in (("wide open", "closed"), ("The wind had come in", "The storm had come in")):
        again = run(TEXT.replace(old, new))
        rendered = [line for line in again.values() if line["state"] != "cached"]
        assert len(rendered) <= 1 + len(first) - len(hashes)
        assert {line["sha256"] for line in again.values() if line["state"] == "cached"} <= hashes


def test_commands_that_name_a_line_mean_all_its_parts(shell: Shell, home: Path, tmp_path: Path) -> None:
    written = (bundled("configs") / "draft.yaml").read_text().replace("part_words: off", PART_WORDS)
    (tmp_path / "configs" / "parts.yaml").write_text(written)
    batch = shell.json("run", script(tmp_path / "s.yaml", TEXT), "--model", "parts")["batch"]
    listed = shell.json("ledger", "lines", batch, "--line", "intro")
    assert len(listed) > 3 and {line["part_of"] for line in listed} == {"intro"}
    takes = shell.json("ledger", "takes", "--batch", batch, "--line", "intro")
    assert {take["line"] for take in takes} == {line["line"] for line in listed}
    assert [take["line"] for take in shell.json("ledger", "takes", "--batch", batch, "--line", "intro~2")] == [
        "intro~2"
    ]
    assert shell.json("retry", batch, "--line", "intro")["queued"] == 0
    assert "did you mean 'intro" in shell("retry", batch, "--line", "intro~", code=2).stderr
    assert "without a batch" in shell("ledger", "takes", "--line", "intro", code=2).stderr
    shown = shell("status", batch).stdout
    assert f"in {len(listed)} parts" in shown and "  intro~1" in shown
    manifest = json.loads((Path(shell.json("status", batch)["out"]) / batch / "manifest.json").read_text())
    assert [(line["part_of"], line["part"]) for line in manifest["lines"]] == [
        (None, None),
        *(("intro", number) for number in range(1, len(listed) + 1)),
        (None, None),
    ]
    assert [line["role"] for line in manifest["lines"]] == ["title", *["line"] * (len(listed) + 1)]
    assert shell.json("verify", batch)["problems"] == []
