"""Roman numerals after words such as "chapter", which count, and after the names of rulers, which order."""

from __future__ import annotations

import re

from vvbatch.script.roman import value_of

COUNTED = {
    "en": "act article book canto chapter page part scene section volume",
    "de": "abschnitt akt artikel band buch kapitel seite szene teil",
    "fr": "acte article chant chapitre livre page partie scène section tome volume",
    "es": "acto artículo capítulo canto escena libro página parte sección tomo volumen",
    "it": "articolo atto canto capitolo libro pagina parte scena sezione tomo volume",
    "pt": "artigo ato canto capítulo cena livro página parte seção tomo volume",
}
"""The words before a numeral that is read as a cardinal, by ISO 639-1 code."""

RULERS = """Afonso Albert Albrecht Alessandro Alexander Alexandre Alfonso Amenhotep Antiochus Artaxerxes August Augustus
    Baldwin Benedict Benedikt Benedetto Benoît Bonifatius Boniface Carl Carlo Carlos Casimir Caterina
    Catherine Charles Christian Clemens Clement Clément Constantine Cosimo Darius Edmund Eduard Eduardo
    Edward Elisabeth Elisabetta Elizabeth Emanuele Emmanuel Enrico Enrique Erich Erik Ethelred Federico
    Felipe Ferdinand Ferdinando Fernando Filippo Francesco Francis Francisco François Franz Frederick
    Frédéric Friedrich Georg George Georges Gregor Gregory Grégoire Gustaf Gustav Gustavus Haakon Harald
    Harold Heinrich Henri Henrique Henry Innocent Innozenz Isabel Isabella Iwan Ivan Jacques Jakob James
    Jean João John Johann Johannes Joseph Juan Julius Justinian Karl Katharina Konrad Konstantin Leo Leone
    Leopold Louis Ludwig Luis Luigi Léon Léopold Magnus Manuel Margaret Margrethe Maria Marie Mary
    Maximilian Mehmed Michael Murad Napoleon Napoleone Napoléon Nicholas Nicolas Nikolaus Olaf Olav Oscar
    Otto Paolo Paul Pedro Peter Philip Philipp Philippe Pie Pierre Pio Pius Ptolemy Ramesses Ramses Richard
    Robert Roger Rudolf Selim Sigismund Sixtus Stephen Suleiman Theodor Thutmose Umberto Urban Valdemar
    Victor Viktor Vittorio Wenceslas Wenzel Wilhelm Willem William Xerxes"""
WOMEN = re.compile(r"(?:a|Elisabeth|Elizabeth|Catherine|Isabel|Marie|Mary|Margaret|Margrethe)$")
TITLES = "King Queen Pope Emperor Empress Tsar Czar König Königin Kaiser Kaiserin Papst roi reine pape rey reina re rei"

_CAPITALS = r"(?:[IVX]|[IVXLC]{2,12})"
# Small letters are numerals only where no such word exists: "vi" is "I saw" in Spanish and "you" in Italian.
_SMALL = {"en": "[ivxl]{2,12}", "de": "[ivxl]{2,12}"}
_NUMERAL = {
    language: rf"(?:{_CAPITALS}|{small})" if (small := _SMALL.get(language)) else _CAPITALS for language in COUNTED
}
_JOIN = r"(?:,?\s(?:and|und|et|y|e|to|bis|à)\s|,\s|\s?[-–&]\s?)"
_COUNTED = {
    language: re.compile(
        rf"\b(?P<word>(?i:{'|'.join(words.split())})(?i:n|en|e|s|es)?)\s"
        rf"(?P<numerals>{_NUMERAL[language]}(?:{_JOIN}{_NUMERAL[language]})*)(?!['’.]?\w)"
    )
    for language, words in COUNTED.items()
}

_PREDICATES = "is|has|begins|ends|opens|starts|closes|contains|covers|deals|describes|follows|shows|tells"
"""Verbs of the third person: "Part I begins", but "this part I like"."""
_PRONOUN = re.compile(rf"\s(?!(?:of|and|in|{_PREDICATES})\b)[a-z]")
"""What follows an English "I" that may be the subject of a sentence."""
_NO_PRONOUN = re.compile(
    rf"\s*$|[.:;!?)\]]|\s(?:of|{_PREDICATES})\b|(?:,\s|,?\s(?:and|to)\s)(?i:{'|'.join(COUNTED['en'].split())})\b"
)
"""What follows an "I" that cannot be one, also behind a word in small letters: "see part I.", "part I of it"."""

_RULER = re.compile(
    rf"\b(?P<title>(?i:{'|'.join(TITLES.split())})\s(?:\w+\s)?)?(?P<name>{'|'.join(RULERS.split())})\s"
    r"(?P<numeral>[IVX]{1,6})(?P<ending>\.|er|re|ère)?(?!\w)"
)
_TENTH = 10  # up to which Spanish and Portuguese rulers are ordered; those after are counted


def in_words(text: str, language: str) -> str:
    """`text` with these numerals in words, in a language by its ISO 639-1 code; as it is in a language without rules.

    A single C, D, L or M is a letter ("Part C"). An English "I" stays where it may be the pronoun: "Chapter I begins"
    and "in part I of the book" have a number, "For the most part I agree" and "With Charles I went" have not.
    """
    if language not in COUNTED:
        return text
    text = _COUNTED[language].sub(lambda found: _counted(found, language), text)
    return _RULER.sub(lambda found: _ordered(found, language), text)


def _counted(found: re.Match[str], language: str) -> str:
    from spokenform.number_words import cardinal

    def word(numeral: re.Match[str]) -> str:
        value = value_of(numeral[0])
        return cardinal(value, language) if value else numeral[0]

    numerals, kept = found["numerals"], ""
    if language == "en" and re.search(r"\bI$", numerals) and _may_be_pronoun(found):
        numerals, kept = numerals[:-1], "I"
    before = found[0][: found.start("numerals") - found.start()]
    return before + re.sub(rf"\b{_NUMERAL[language]}\b", word, numerals) + kept


def _may_be_pronoun(found: re.Match[str]) -> bool:
    """Whether the last "I" behind a counted word can be the subject of what follows: "Book II, I think"."""
    rest = found.string[found.end() :]
    if found["numerals"] == "I" and found["word"][0].islower():
        return not _NO_PRONOUN.match(rest)
    return bool(_PRONOUN.match(rest))


def _ordered(found: re.Match[str], language: str) -> str:
    value = value_of(found["numeral"])
    rest = found.string[found.end() :]
    ending = found["ending"] if found["ending"] == "." else ""
    subject = language == "en" and found["numeral"] == "I" and not found["title"] and not ending
    if not value or (subject and _PRONOUN.match(rest)):
        return found[0]
    # In German a point makes the ordinal, and ends a sentence only where one begins behind it.
    if language == "de" and re.match(r"\s+[a-zäöü]|,", rest):
        ending = ""
    words = _ordinal(value, language, bool(WOMEN.search(found["name"])))
    return f"{found[0][: found.start('numeral') - found.start()]}{words}{ending}"


def _ordinal(value: int, language: str, woman: bool) -> str:
    from spokenform.number_words import cardinal, ordinal

    if language == "en":
        return f"the {ordinal(value, language).replace('-', ' ')}"
    if language == "de":
        return f"{'die' if woman else 'der'} {ordinal(value, language).capitalize()}"
    if language == "fr":
        return cardinal(value, language) if value > 1 else "première" if woman else "premier"
    if language in ("es", "pt") and value > _TENTH:
        return cardinal(value, language)
    words = ordinal(value, language)
    return words[:-1] + "a" if woman and words.endswith("o") else words
