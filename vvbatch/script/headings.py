"""Headings and scene breaks in plain text: lines of a text that are not spoken."""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise

from vvbatch.script.characters import without_pictures, without_silent
from vvbatch.script.roman import PATTERN as ROMAN
from vvbatch.script.roman import value_of
from vvbatch.script.rows import Row, rows

LONGEST_TITLE = 100

_KINDS = (
    "chapter|part|book|volume|act|scene|canto|episode|section|letter|stave|kapitel|teil|buch|band|akt|chapitre|partie"
    "|livre|tome|acte|cap[ií]tulo|parte|libro|acto|capitolo|libro|atto|hoofdstuk|deel|kapitola|rozdzia[łl]|глава|часть"
    "|розділ|частина|κεφάλαιο|μέρος|kapittel|luku|osa|bölüm|kısım|fejezet|rész|capitolul|capítol|poglavlje|poglavje"
    "|kapitulli|část|časť|część|skyrius|nodaļa|peatükk|chương|caput|liber|ĉapitro|(?:ch|chap|kap|cap)\\."
)
_UNITS = "one|two|three|four|five|six|seven|eight|nine"
_TEENS = "ten|eleven|twelve|thirteen|fourteen|fifteen|sixteen|seventeen|eighteen|nineteen"
_TENS = "twenty|thirty|forty|fifty|sixty|seventy|eighty|ninety"
_ORDINALS = (
    "first|second|third|fourth|fifth|sixth|seventh|eighth|ninth|tenth|eleventh|twelfth|last"
    "|(?:erst|zweit|dritt|viert|fünft|sechst|siebt|acht|neunt|zehnt|elft|zwölft|letzt)e[rs]?"
    "|premi(?:er|ère)|deuxième|seconde?|troisième|quatrième|cinquième|sixième|septième|huitième|neuvième|dixième"
    "|derni(?:er|ère)|primer[oa]?|segund[oa]|tercer[oa]?|cuart[oa]|quint[oa]|sext[oa]|séptim[oa]|octav[oa]|noven[oa]"
    "|décim[oa]|últim[oa]|prim[oa]|second[oa]|terz[oa]|quart[oa]|sest[oa]|settim[oa]|ottav[oa]|non[oa]|decim[oa]"
    "|ultim[oa]|primeir[oa]|terceir[oa]|sétim[oa]|oitav[oa]|eerste|tweede|derde|vierde|vijfde|zesde|första|andra|tredje"
)
_WORDS = (
    rf"(?:{_TENS})(?:[- ](?:{_UNITS}))?|{_TEENS}|{_UNITS}|(?:the[ ])?(?:{_ORDINALS})"
    "|eins|zwei|drei|vier|fünf|sechs|sieben|acht|neun|zehn|elf|zwölf|un|deux|trois|quatre|cinq|six|sept|huit|neuf|dix"
    "|uno|dos|tres|cuatro|cinco|seis|siete|ocho|nueve|diez|due|tre|quattro|cinque|sei|sette|otto|nove|dieci"
)
_NTH = rf"[0-9]{{1,3}}(?:st|nd|rd|th|\.|[ºª°]|e|er|re|ère|ème)?|{_ORDINALS}"
_CHAPTER = re.compile(
    rf"(?P<bare>(?:{_KINDS})(?:[ ]|(?<=\.))(?:[0-9]{{1,4}}|{ROMAN}|{_WORDS})(?![\w-]))"
    r"(?P<mark>[ ]?[:.–—-])?(?:(?:[ ]|(?<=:))(?P<title>\S.*))?",
    re.IGNORECASE,
)
_NTH_CHAPTER = re.compile(
    rf"(?:the[ ])?(?:{_NTH})[ ](?:{_KINDS})(?![\w-])(?P<mark>[ ]?[:.–—-])?(?:[ ](?P<title>\S.*))?", re.IGNORECASE
)
_CHINESE = re.compile(r"[第제][0-9０-９零〇一二三四五六七八九十百千两]{1,7}[章回节節卷部話话集장부화](?:$|[\s:：·].*)")
_NAMED = re.compile(
    r"(?:prologue|epilogue|introduction|preface|foreword|afterword|interlude|conclusion|dedication|acknowledge?ments"
    r"|appendix(?:[ ][A-Z0-9])?|prolog|epilog|vorwort|nachwort|einleitung|prólogo|epílogo|introducción|prologo|epilogo"
    r"|introduzione|avant-propos|épilogue)(?P<mark>[:.])?(?:[ ](?P<title>\S.*))?",
    re.IGNORECASE,
)
_MARKDOWN = re.compile(r"(#{1,6})[ ]+(\S.*?)(?:[ ]+#+)?")
_UNDERLINE = re.compile(r"={3,}|-{3,}")
_NUMERAL = re.compile(rf"(?:(?P<roman>{ROMAN.upper()})|(?P<digits>[1-9][0-9]{{0,2}}))\.?")

