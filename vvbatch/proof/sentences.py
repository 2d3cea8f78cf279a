"""The 12 sentences of a proof, as a script.

Plain words that a small speech recogniser knows, 90 to 140 characters each, so that a take lasts 5 to 10 s: enough for
a reliable voice embedding and for a pace that single pauses do not decide.
"""

from __future__ import annotations

from pathlib import Path

from vvbatch.script.fields import NARRATOR
from vvbatch.script.ids import with_ids
from vvbatch.script.model import Chapter, Problems, Script, ScriptLine, ScriptTurn
from vvbatch.script.source import START

SENTENCES = (
    "The train was late again this morning, so we walked along the river and talked about the summer.",
    "My sister keeps a small garden behind her house, where she grows tomatoes, beans, and yellow flowers.",
    "Could you please close the window before you leave, because the rain is going to start very soon?",
    "He opened the letter slowly, read it twice, and then put it back on the table without saying a word.",
    "We have been working on this problem for a long time, and today we finally found a simple answer.",
    "The old bridge was built by hand more than a hundred years ago, and people still cross it every day.",
    "If you want to learn a new language, the best thing you can do is to speak it with your friends.",
    "After dinner the children ran outside to look at the stars, but the sky was full of heavy clouds.",
    "She told me that the museum is open until six, and that the first room is always the most crowded.",
    "What a wonderful surprise it was to see so many of our friends standing at the door with music!",
    "The doctor said that fresh air and a good night of sleep would help him more than any medicine.",
    "In the middle of the forest there is a quiet lake, and the water is so clear that you can see the ground.",
)
LONGEST_S_PER_CHARACTER = 0.2
"""A take may last this long: three times the median pace of real audio. A model that never ends is cut off there."""


def script(voice: str) -> Script:
    """The sentences as the lines of a script, all with one voice of the library."""
    chapter = Chapter("", tuple(_line(sentence, voice) for sentence in SENTENCES))
    return Script(Path("PROOF"), "\n".join(SENTENCES), "proof", None, None, with_ids([chapter], Problems()))


def _line(sentence: str, voice: str) -> ScriptLine:
    turn = ScriptTurn(NARRATOR, voice, sentence, START, START)
    return ScriptLine("", (turn,), START, max_duration_s=LONGEST_S_PER_CHARACTER * len(sentence))
