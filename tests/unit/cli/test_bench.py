"""`vvbatch bench` as a person calls it: the reports' keys, and what is said of bad input."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch")

from tests.support.cli import Cli
from tests.support.vibevoice import voice
from vvbatch.engine.bench.batch import lengths

pytestmark = pytest.mark.slow  # with what it imports, which takes seconds in each process

LAYERS = {"language", "diffusion", "decoder", "encoder"}


@pytest.fixture
def cli() -> Iterator[Cli]:
    import torch

    threads = torch.get_num_threads()
    yield Cli()
    torch.set_num_threads(threads)


@pytest.mark.slow
def test_engine_reports_speed_parts_and_memory(cli: Cli, tiny: Path) -> None:
    words = ("bench", "engine", "--shape", str(tiny), "--slots", "1,2", "--frames", "2", "--rounds", "1")
    report = cli.json(*words, "--threads", "1")
    assert report.keys() == {"shape", "dtype", "machine", "results"}
    assert [result["slots"] for result in report["results"]] == [1, 2]
    for result in report["results"]:
        assert result.keys() == {"slots", "speed", "step_s", "parts", "peak_bytes", "ratio"}
        assert result["parts"].keys() == LAYERS
        assert result["ratio"] is None
        assert result["speed"] == pytest.approx(result["slots"] * 3200 / 24000 / result["step_s"])


@pytest.mark.slow
def test_engine_is_measured_with_few_lines_in_many_slots(cli: Cli, tiny: Path) -> None:
    words = ("bench", "engine", "--shape", str(tiny), "--slots", "2,3", "--frames", "2", "--rounds", "1")
    report = cli.json(*words, "--threads", "1", "--occupied", "1,3")
    assert report.keys() == {"shape", "dtype", "machine", "results"}
    assert [(row["slots"], row["occupied"]) for row in report["results"]] == [(2, 1), (3, 1), (3, 3)]
    for row in report["results"]:
        assert row.keys() == {"slots", "occupied", "speed", "step_s", "parts", "peak_bytes", "ratio"}
        assert row["speed"] == pytest.approx(row["occupied"] * 3200 / 24000 / row["step_s"])
    assert report["machine"]["step_shape"].keys() == {"2", "3"}
    assert set(report["machine"]["step_shape"].values()) <= {"following", "fixed"}


def test_engine_is_compared_with_transformers_in_the_same_run(cli: Cli, tiny: Path) -> None:
    words = ("bench", "engine", "--shape", str(tiny), "--slots", "2", "--frames", "2", "--rounds", "2")
    report = cli.json(*words, "--threads", "1", "--vs", "transformers")
    assert [one["batch"] for one in report["transformers"]] == [1, 2]
    for one in report["transformers"]:
        assert one.keys() == {"batch", "speed", "step_s"}
    assert report["results"][0]["ratio"] > 0


@pytest.mark.slow
def test_engine_reports_the_cost_of_long_contexts(cli: Cli, tiny: Path) -> None:
    words = ("bench", "engine", "--shape", str(tiny), "--slots", "2", "--frames", "2", "--threads", "1")
    report = cli.json(*words, "--context", "300,5000")
    assert report.keys() == {"shape", "dtype", "machine", "contexts"}
    assert [(one["slots"], one["context"]) for one in report["contexts"]] == [(2, 300), (2, 5000)]
    for one in report["contexts"]:
        assert {"step_s", "step_cpu_s", "speed", "growth_cpu_s", "admission_steps"} < one.keys()
        assert one["parts"].keys() == LAYERS
        assert 0 < one["load_peak_bytes"] <= one["peak_bytes"]
    assert "positions" not in cli(*words, "--context", "300").stdout.splitlines()[0]


@pytest.fixture
def nan_in_fresh_memory() -> Iterator[None]:
    import torch

    torch.use_deterministic_algorithms(True)  # fills what was not written
    yield
    torch.use_deterministic_algorithms(False)


@pytest.mark.slow
@pytest.mark.usefixtures("nan_in_fresh_memory")
def test_the_contexts_are_really_that_long(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Were a position not written, a line would fail, and the measurement with it."""
    from vvbatch.engine.bench import contexts, speed

    engine, _ = speed.build(speed.Setup(str(tiny), "float32", "cpu", 2, 1, None), 2)
    seen: list[tuple[int, ...]] = []
    step = engine.model.language.step

    def seeing(x: Any, caches: Any) -> Any:
        seen.append(tuple(cache.length for cache in caches if cache))
        return step(x, caches)

    monkeypatch.setattr(engine.model.language, "step", seeing)
    contexts.at(engine, 700, 2)
    assert [lengths for lengths in seen if min(lengths) >= 700][:2] == [(700, 700, 701, 701), (701, 701, 702, 702)]


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("engine", "--shape", "3b"), 3, "unknown shape '3b': there is 1.5b, 7b, tiny, or a model's folder"),
        (("batch", "--shape", "3b"), 3, "unknown shape '3b'"),
        (("batch", "--device", "cuda:9"), 3, "this machine has no cuda:9"),
        (("batch", "--lines", "0"), 2, "0 is not in the range"),
        (("engine", "--slots", "0"), 2, "must be at least 1"),
        (("engine", "--slots", "many"), 2, "give numbers separated by commas"),
        (("engine", "--frames", "1"), 2, "--frames"),
        (("engine", "--dtype", "int3"), 2, "--dtype"),
        (("engine", "--device", "cuda:99"), 3, "this machine has no cuda:99"),
        (("engine", "--context", "-1"), 2, "must be at least 1"),
        (("engine", "--context", "9", "--vs", "transformers"), 2, "leave out --vs"),
        (("engine", "--context", "9", "--occupied", "1"), 2, "leave out --vs, --occupied"),
        (("engine", "--slots", "1,4", "--occupied", "5"), 2, "--occupied 5 is more than the slots: give --slots 5"),
        (("parity", "nowhere"), 2, "nowhere"),
    ],
)
def test_bad_input_is_named(cli: Cli, words: tuple[str, ...], code: int, said: str) -> None:
    assert said in cli("bench", *words, code=code).output


