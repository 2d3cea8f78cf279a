from __future__ import annotations

import pytest

from vvbatch.qc.language import foreign_letters, language_of, other_than, unspoken

TEXTS = {
    "en": ["The lamp went out at midnight, and no sailor came.", "Good evening.", "Who's there?", "It was a café.",
           "Look, I know, I'm sorry, alright?", "The word 你好 means hello in Chinese."],
    "de": ["Guten Morgen!", "Der alte Leuchtturm stand auf der Insel.", "Was ist das?"],
    "fr": ["Merci beaucoup.", "L'eau est froide.", "Il était une fois un petit village.", "C’est d’accord."],
    "es": ["Hola, ¿qué tal?", "El perro corre por la calle."],
    "it": ["Ciao, come stai?", "La casa è bella."],
    "pt": ["Bom dia, como você está?"],
    "nl": ["Goedemorgen, hoe gaat het?"],
    "sv": ["Jag är här och du är där."],
    "pl": ["Dzień dobry, jak się masz?"],
    "cs": ["Dobrý den, jak se máte?"],
    "hu": ["Jó reggelt, hogy van?"],
    "fi": ["Hyvää huomenta, mitä kuuluu?"],
    "tr": ["Bu çok güzel bir gün."],
    "id": ["Selamat pagi, apa kabar?"],
    "vi": ["Xin chào, tôi là người Việt."],
    "sw": ["Habari ya asubuhi"],
    "zh": ["你好,世界。", "我用 Python 写了一个很长的程序。"],
    "ja": ["今日はいい天気です"],
    "ko": ["안녕하세요"],
    "ru": ["Привет, как дела?"],
    "uk": ["Привіт, як справи?"],
    "ar": ["مرحبا"],
    "fa": ["پدر چه می‌گوید"],
    "el": ["Καλημέρα"],
    "he": ["שלום"],
    "hi": ["नमस्ते"],
    "th": ["สวัสดี"],
}  # fmt: skip


@pytest.mark.parametrize(("language", "text"), [(code, text) for code, texts in TEXTS.items() for text in texts])
def test_the_language_of_a_text_is_detected_from_its_letters_and_words(language: str, text: str) -> None:
    assert language_of(text) == language


WITHOUT_FREQUENT_WORDS = {
    "en": ["Somebody knocked three times before midnight.", "Captain Morrow lost two fingers near Gibraltar."],
    "de": [
        "Kinder lachten, während Schnee unsere Boote bedeckte.",
        "Alter Thomas hielt Bienen hinter seiner Werkstatt.",
    ],
    "fr": ["Quelqu'un frappa trois coups avant minuit.", "Capitaine Morrow perdit deux doigts à Gibraltar."],
    "es": ["Alguien llamó tres veces antes de medianoche.", "Abuela nunca confiaba en marineros ni abogados."],
    "it": ["Lentamente il guardiano saliva verso la lanterna.", "Vecchio Tommaso allevava api dietro la bottega."],
    "nl": ["Brood, boter en honing stonden naast de kachel.", "Doe die deur eens dicht!"],
    "pt": ["Olha, outro navio vira para norte!", "Capitão Morrow perdeu dois dedos perto de Gibraltar."],
    "pl": ["Deszcz bębnił o każde okno chaty.", "Zamknij te drzwi, dobrze?"],
    "sv": ["Någon knackade tre gånger före midnatt.", "Barnen skrattade medan snön täckte våra båtar."],
}


@pytest.mark.parametrize(
    ("language", "text"), [(code, text) for code, texts in WITHOUT_FREQUENT_WORDS.items() for text in texts]
)
def test_the_language_of_a_short_sentence_without_frequent_words_is_detected(language: str, text: str) -> None:
    assert language_of(text) == language


@pytest.mark.parametrize("text", ["C'est la vie, she said.", "Buenos Aires is far.", "Dr. Van der Berg called us."])
def test_an_english_sentence_with_foreign_words_is_in_no_other_language(text: str) -> None:
    assert language_of(text) in ("en", None)


@pytest.mark.parametrize("text", ["", "...", "1984", "Ishmael!", "😀"])
def test_a_text_without_frequent_words_has_no_known_language(text: str) -> None:
    assert language_of(text) is None


@pytest.mark.parametrize(
    ("text", "script"),
    [("Say 你好 to him.", "Chinese"), ("Привет, friend.", "Cyrillic"), ("مرحبا", "Arabic"), ("こんにちは", "Hiragana"),
     ("Καλημέρα", "Greek"), ("שלום", "Hebrew"), ("안녕", "Hangul"), ("สวัสดี", "Thai"), ("नमस्ते", "Devanagari")],
)  # fmt: skip
def test_letters_that_an_english_voice_cannot_speak_are_named(text: str, script: str) -> None:
    found = foreign_letters(text, ["en"])
    assert found and found[0] == script
    assert script in (unspoken(text, ["en"]) or "")


@pytest.mark.parametrize(
    "text", ["The α particle, 5 µm at 3 Ω.", "Naïve café, Ångström.", "x² + 1", "😀 ok", "ﬁne ½ ①"]
)
def test_latin_letters_lone_greek_letters_and_symbols_can_be_spoken(text: str) -> None:
    assert unspoken(text, ["en"]) is None


def test_a_text_in_a_language_that_the_voices_do_not_speak_is_named() -> None:
    assert unspoken("Der alte Leuchtturm stand auf der Insel.", ["en"]) == "a text in the language 'de'"
    assert unspoken("Der alte Leuchtturm stand auf der Insel.", ["en", "de"]) is None
    assert unspoken("你好,世界。", ["en", "zh"]) is None
    assert unspoken("Привет", []) is None


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("Bonjour tout le monde, comment allez-vous aujourd'hui?", "fr"),
        ("Ich weiß nicht, was soll es bedeuten, daß ich so traurig bin.", "de"),
        ("你好，今天天气很好，我们去公园吧。", "zh"),
        ("She said je ne sais quoi and left the room.", None),
        ("Signora Elena Bianchi and Conte Rossi", None),
        ("Au revoir!", None),
    ],
)
def test_a_text_that_is_surely_in_another_language_than_its_script_is_found(text: str, found: str | None) -> None:
    assert other_than(text, "en") == found
    if found:
        assert other_than(text, found) is None


def test_near_languages_are_not_told_apart() -> None:
    assert other_than("Jeg liker å gå på tur i fjellet når det er fint vær.", "da") is None
