from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tests.conftest import ROOT
from tests.support.vibevoice import profile, render, request, voice
from vvbatch.engine.contract import Chunk, EngineUnavailable, Failed, Finished, RequestRefused, Voice
from vvbatch.engine.vibevoice import VibeVoiceEngine, device
from vvbatch.engine.vibevoice.ops import int8_products
from vvbatch.engine.vibevoice.utterance import Prefixes

pytestmark = pytest.mark.slow  # with what it imports, which takes seconds in each process


@pytest.fixture(scope="module")
def cast(tmp_path_factory: pytest.TempPathFactory) -> list[Voice]:
    folder = tmp_path_factory.mktemp("voices")
    return [voice(folder, "alice", 4, seed=1), voice(folder, "bob", 6, seed=2, extra=700)]


INT8 = pytest.param("int8", marks=pytest.mark.skipif(not int8_products(), reason="needs AVX-512 VNNI"))


@pytest.fixture(scope="module", params=["float32", "bfloat16", INT8])
def crowd(request: pytest.FixtureRequest, tiny: Path, tmp_path_factory: pytest.TempPathFactory) -> VibeVoiceEngine:
    """An engine of 16 slots."""
    return VibeVoiceEngine.open(profile(tiny, 16, request.param), tmp_path_factory.mktemp("cache"))


@pytest.fixture
def engine(tiny: Path, tmp_path: Path) -> VibeVoiceEngine:
    return VibeVoiceEngine.open(profile(tiny), tmp_path)


@pytest.mark.slow
def test_the_same_line_is_the_same_bits_in_every_slot(crowd: VibeVoiceEngine, cast: list[Voice]) -> None:
    results = render(crowd, [request(str(number), cast[:1], seed=9) for number in range(40)])
    audio = [result.audio for result in results.values()]
    assert len(audio[0]) > 0
    assert all(np.array_equal(other, audio[0]) for other in audio)


@pytest.mark.slow
def test_another_seed_another_text_and_another_voice_sound_different(
    engine: VibeVoiceEngine, cast: list[Voice]
) -> None:
    asked = [
        request("a", cast[:1]),
        request("b", cast[:1], seed=6),
        request("c", cast[:1], "Something else."),
        request("d", cast[1:]),
    ]
    audio = [result.audio for result in render(engine, asked).values()]
    assert len({sound.tobytes() for sound in audio}) == 4


def test_audio_comes_as_one_frame_a_step(engine: VibeVoiceEngine, cast: list[Voice]) -> None:
    engine.admit(request("a", cast[:1]))
    frames = []
    while True:
        events = engine.step()
        frames += [event.samples for event in events if isinstance(event, Chunk)]
        assert sum(isinstance(event, Chunk) for event in events) <= 1
        if any(isinstance(event, Finished) for event in events):
            break
    assert all(frame.shape == (3200,) and frame.dtype == np.float32 for frame in frames)


def test_a_take_records_how_it_was_made(engine: VibeVoiceEngine, cast: list[Voice]) -> None:
    end = render(engine, [request("a", cast[:1])])["a"].end
    assert isinstance(end, Finished)
    metrics: Mapping[str, Any] = end.metrics
    assert metrics["frames"] > 0
    assert metrics["tokens"] >= metrics["frames"]
    assert metrics["first_chunk_s"] > 0
    assert metrics["step_shape"] == {"mode": engine.shape.mode, "slots": 4, "rows": 8, "diffusion_steps": 4}
    assert metrics["peak_bytes"] > 1 << 20


def test_a_line_that_is_cut_at_its_duration_is_a_runaway(engine: VibeVoiceEngine, cast: list[Voice]) -> None:
    result = render(engine, [request("a", cast[:1], max_duration_s=0.5)])["a"]
    assert len(result.audio) == 3 * 3200
    assert isinstance(result.end, Finished)
    assert result.end.runaway
    assert not result.end.metrics["reach_max_step"]  # its duration ended first


def test_a_line_that_ends_by_itself_is_no_runaway(engine: VibeVoiceEngine, cast: list[Voice]) -> None:
    ends = [result.end for result in render(engine, [request("a", cast[:1], max_duration_s=None)]).values()]
    assert [end.runaway for end in ends if isinstance(end, Finished)] == [False]


