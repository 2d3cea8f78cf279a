"""How long a text is when it is spoken, in characters: what `min_s_per_char` and `max_s_per_char` are multiplied by."""

from __future__ import annotations

import re
import unicodedata

# Measured on 63 English sentences of the draft voice: 0.047 s a character, residual 12 %; a pause is worth six.
PAUSE = 6.0
DIGIT = 5.5  # "seven", "twenty": digits are written much shorter than they are said
LONG_NUMBER_DIGIT = 7.5  # with its "million" and "hundred"
THOUSAND = 3.0  # the zeros of "100,000": one of many is "thousand", the others are silent
DIGITS = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"]
YEAR = 22.0  # four digits in a row are usually said as two numbers: "nineteen eighty-four"
SYMBOL = 7.0  # "percent", "dollars", "plus", "dot"
PICTURE = 16.0  # "smiling face"
SPELT_LETTER = 3.2  # in "BBC", "PDF"
LONE_LETTER = 6.0  # in "a, b, c"
ABBREVIATED_LETTER = 3.5  # in "Dr", "St", "Mrs"
SYLLABLE = 4.0  # scripts that write one syllable a character

WORDS = re.compile(r"\d+|[^\W\d_]+|[%&@#*/\\]|(?<=\d)\.(?=\d)|(?<=\w\w)\.(?=\w\w)")
PAUSES = re.compile(r"[,;:.!?—–…،。、！？；：।]+(?=\s|[\"”’')\]]|[^\W\d_])")
VOWELS = re.compile("[aeiouy]+")
VOWEL = re.compile("[aeiouy]|^[hms]{1,3}$", re.IGNORECASE)  # "Hmm" and "Shh" are no abbreviations


def spoken_length(text: str) -> float:
    """Characters of `text` as somebody would read it out, numbers and abbreviations written in full, pauses included.

    An estimate made for English and of use wherever words are spelt; 0 if there is nothing to speak.
    """
    plain = unicodedata.normalize("NFKD", unicodedata.normalize("NFKC", text))
    plain = "".join(char for char in plain if not unicodedata.combining(char)).strip()
    words = sum(_word_length(word) for word in WORDS.findall(plain))
    words += sum(PICTURE if kind == "So" else SYMBOL for kind in map(unicodedata.category, plain) if kind[0] == "S")
    return words + PAUSE * len(PAUSES.findall(plain)) if words else 0.0


def syllables(text: str) -> int:
    """About how many syllables a text has when it is spoken; an estimate for English, as `spoken_length` is."""
    plain = unicodedata.normalize("NFKC", text)
    return sum(_syllables(word) for word in WORDS.findall(plain))


def repeated_length(text: str) -> int:
    """Characters, as in `spoken_length`, of the longest stretch that a text says more than once ("every bit").

    Parts of words count: "responsibilities" and "capabilities" sound alike for half a second.
    """
    heard = "".join(f"{_as_heard(word)} " for word in WORDS.findall(unicodedata.normalize("NFKC", text)))
    longest = start = 0
    while start + 2 * longest < len(heard):
        if heard.find(heard[start : start + longest + 1], start + longest + 1) >= 0:
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


def _as_heard(word: str) -> str:
    """Letters, about as many as the sounds last."""
    if word.isdecimal():
        return "".join(f"{DIGITS[int(digit)]}ty" for digit in word)  # "sixty": they last longer than their names
    spelt = word.isupper() and len(word) > 1 and _word_length(word) > len(word) + 1
    return "".join(letter * 3 for letter in word.lower()) if spelt else word.lower()


def _word_length(word: str) -> float:
    first = word[0]
    if first.isdigit():
        if word == "000":
            return THOUSAND
        return YEAR if len(word) == 4 else (DIGIT if len(word) < 4 else LONG_NUMBER_DIGIT) * len(word)
    if not first.isalpha():
        return SYMBOL
    if not word.isascii():
        # One syllable a character from the Hangul and kana blocks on; other scripts are spelt with letters.
        return sum(SYLLABLE if "\u3040" <= char <= "\uffdc" else 1.0 for char in word) + 1
    if word.isupper() and len(word) > 1 and (len(word) <= 3 or not VOWEL.search(word)):
        return SPELT_LETTER * len(word)
    if len(word) == 1 and word not in "aAI":
        return LONE_LETTER
    if len(word) > 1 and word[0].isupper() and not VOWEL.search(word):
        return ABBREVIATED_LETTER * len(word)
    return len(word) + 1.0
