"""The original's prompt, token for token: what the model reads before it speaks."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tokenizers import Tokenizer

from vvbatch.engine.contract import EngineUnavailable, Request, RequestRefused, Turn, Voice

SYSTEM = (
    " Transform the text provided by various speakers into speech output,"
    " utilizing the distinct voice of each respective speaker.\n"
)
MAX_SPEAKERS = 4
APOSTROPHES = str.maketrans(dict.fromkeys("\u2018\u2019\u201b\u02bc", "'"))
"""‘ ’ ‛ ʼ"""


@dataclass(frozen=True)
class Prompt:
    """`prefix` depends on the voices alone, `text` on what is said."""

    prefix: list[int]
    text: list[int]

    def __len__(self) -> int:
        return len(self.prefix) + len(self.text)


class Tokens:
    """The tokenizer and the four tokens that the model chooses from."""

    def __init__(self, folder: Path) -> None:
        file = folder / "tokenizer.json"
        if not file.is_file():
            raise EngineUnavailable(f"{file} is missing: pull the model's tokenizer ({folder.name}) again")
        try:
            self._tokenizer = Tokenizer.from_file(str(file))
        except Exception as error:  # the only type that the library raises
            raise EngineUnavailable(f"{file} cannot be read: {error}") from error
        # Text that spells a control token is spoken like any other text.
        self._tokenizer.encode_special_tokens = True
        self.start = self._control(file, "<|vision_start|>")
        self.end = self._control(file, "<|vision_end|>")
        self.frame = self._control(file, "<|vision_pad|>")
        self.stop = self._control(file, "<|endoftext|>")

    def _control(self, file: Path, token: str) -> int:
        number = self._tokenizer.token_to_id(token)
        if number is None:
            raise EngineUnavailable(f"{file} has no token {token}: not the tokenizer of a VibeVoice model")
        return int(number)

    def encode(self, text: str) -> list[int]:
        return list(self._tokenizer.encode(text, add_special_tokens=False).ids)

    def decode(self, tokens: Sequence[int]) -> str:
        return str(self._tokenizer.decode(list(tokens), skip_special_tokens=False))

    def prompt(self, turns: Sequence[Turn], frames: Sequence[int]) -> Prompt:
        """`frames`: how many frames each speaker's voice has, speakers numbered from 0."""
        prefix = self.encode(SYSTEM) + self.encode(" Voice input:\n")
        for speaker, count in enumerate(frames):
            prefix += self.encode(f" Speaker {speaker}:")
            prefix += [self.start, *[self.frame] * count, self.end, *self.encode("\n")]
        prefix += self.encode(" Text input:\n")
        text: list[int] = []
        for turn in turns:
            text += self.encode(f" Speaker {turn.speaker}: {plain(turn.text)}\n")
        text += [*self.encode(" Speech output:\n"), self.start]
        return Prompt(prefix, text)


def plain(text: str) -> str:
    """The text on one line, with straight apostrophes: the original's own programs replace curly ones as well, and the
    model was trained on texts without them."""
    return re.sub(r"\s*[\r\n\v\f\x85\u2028\u2029]\s*", " ", text.strip()).translate(APOSTROPHES)


def cast(request: Request) -> tuple[tuple[Turn, ...], tuple[Voice, ...]]:
    """The request's turns with the speakers who speak numbered from 0, and their voices in that order.

    Raises RequestRefused when the text or the list of voices is empty.
    """
    if not request.turns:
        raise RequestRefused("there is nothing to say")
    speaking = sorted({turn.speaker for turn in request.turns})
    if not 0 <= speaking[0] <= speaking[-1] < len(request.voices):
        raise RequestRefused(f"speakers {speaking} need {speaking[-1] + 1} voices, there are {len(request.voices)}")
    if len(speaking) > MAX_SPEAKERS:
        raise RequestRefused(f"{len(speaking)} speakers in one take: the model knows at most {MAX_SPEAKERS}")
    if any(not turn.text.strip() for turn in request.turns):
        raise RequestRefused("a turn has no text")
    number = {speaker: index for index, speaker in enumerate(speaking)}
    turns = tuple(Turn(number[turn.speaker], turn.text) for turn in request.turns)
    return turns, tuple(request.voices[speaker] for speaker in speaking)