@pytest.mark.slow
def test_a_line_without_end_stops_at_twice_its_prompt(
    engine: VibeVoiceEngine, cast: list[Voice], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine, "_choose", lambda slot, line: engine.tokens.start)
    line = engine.start(request("a", cast[:1], max_duration_s=None))
    while not (events := engine.step()):
        pass
    (end,) = events
    assert isinstance(end, Finished)
    assert end.runaway
    assert end.metrics["reach_max_step"]
    assert len(line.tokens) == 2 * (len(line.prompt.prefix) + len(line.prompt.text))


@pytest.mark.slow
def test_nan_ends_its_own_line_with_the_step_and_no_other(engine: VibeVoiceEngine, cast: list[Voice]) -> None:
    good = request("good", cast[:1])
    expected = render(engine, [good])["good"].audio
    results = render(engine, [request("bad", cast[:1], seed=3, cfg_scale=float("inf")), good])
    bad = results["bad"].end
    assert isinstance(bad, Failed)
    assert bad.error == "latents or audio became NaN or infinite at step 1 (frame 1)"
    assert np.array_equal(results["good"].audio, expected)
    assert np.array_equal(render(engine, [good])["good"].audio, expected)  # the slot is clean again


def test_a_cancelled_line_leaves_its_slot_and_says_nothing_more(engine: VibeVoiceEngine, cast: list[Voice]) -> None:
    for number in range(4):
        engine.admit(request(str(number), cast[:1], seed=number))
    engine.step()
    engine.cancel("2")
    engine.cancel("unknown")
    engine.admit(request("new", cast[:1]))
    seen = {event.request_id for _ in range(20) for event in engine.step()}
    assert seen == {"0", "1", "3", "new"}


def test_a_line_is_cancelled_while_its_prompt_is_read(engine: VibeVoiceEngine, cast: list[Voice]) -> None:
    engine.admit(request("a", cast[:1]))
    engine.cancel("a")
    assert engine.step() == []
    assert len(render(engine, [request("b", cast[:1])])["b"].audio) > 0


@pytest.mark.slow
def test_lines_with_the_same_voices_share_what_was_read(tiny: Path, tmp_path: Path, cast: list[Voice]) -> None:
    shared = VibeVoiceEngine.open(profile(tiny, voice_seed=0), tmp_path)
    asked = [request(str(number), cast[:1], seed=number) for number in range(3)]
    results = render(shared, asked)
    cached = [result.end.metrics["prefix_cached"] for result in results.values() if isinstance(result.end, Finished)]
    assert cached == [False, True, True]
    fresh = VibeVoiceEngine.open(profile(tiny, voice_seed=0), tmp_path)
    for one in reversed(asked):  # what is cached changes no bit
        assert np.array_equal(render(fresh, [one])[one.id].audio, results[one.id].audio)


def test_a_long_prompt_is_read_in_pieces_while_others_speak(engine: VibeVoiceEngine, cast: list[Voice]) -> None:
    engine.admit(request("first", cast[:1], max_duration_s=None))
    engine.step()
    long = request("long", cast[:1], "word " * 500)
    engine.admit(long)
    events = [engine.step() for _ in range(3)]
    assert all(any(event.request_id == "first" for event in step) for step in events)
    assert not any(event.request_id == "long" for step in events for event in step)


def test_prefixes_are_forgotten_when_they_take_too_much_memory() -> None:
    prefixes = Prefixes(limit=1000)
    for number in range(10):
        prefixes.put((number,), torch.zeros(100))
    assert prefixes.get((9,)) is not None
    assert prefixes.get((7,)) is None


def test_a_missing_device_falls_back_as_the_profile_says(tiny: Path, tmp_path: Path) -> None:
    with pytest.raises(EngineUnavailable, match="renders on cuda:99: this machine has none of them"):
        VibeVoiceEngine.open(profile(tiny, device="cuda:99"), tmp_path)
    facts = VibeVoiceEngine.open(profile(tiny, device="cuda:99", fallback=["cpu"], dtype="float16"), tmp_path).facts
    assert facts.device == "cpu"
    assert facts.dtype == ("bfloat16" if device.bfloat16_on_cpu() else "float32")
    assert facts.details["requested"] == "cuda:99/float16"


