"""Estimates the length of a text when it is spoken, in characters and in syllables, for the checks of duration."""

from __future__ import annotations

import re
import unicodedata

# Fitted to 63 English sentences of the draft voice: 0.047 s per character, residual 12 %.
PAUSE = 6.0  # at a punctuation mark
DIGIT = 5.5  # "seven", "twenty"
LONG_NUMBER_DIGIT = 7.5  # with its "million" and "hundred"
THOUSAND = 3.0  # a group "000": one is spoken as "thousand", the others are silent
DIGITS = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"]
YEAR = 22.0  # four digits are usually spoken as two numbers: "nineteen eighty-four"
SYMBOL = 7.0  # "percent", "dollars", "plus", "dot"
PICTURE = 16.0  # "smiling face"
SPELLED_LETTER = 3.2  # in "BBC", "PDF"
LONE_LETTER = 6.0  # in "a, b, c"
ABBREVIATED_LETTER = 3.5  # in "Dr", "St", "Mrs"
SYLLABLE = 4.0  # a character in a script that writes one syllable per character

WORDS = re.compile(r"\d+|[^\W\d_]+|[%&@#*/\\]|(?<=\d)\.(?=\d)|(?<=\w\w)\.(?=\w\w)")
PAUSES = re.compile(r"[,;:.!?—–…،。、！？；：।]+(?=\s|[\"”’')\]]|[^\W\d_])")
VOWELS = re.compile("[aeiouy]+")
VOWEL = re.compile("[aeiouy]|^[hms]{1,3}$", re.IGNORECASE)  # "Hmm" and "Shh" are not abbreviations


def spoken_length(text: str) -> float:
    """The length of `text` in characters when numbers and abbreviations are written out, pauses included.

    An estimate for English, usable for other alphabetic scripts; 0 if there is nothing to speak. Multiply it by
    `min_s_per_char` and `max_s_per_char` for the limits in seconds.
    """
    plain = unicodedata.normalize("NFKD", unicodedata.normalize("NFKC", text))
    plain = "".join(char for char in plain if not unicodedata.combining(char)).strip()
    words = sum(_word_length(word) for word in WORDS.findall(plain))
    words += sum(PICTURE if kind == "So" else SYMBOL for kind in map(unicodedata.category, plain) if kind[0] == "S")
    return words + PAUSE * len(PAUSES.findall(plain)) if words else 0.0


def syllables(text: str) -> int:
    """The estimated number of syllables of an English text when it is spoken."""
    plain = unicodedata.normalize("NFKC", text)
    return sum(_syllables(word) for word in WORDS.findall(plain))


def repeated_length(text: str) -> int:
    """The length, in characters as in `spoken_length`, of the longest stretch that occurs twice in a text.

    Parts of words count: "responsibilities" and "capabilities" sound alike for half a second.
    """
    sounds = "".join(f"{_sounds(word)} " for word in WORDS.findall(unicodedata.normalize("NFKC", text)))
    longest = start = 0
    while start + 2 * longest < len(sounds):
        if sounds.find(sounds[start : start + longest + 1], start + longest + 1) >= 0:
            longest += 1
        else:
            start += 1
    return longest


def word_count(text: str) -> int:
    return len(WORDS.findall(unicodedata.normalize("NFKC", text)))


def _syllables(word: str) -> int:
    if word.isascii() and word.isalpha() and not (word.isupper() and len(word) > 1):
        groups = len(VOWELS.findall(word.lower()))
        silent = word.lower().endswith("e") and not word.lower().endswith("le") and groups > 1
        return max(groups - silent, 1)
    return max(round(_word_length(word) / SYLLABLE), 1)


def _sounds(word: str) -> str:
    """The word in letters whose number is roughly proportional to its duration."""
    if word.isdecimal():
        return "".join(f"{DIGITS[int(digit)]}ty" for digit in word)  # "sixty": digits take longer than their names
    spelled = word.isupper() and len(word) > 1 and _word_length(word) > len(word) + 1
    return "".join(letter * 3 for letter in word.lower()) if spelled else word.lower()


def _word_length(word: str) -> float:
    first = word[0]
    if first.isdigit():
        if word == "000":
            return THOUSAND
        return YEAR if len(word) == 4 else (DIGIT if len(word) < 4 else LONG_NUMBER_DIGIT) * len(word)
    if not first.isalpha():
        return SYMBOL
    if not word.isascii():
        # U+3040 to U+FFDC (kana, CJK, Hangul): one syllable per character. Other scripts are alphabetic.
        return sum(SYLLABLE if "\u3040" <= char <= "\uffdc" else 1.0 for char in word) + 1
    if word.isupper() and len(word) > 1 and (len(word) <= 3 or not VOWEL.search(word)):
        return SPELLED_LETTER * len(word)
    if len(word) == 1 and word not in "aAI":
        return LONE_LETTER
    if len(word) > 1 and word[0].isupper() and not VOWEL.search(word):
        return ABBREVIATED_LETTER * len(word)
    return len(word) + 1.0
