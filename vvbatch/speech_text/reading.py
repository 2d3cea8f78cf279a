"""How the lines of one script are read out: its own pronunciations, the home's lexicon, and numbers in words."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice

from vvbatch.profiles import Profile
from vvbatch.qc.language import code_of, language_of
from vvbatch.script.model import Normalise, Script, ScriptLine, ScriptTurn
from vvbatch.speech_text.lexicon import Pronunciation, says
from vvbatch.speech_text.normalise import normalised
from vvbatch.speech_text.pronunciation import pronounced, used

LOOKED_AT = 400  # turns, for the language of a script that does not declare it


@dataclass(frozen=True)
class Reading:
    language: str  # a tag
    own: Mapping[str, str]
    lexicon: Sequence[Pronunciation]  # those whose words the script has
    normalise: Normalise | None  # None: as the profile says
    _says: dict[tuple[str, str], Mapping[str, str]] = field(default_factory=dict)  # by voice and engine

    @classmethod
    def of(cls, script: Script, lexicon: Iterable[Pronunciation] = (), language: str | None = None) -> Reading:
        """`language` is that of the texts as a tag, where it is known."""
        texts = [turn.text for turn in _turns(script)]
        found = language or language_of(" ".join(islice(texts, LOOKED_AT))) or "en"
        entries = list(lexicon)
        there = set(used((entry.word for entry in entries), "\n".join(texts))) if entries else set()
        return cls(found, script.pronounce, [entry for entry in entries if entry.word in there], script.normalise)

    @property
    def words(self) -> frozenset[str]:
        """The words whose pronunciation the script or the lexicon gives."""
        return frozenset(self.own) | {entry.word for entry in self.lexicon}

    def line(self, line: ScriptLine, profile: Profile) -> ScriptLine:
        """The line with the texts that the profile is to speak, and what was written of those that differ."""
        turns = tuple(self._turn(turn, profile) for turn in line.turns)
        return line if turns == line.turns else replace(line, turns=turns)

    def _turn(self, turn: ScriptTurn, profile: Profile) -> ScriptTurn:
        kind = (turn.voice, profile.engine)
        if kind not in self._says:
            self._says[kind] = says(self.lexicon, self.own, self.language, *kind)
        text = pronounced(turn.text, self._says[kind])
        text = normalised(text, self.normalise or profile.text.normalise, code_of(self.language))
        if text == turn.text:
            return turn
        return replace(turn, text=text, written=turn.text if turn.written is None else turn.written)


def _turns(script: Script) -> Iterator[ScriptTurn]:
    return (turn for chapter in script.chapters for line in chapter.lines for turn in line.turns)