def test_int8_is_refused_where_it_would_be_slow(tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx2": True})
    with pytest.raises(EngineUnavailable, match=r"int8 needs a CPU with AVX-512 VNNI.*bfloat16 or float32"):
        VibeVoiceEngine.open(profile(tiny, dtype="int8"), tmp_path)


@pytest.mark.skipif(not int8_products(), reason="needs AVX-512 VNNI")
def test_int8_is_what_a_take_says_of_its_dtype(tiny: Path, tmp_path: Path) -> None:
    facts = VibeVoiceEngine.open(profile(tiny, dtype="int8"), tmp_path).facts
    assert facts.dtype == "int8"
    assert facts.details["language_dtype"] == ("bfloat16" if device.bfloat16_on_cpu() else "float32")


def test_a_model_that_does_not_fit_is_refused_with_the_numbers(
    tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(device, "free_bytes", lambda where: 1_000_000)
    with pytest.raises(EngineUnavailable, match=r"needs about 0\.0 GB on cpu, 0\.0 GB are free"):
        VibeVoiceEngine.open(profile(tiny), tmp_path)


def test_a_changed_voice_is_refused(engine: VibeVoiceEngine, tmp_path: Path) -> None:
    planned = voice(tmp_path, "carol", seed=3)
    voice(tmp_path, "carol", seed=4)
    with pytest.raises(RequestRefused, match="has changed"):
        engine.admit(request("a", [planned]))
    assert engine.step() == []


@pytest.mark.slow
def test_a_voice_is_encoded_once_and_a_damaged_file_again(tiny: Path, tmp_path: Path, cast: list[Voice]) -> None:
    asked = [request("a", cast)]
    first = render(VibeVoiceEngine.open(profile(tiny), tmp_path), asked)["a"].audio
    kept = sorted((tmp_path / "voices").iterdir())
    assert len(kept) == 2
    before = [file.stat().st_mtime_ns for file in kept]
    assert np.array_equal(render(VibeVoiceEngine.open(profile(tiny), tmp_path), asked)["a"].audio, first)
    assert [file.stat().st_mtime_ns for file in kept] == before
    kept[0].write_bytes(b"not numbers")
    assert np.array_equal(render(VibeVoiceEngine.open(profile(tiny), tmp_path), asked)["a"].audio, first)
    assert sorted((tmp_path / "voices").iterdir()) == kept


RENDER_WITHOUT_A_NETWORK = """
import socket, sys
def refuse(*args, **kwargs):
    raise SystemExit("the network was asked")
# urllib3 binds a local socket when it is imported, to learn about IPv6; whatever would leave this machine is refused.
for name in ("connect", "connect_ex", "sendto", "sendmsg"):
    setattr(socket.socket, name, refuse)
socket.getaddrinfo = socket.create_connection = refuse
from pathlib import Path
from tests.support.vibevoice import profile, render, request, voice
from vvbatch.engine.contract import EngineUnavailable
from vvbatch.engine import open_engine
import os, msgspec
folder, scratch = Path(sys.argv[1]), Path(sys.argv[2])
asked = profile(folder)
engine = open_engine(asked, scratch)
assert os.environ["HF_HUB_OFFLINE"] == "1"
assert len(render(engine, [request("a", [voice(scratch)])])["a"].audio) > 0
try:
    open_engine(msgspec.structs.replace(asked, model=msgspec.structs.replace(asked.model, repo="nobody/nothing")),
    scratch)
except EngineUnavailable as error:
    print(error)
"""


@pytest.mark.slow
def test_the_network_is_not_asked_from_import_to_audio(tiny: Path, tmp_path: Path) -> None:
    environment = {name: value for name, value in os.environ.items() if name != "HF_HUB_OFFLINE"}
    environment["PYTHONPATH"] = str(ROOT)
    done = subprocess.run(
        [sys.executable, "-c", RENDER_WITHOUT_A_NETWORK, str(tiny), str(tmp_path)],
        capture_output=True,
        text=True,
        env=environment,
        cwd=ROOT,
    )
    assert done.returncode == 0, done.stderr
    assert "nobody/nothing at revision local is not on this machine" in done.stdout
