"""The lines of `bench batch`: lengths, texts and prompts; its engine under a worker; its open limits."""

from __future__ import annotations

from pathlib import Path
from statistics import mean

import msgspec
import numpy as np
import pytest

pytest.importorskip("torch")

from vvbatch.batch.admission import WaitingLine, admission_order
from vvbatch.engine.bench import batch, speed
from vvbatch.engine.contract import Chunk, Finished, Request, Turn, Voice
from vvbatch.profiles import QcLimits
from vvbatch.qc.judge import judge

pytestmark = pytest.mark.slow  # with what it imports, which takes seconds in each process


def turns(text: str) -> tuple[Turn]:
    return (Turn(0, text),)


def test_48_lines_have_the_lengths_that_the_measurement_is_known_by() -> None:
    frames = batch.lengths(48)
    assert frames == batch.lengths(48)
    assert (min(frames), max(frames)) == (8, 234)
    assert mean(frames) == pytest.approx(58, abs=0.1)


def test_a_text_says_its_frames_and_is_about_as_long_as_they_are() -> None:
    written = list(batch.texts(48))
    assert len(set(written)) == 48
    assert [batch.frames_of(turns(text)) for text in written] == batch.lengths(48)
    for text, frames in zip(written, batch.lengths(48), strict=True):
        if frames > 20:  # a shorter text is little more than its numbers
            assert len(text) == pytest.approx(frames * batch.CHARACTERS_A_FRAME, rel=0.25)


def test_the_longest_lines_are_admitted_first_though_a_texts_length_says_only_about_how_long() -> None:
    written = list(batch.texts(48))
    waiting = [WaitingLine(str(number), "b", "bench", "normal", len(text)) for number, text in enumerate(written)]
    frames = [batch.frames_of(turns(written[int(line.id)])) for line in admission_order(waiting, lambda _: 16)]
    assert mean(frames[:16]) > 2 * mean(frames[16:])


def test_every_check_is_open() -> None:
    limits = batch.OPEN_QC
    closed = [
        field.name
        for field in msgspec.structs.fields(QcLimits)
        if getattr(limits, field.name) == field.default and field.name != "repeat_likeness"
    ]
    assert closed == []
    samples = np.random.default_rng(0).normal(0, 2.0, 24_000).astype(np.float32)  # clipped noise
    assert [check.name for check in judge(samples, 24_000, "So it is. 8", limits) if not check.ok] == []


@pytest.mark.slow
def test_the_engines_lines_end_after_their_frames_behind_a_shared_prefix(tmp_path: Path) -> None:
    setup = speed.Setup("tiny", "float32", "cpu", frames=1, rounds=1, threads=1)
    inner, frame_s = speed.build(setup, 2)
    inner.tokens = batch.TextTokens(inner.model.config)
    engine = batch.BatchEngine(inner, frame_s, tmp_path)
    voice = Voice("random", Path("random"), "0" * 64)
    for name, frames in (("a", 9), ("b", 3)):
        engine.admit(Request(name, turns(f"Line {frames}"), (voice,), 1, 1.3, 10))
    chunks, ended = {"a": 0, "b": 0}, list[Finished]()
    while len(ended) < 2:
        for event in engine.step():
            if isinstance(event, Chunk):
                chunks[event.request_id] += 1
                assert np.isfinite(event.samples).all() and len(event.samples) == 3200
            else:
                assert isinstance(event, Finished)
                ended.append(event)
    assert chunks == {"a": 9, "b": 3}
    assert [event.request_id for event in ended] == ["b", "a"]
    assert not any(event.runaway for event in ended)
    tokens = [event.metrics["prompt_tokens"] for event in ended]
    prefix = speed.PROMPT_TOKENS // 2 + speed.VOICE_FRAMES + 2
    assert tokens == [prefix + 2 + 1, prefix + 5 + 1]  # 0.6 a frame
    assert ended[0].metrics["prefix_cached"]
    engine.close()
    counted = msgspec.json.decode((tmp_path / batch.STEPS_FILE).read_bytes(), type=batch.Steps)
    assert counted.speaking == 12
    assert len(counted.steady_step_s) == 2
