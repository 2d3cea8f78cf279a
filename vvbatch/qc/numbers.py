"""How a number is said, in English words. Other languages use words of about the same length."""

from __future__ import annotations

import unicodedata

ONES = (
    *("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve"),
    *("thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen"),
)
TENS = ("zero", "ten", "twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety")
SCALES = (
    *("thousand", "million", "billion", "trillion", "quadrillion", "quintillion", "sextillion", "septillion"),
    *("octillion", "nonillion", "decillion"),
)
LONGEST = 3 * (len(SCALES) + 1)  # digits of a number that has a name
YEARS = range(1100, 2100)
PHONE = 8  # digits: a longer number without separators is usually read digit by digit, unless it ends in zeros


def digits_of(number: str) -> str:
    """The ASCII digits of a number in any script, without separators."""
    return "".join(str(unicodedata.decimal(char)) for char in number if char.isdecimal())


def readings(number: str) -> list[list[str]]:
    """The ways to say a number, each as words, the usual one first: "1984" as a year, a cardinal, or digit by digit.

    `number` may have separators between its groups of three digits.
    """
    digits = digits_of(number)
    ways = [spelled(digits)]
    if len(digits) <= LONGEST and (digits[0] != "0" or len(digits) == 1):
        code = len(digits) > PHONE and not digits.endswith("000") and number.isdecimal()
        ways.insert(1 if code else 0, cardinal(int(digits)))
    if len(digits) == 4 and digits[0] != "0":
        pairs = [*cardinal(int(digits[:2])), *(cardinal(int(digits[2:])) if digits[2:] != "00" else ["hundred"])]
        usual = number.isdecimal() and int(digits) in YEARS and digits[1:] != "000"
        ways.insert(0 if usual else 1, pairs)
    return ways


def spelled(digits: str) -> list[str]:
    return [ONES[int(digit)] for digit in digits]


def cardinal(number: int) -> list[str]:
    """The words of a whole number below 10 ** LONGEST."""
    words: list[str] = []
    for power in range(len(SCALES), -1, -1):
        group = number // 1000**power % 1000
        if group:
            words += [*_below_thousand(group), *([SCALES[power - 1]] if power else [])]
    return words or ["zero"]


def _below_thousand(number: int) -> list[str]:
    words = [ONES[number // 100], "hundred"] if number >= 100 else []
    rest = number % 100
    if rest >= 20:
        words.append(TENS[rest // 10])
        rest %= 10
    return [*words, ONES[rest]] if rest else words