def test_a_folder_without_a_model_or_without_expected_outputs_is_named(cli: Cli, tiny: Path, tmp_path: Path) -> None:
    assert "config.json is missing" in cli("bench", "engine", "--shape", str(tmp_path), code=3).output
    assert "expected.npz is missing" in cli("bench", "parity", str(tiny), code=3).output
    (tmp_path / "expected.npz").write_bytes(b"no archive")
    assert "expected.npz cannot be read" in cli("bench", "parity", str(tmp_path), code=3).output
    np.savez(tmp_path / "expected.npz", other=np.zeros(3))
    assert "expected.npz holds no case" in cli("bench", "parity", str(tmp_path), code=3).output
    np.savez(tmp_path / "expected.npz", one_input_ids=np.zeros(3))
    assert "expected.npz lacks one_tokens" in cli("bench", "parity", str(tmp_path), code=3).output


@pytest.mark.slow
def test_a_batch_reports_its_speed_and_its_share_of_the_steady_speed(
    cli: Cli, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("VVBATCH_HOME", str(tmp_path / "home"))  # the command must not touch it
    monkeypatch.setenv("VVBATCH_LEDGER_URL", "postgresql+psycopg://nobody@127.0.0.1:1/none")
    words = ("bench", "batch", "--shape", "tiny", "--lines", "5", "--slots", "2", "--threads", "1")
    report = cli.json(*words)
    assert list(report)[:7] == ["lines", "audio_s", "wall_s", "speed", "steady_speed", "efficiency", "listening"]
    assert (report["lines"], report["slots"], report["listening"]) == (5, 2, False)
    assert report["audio_s"] == pytest.approx(sum(lengths(5)) * 3200 / 24000, abs=0.01)
    assert report["speed"] == pytest.approx(report["audio_s"] / report["wall_s"], rel=0.01)
    assert report["efficiency"] == pytest.approx(report["speed"] / report["steady_speed"])
    assert 1 < report["lines_a_step"] <= 2
    assert report["cpu_s"] > 0
    assert report["machine"]["threads"] == 1
    assert not (tmp_path / "home").exists()


@pytest.mark.slow
def test_parity_holds_an_engine_against_recorded_outputs(
    cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The recording is the engine's own at 1 slot: what is tested is that a difference is seen."""
    from tests.support import tiny_model
    from vvbatch.engine.bench import parity

    monkeypatch.setattr(parity, "MAX_TOKENS", 8)  # random weights amplify the last bit
    folder = tiny_model.make(tmp_path / "model", calm=True)
    voice(folder, "v1", 3)
    ids = record(folder)
    report = cli.json("bench", "parity", str(folder))
    assert report.keys() == {"folder", "dtype", "cases"}
    assert [(case["case"], case["slots"], case["tokens_equal"]) for case in report["cases"]] == [
        ("one", 1, True),
        ("one", 4, True),
    ]
    assert {"tokens_equal", "latents_max_err", "audio_max_err"} < report["cases"][0].keys()
    assert report["cases"][0]["latents_max_err"] == report["cases"][0]["audio_max_err"] == 0
    assert report["cases"][1]["latents_max_err"] < 2e-2
    assert parity.read_expected(folder / "expected.npz")["one"].input_ids == ids
    with np.load(folder / "expected.npz") as data:
        changed = dict(data)
    changed["one_tokens"] = changed["one_tokens"] + 1
    changed["one_latents"] = changed["one_latents"] + 0.5
    np.savez(folder / "expected.npz", **changed)
    report = cli.json("bench", "parity", str(folder), code=1)
    assert not report["cases"][0]["tokens_equal"]
    assert report["cases"][0]["latents_max_err"] == pytest.approx(0.5)


def record(folder: Path) -> list[int]:
    """Write expected.npz with what the engine makes of one line with v1.wav."""
    from vvbatch.engine.bench import parity
    from vvbatch.engine.contract import Chunk, Finished, Request, Turn, Voice
    from vvbatch.engine.vibevoice import VibeVoiceEngine

    file = folder / "v1.wav"
    import hashlib

    spoken = Voice("v1", file, hashlib.sha256(file.read_bytes()).hexdigest())
    engine = VibeVoiceEngine.open(parity.profile(folder, 1, "float32"), folder / "cache")
    engine.keep_latents = True
    asked = Request("one", (Turn(0, "So it is."),), (spoken,), parity.SEED, parity.CFG_SCALE, parity.STEPS)
    line, chunks, ended = engine.start(asked, max_tokens=parity.MAX_TOKENS), [], False
    while not ended:
        for event in engine.step():
            chunks += [event.samples] if isinstance(event, Chunk) else []
            ended |= isinstance(event, Finished)
    ids = parity.ids(line.prompt)
    np.savez(
        folder / "expected.npz",
        one_input_ids=np.array(ids)[None],
        one_tokens=np.array(line.tokens),
        one_latents=np.array([latent.numpy() for latent in line.latents]),
        one_audio=np.concatenate(chunks),
    )
    return ids


@pytest.mark.slow
@pytest.mark.parametrize(
    "words", [["batch", "--shape", "tiny"], ["engine"], ["engine", "--context", "8"], ["parity", "."]]
)
@pytest.mark.parametrize("package", ["torch", "transformers"])
def test_a_package_that_is_missing_is_named_with_its_remedy(words: list[str], package: str, home: Path) -> None:
    code = f"import sys; sys.modules[{package!r}] = None; from vvbatch.cli import main; main(['bench', *{words!r}])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=100)
    assert done.returncode == 3, done.stderr
    assert done.stderr == f"Error: the VibeVoice engine needs the package {package}: pip install 'vvbatch[vibevoice]'\n"
