"""Characters that carry no sound: taken out of a text before it is spoken."""

from __future__ import annotations

import re
import unicodedata

# Unicode's Default_Ignorable_Code_Point (DerivedCoreProperties.txt) without the joiners, and the marks of interlinear
# annotations. Where `UNSPEAKABLE` has one of them too, the script is refused.
_SILENT = re.compile(
    "[\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b\u200e\u200f\u202a-\u202e\u2060-\u206f\u3164"
    "\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufffb\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff]"
)
_JOINERS = "\u200c\u200d"
# Scripts in which a joiner changes the shape and sometimes the meaning of a word: Arabic to Hanifi Rohingya, and
# those that descend from Brahmi.
_JOINED = (
    "\u0620-\u08ff\u0900-\u0dff\u0f00-\u109f\u1780-\u18af\u1a00-\u1cff\ua800-\ua8ff\ua930-\uaadf\uabc0-\uabff"
    "\ufb50-\ufdff\ufe70-\ufefc\U00010a00-\U00010fff\U00011000-\U00011fff"
)
_JOINER_RUN = re.compile(f"[{_JOINERS}]+")
_JOINS = re.compile(f"[{_JOINED}]")
_VIRAMA = 9  # combining class of the sign that takes a consonant's vowel away

# Emoji and pictographs, with a keycap's frame. Not signs that are read aloud or written as punctuation: digits, letters
# in circles, accidentals of music, (C), (R), TM, and arrows unless a variation selector makes them pictures.
_PICTURE = (
    "\u231a\u231b\u2328\u23cf\u23e9-\u23f3\u23f8-\u23fa\u25aa\u25ab\u25b6\u25c0\u25fb-\u25fe\u2600-\u266c"
    "\u2670-\u2767\u2794-\u27bf\u2934\u2935\u2b05-\u2b07\u2b1b\u2b1c\u2b50\u2b55\u3030\u303d\u3297\u3299\ufffc"
    "\U0001f000-\U0001f0ff\U0001f16c-\U0001f171\U0001f17e\U0001f17f\U0001f18e\U0001f191-\U0001f1ff"
    "\U0001f201-\U0001f20f\U0001f21a\U0001f22f\U0001f232-\U0001f23a\U0001f250-\U0001faff"
)
_AS_PICTURE = "[\u2190-\u21ff\u24c2]\ufe0f"
_PICTURES = re.compile(f"(?:{_AS_PICTURE}|[{_PICTURE}])(?:[{_PICTURE}\u200d\ufe0e\ufe0f\u20e3\U000e0020-\U000e007f])*")
_KEYCAP = re.compile("\ufe0f?\u20e3")
_GAP = "\ufffc"  # stands for pictures until the spaces around them are put right
_EMPTY_BRACKETS = re.compile(rf"\( ?{_GAP}(?: ?{_GAP})* ?\)")
_GAP_BEFORE_PUNCTUATION = re.compile(rf" ?{_GAP}(?: ?{_GAP})*(?=[.,;:!?…)\]}}»”’、。，！？]|\Z)")
_GAP_IN_WORD = re.compile(rf"(?<=\w){_GAP}+(?=\w)")

# What an editor or a font puts in the place of a character: the replacement character, private use, noncharacters.
_LOST = re.compile("[\ufffd\ue000-\uf8ff\ufdd0-\ufdef\U000f0000-\U0010ffff]")

_ANY = re.compile("|".join(["\u2800", *(each.pattern for each in (_SILENT, _JOINER_RUN, _PICTURES, _KEYCAP, _LOST))]))


def may_be_silent(text: str) -> bool:
    """Whether a text has a character that one of the functions below takes out, or looks at."""
    return bool(_ANY.search(text))


def without_silent(text: str) -> str:
    """`text` without characters that are invisible and carry no sound; a blank braille cell is a space."""
    return _joined(_SILENT.sub("", text)).replace("\u2800", " ")


def _joined(text: str) -> str:
    """`text` with joiners only where a script needs them: between two of its letters, or after a virama."""

    def kept(run: re.Match[str]) -> str:
        before, after = text[run.start() - 1 : run.start()], text[run.end() : run.end() + 1]
        needed = _JOINS.match(before) and (_JOINS.match(after) or unicodedata.combining(before) == _VIRAMA)
        return run[0][0] if needed else ""

    return _JOINER_RUN.sub(kept, text)


def pictures(text: str) -> list[str]:
    """The emoji and pictographs of a text, each once, in their order."""
    return list(dict.fromkeys(found[0] for found in _PICTURES.finditer(text)))


def without_pictures(text: str) -> str:
    """`text` without them, with the spaces and punctuation of a text that never had them. Its spaces must be single."""
    text = _PICTURES.sub(_GAP, _KEYCAP.sub("", text))
    if _GAP not in text:
        return text
    text = _GAP_BEFORE_PUNCTUATION.sub("", _EMPTY_BRACKETS.sub(_GAP, text))
    return _GAP_IN_WORD.sub(" ", text).replace(_GAP, "")


def lost(text: str) -> list[str]:
    """The characters of a text that stand for another one which was lost, each once, in their order."""
    return list(dict.fromkeys(_LOST.findall(text)))


def without_lost(text: str) -> str:
    return _LOST.sub("", text)
