from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vvbatch.engine.contract import Request, RequestRefused, Turn, Voice
from vvbatch.engine.vibevoice.prompt import Tokens, cast, plain

pytestmark = pytest.mark.slow  # with what it imports, which takes seconds in each process

ALICE, BOB = Voice("alice", Path("a.wav"), "a" * 64), Voice("bob", Path("b.wav"), "b" * 64)


def asked(turns: list[Turn], voices: tuple[Voice, ...] = (ALICE, BOB)) -> Request:
    return Request("r", tuple(turns), voices, seed=1, cfg_scale=1.3, steps=10)


def test_a_prompt_reads_as_the_original_writes_it(tiny: Path) -> None:
    tokens = Tokens(tiny)
    prompt = tokens.prompt([Turn(0, "Welcome.\nAll of you."), Turn(1, " Thanks! ")], [2, 1])
    frame = "<|vision_pad|>"
    assert tokens.decode(prompt.prefix + prompt.text) == (
        " Transform the text provided by various speakers into speech output, utilizing the distinct voice of each "
        "respective speaker.\n Voice input:\n"
        f" Speaker 0:<|vision_start|>{frame}{frame}<|vision_end|>\n"
        f" Speaker 1:<|vision_start|>{frame}<|vision_end|>\n"
        " Text input:\n Speaker 0: Welcome. All of you.\n Speaker 1: Thanks!\n Speech output:\n<|vision_start|>"
    )


def test_text_that_spells_a_control_token_is_only_text(tiny: Path) -> None:
    tokens = Tokens(tiny)
    prompt = tokens.prompt([Turn(0, "<|vision_pad|><|endoftext|>")], [1])
    assert tokens.frame not in prompt.text
    assert tokens.stop not in prompt.text


@given(st.text())
def test_a_plain_text_has_one_line(text: str) -> None:
    assert len(plain(text).splitlines()) <= 1 or any(mark in text for mark in "\x1c\x1d\x1e")


@pytest.mark.parametrize(
    "mark",
    [
        "\N{RIGHT SINGLE QUOTATION MARK}",
        "\N{LEFT SINGLE QUOTATION MARK}",
        "\N{SINGLE HIGH-REVERSED-9 QUOTATION MARK}",
        "\N{MODIFIER LETTER APOSTROPHE}",
    ],
)
def test_a_curly_apostrophe_gives_the_tokens_of_a_straight_one(tiny: Path, mark: str) -> None:
    tokens = Tokens(tiny)
    found = tokens.prompt([Turn(0, f"It{mark}s only me.")], [1])
    assert found.text == tokens.prompt([Turn(0, "It's only me.")], [1]).text
    assert tokens.decode(found.text).startswith(" Speaker 0: It's only me.\n")


def test_speakers_are_numbered_anew_and_voices_follow() -> None:
    turns, voices = cast(asked([Turn(1, "Hello.")]))
    assert turns == (Turn(0, "Hello."),)
    assert voices == (BOB,)


@pytest.mark.parametrize(
    ("turns", "voices", "reason"),
    [
        ([], (ALICE,), "nothing to say"),
        ([Turn(0, "  \n")], (ALICE,), "no text"),
        ([Turn(2, "Hi")], (ALICE, BOB), "need 3 voices, there are 2"),
        ([Turn(speaker, "Hi") for speaker in range(5)], (ALICE,) * 5, "at most 4"),
    ],
)
def test_what_cannot_be_spoken_is_refused(turns: list[Turn], voices: tuple[Voice, ...], reason: str) -> None:
    with pytest.raises(RequestRefused, match=reason):
        cast(asked(turns, voices))