# Punctuation of sentences: a line of it alone is a silence of somebody who speaks, as `…` or `?!`, and no ornament.
_OF_SENTENCES = ".…‥⋯・?!,;:'\"«»‹›“”„‟‘’‚‛`´¿¡。，、；：？！「」『』《》〈〉&"
_BREAK = re.compile(
    rf"[\[({{<]?(?:[^\w\s()\[\]{{}}{re.escape(_OF_SENTENCES)}]|_|\s)+[\])}}>]?"
    r"|[-~=*\s]*(?:o0o|oOo|0o0|x(?:[ ]x){2,})[-~=*\s]*|\.(?:[ ]\.){2,}"
    r"|<hr(?:[ ][^<>]*)?/?>|\\(?:pagebreak|newpage|hrulefill)|[\W_]*(?:scene|section)[ ]break[\W_]*",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Heading:
    start: int  # indices in the text
    end: int
    title: str
    level: int = 0  # of a Markdown heading, 1 to 6


def is_break(row: str) -> bool:
    """Whether a line consists of ornaments only, as between two scenes: of symbols, but not of a sentence's marks."""
    plain = without_silent(without_pictures(row)).strip()
    return not plain or bool(_BREAK.fullmatch(plain))


_FRAME = re.compile(r"(?P<open>[*_=~#•·\-–—\[(]+)[ ]?(?P<text>[^\W_].*[^\W_][.:]?)[ ]?(?P<close>[*_=~#•·\-–—\])]+)")
_BOLD = re.compile(r"([*_]{1,3})([^*_]+)\1")


def _unframed(row: str) -> str:
    """A line with single spaces and without what frames it, as in `**Chapter 1**`, `== Chapter 1 ==`, `[Chapter 1]`."""
    row = " ".join(row.split())
    found = _FRAME.fullmatch(row)
    return found["text"] if found else row


def is_number(text: str) -> bool:
    """Whether a heading is the number of its chapter and no more: `Chapter 3`, `IV.`"""
    found = _CHAPTER.fullmatch(text)
    return not found["title"] if found else bool(_NUMERAL.fullmatch(text))


def headings(text: str) -> list[Heading]:
    """The headings of a plain text in their order: those of Markdown, `Chapter 3: The Lamp`, `PROLOGUE`, and numerals
    that stand alone and count on."""
    found: list[Heading] = []
    numerals = _Numerals()
    before: Row | None = None
    for row in (row._replace(text=without_silent(row.text)) for row in rows(text)):
        heading = _markdown(row) or _underlined(before, row) or _chapter(text, row)
        if heading and not (found and heading.start < found[-1].end):
            found.append(heading)
        elif row.alone:
            numerals.add(row)
        before = row
    return sorted([*found, *numerals.headings()], key=lambda heading: heading.start)


def _markdown(row: Row) -> Heading | None:
    found = _MARKDOWN.fullmatch(row.text)
    if not found or len(found[2]) > LONGEST_TITLE or not re.search(r"[^\W_]", found[2]):
        return None
    return Heading(row.start, row.end, found[2], len(found[1]))


def _underlined(title: Row | None, row: Row) -> Heading | None:
    """A line of its own over a line of `===` or `---`."""
    if not title or not title.first or not row.last or row.first or not _UNDERLINE.fullmatch(row.text):
        return None
    if len(title.text) > LONGEST_TITLE or title.text[-1] in ".,;:!?…" or is_break(title.text):
        return None
    return Heading(title.start, row.end, title.text, 1 if row.text[0] == "=" else 2)


def _chapter(text: str, row: Row) -> Heading | None:
    if not row.first or len(row.text) > LONGEST_TITLE + 30:
        return None
    row = row._replace(text=_unframed(row.text))
    found = _CHAPTER.fullmatch(row.text)
    title = found["title"] if found else None
    if found and not title:
        below = _title_below(text, row)
        if below:
            return Heading(row.start, below.end, f"{found['bare']}: {below.text}")
        return Heading(row.start, row.end, found["bare"])
    if found and title and row.last and _is_title(title, strict=not found["mark"]):
        return Heading(row.start, row.end, row.text)
    nth = _NTH_CHAPTER.fullmatch(row.text)
    if nth and row.last and not row.text[0].islower():
        bare = not nth["title"] and (nth["mark"] != "." or _is_title(row.text[:-1], strict=True))
        if bare or (nth["mark"] and nth["title"] and _is_title(nth["title"], strict=True)):
            return Heading(row.start, row.end, row.text.rstrip(".:"))
    named = _NAMED.fullmatch(row.text)
    if named and row.last and (not named["title"] or (named["mark"] and _is_title(named["title"], strict=True))):
        return Heading(row.start, row.end, row.text.rstrip(".:"))
    if _CHINESE.fullmatch(row.text) and row.last:
        return Heading(row.start, row.end, row.text)
    return None


def _title_below(text: str, row: Row) -> Row | None:
    """The second line of a heading in two lines, as in `CHAPTER I.` over `Down the Rabbit-Hole`."""
    if row.last:
        return None
    below = next(rows(text, row.end))
    return below if below.last and _is_title(below.text, strict=True) else None


_IN_TITLES = (
    "a an and as at but by for from in into of off on or out over the to up with de la le les du des el los las y e "
    "il lo gli di da del und der die das den dem des von vom zu zum zur im am ein eine van het een"
)
_SMALL_WORDS = frozenset(_IN_TITLES.split())


def _is_title(text: str, *, strict: bool) -> bool:
    """Whether a text may be a title. If `strict`, its words are capitalised and it does not end as a sentence does."""
    if len(text) > LONGEST_TITLE or not re.search(r"[^\W_]", text) or re.search(r"[.!?…][”’\"')]*\s+\S", text):
        return False
    if not strict:
        return True
    words = re.findall(r"[^\W\d_][\w'’]*", text)
    capital = all(word in _SMALL_WORDS or not word[0].islower() for word in words)
    return capital and bool(words) and text[-1] not in ".,;:"


class _Numerals:
    """Lines of a text that are one numeral: chapters if they count on, or if one has several Roman digits."""

    def __init__(self) -> None:
        self.roman: list[tuple[int, Row]] = []
        self.digits: list[tuple[int, Row]] = []

    def add(self, row: Row) -> None:
        bold = _BOLD.fullmatch(row.text)
        row = row._replace(text=bold[2]) if bold else row
        found = _NUMERAL.fullmatch(row.text)
        if found and (value := value_of(found["roman"] or "")):
            self.roman.append((value, row))
        elif found:
            self.digits.append((int(found["digits"]), row))

    def headings(self) -> Iterable[Heading]:
        values = sorted({value for value, _ in self.roman})
        for value, row in self.roman:
            if len(row.text.rstrip(".")) > 1 or _has(values, value - 1) or _has(values, value + 1):
                yield Heading(row.start, row.end, row.text.rstrip("."))
        counted = [value for value, _ in self.digits]
        if len(counted) > 1 and counted == list(range(1, len(counted) + 1)) and self._apart():
            yield from (Heading(row.start, row.end, row.text.rstrip(".")) for _, row in self.digits)

    def _apart(self) -> bool:
        """Whether there is text between the numbers; a text that only counts is spoken."""
        rows = [row for _, row in self.digits]
        return all(after.number > before.number + 1 for before, after in pairwise(rows))


def _has(values: list[int], value: int) -> bool:
    index = bisect_left(values, value)
    return index < len(values) and values[index] == value
