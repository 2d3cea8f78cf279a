"""The language of a text, detected from its letters, by py3langid, and from its most frequent words."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence
from functools import cache, lru_cache
from itertools import groupby
from typing import TYPE_CHECKING

from vvbatch.qc.letters import JAPANESE, script_name, script_of, without_marks

if TYPE_CHECKING:
    from py3langid.langid import LanguageIdentifier

FREQUENT = {
    "en": """the and of to a in is it that was he she you i for on are as with his her they at be this have from or
        had by not but what all were we when your can said there an which do how their if will up about out then
        them would these so some make him into has my me no yes who its our over down never only where why hello
        thanks thank please good""",
    "de": """der die das und ist nicht ein eine einen einem einer ich du er sie wir ihr es zu den dem des mit auf für
        von im am aus bei nach wie was wer wo sich auch noch nur schon aber oder wenn dass war hat haben sind
        wird werden kann guten gute morgen tag abend danke bitte ja nein heute kein keine mein dein sein uns
        über unter vor durch""",
    "fr": """le la les un une des du de et est sont il elle ils elles je tu nous vous que qui dans pour pas ne ce
        cette ces sur avec au aux mais ou où se son sa ses mon ma mes plus par était été avait bonjour merci
        bonsoir oui non très comme tout tous bien sans leur aujourd'hui c'est j'ai n'est qu'il d'un d'une l'on
        beaucoup quand""",
    "es": """el la los las un una de del y es son que en no se por con para su sus lo le al como más pero fue era
        está están muy cuando donde hola gracias buenos buenas días noches sí también todo todos esta este eso
        yo tú nosotros ella ellos qué cómo hay ha sin sobre mi tu porque""",
    "it": """il lo la gli le un una uno di del della dei delle e è sono che non si per con in da dal dalla al alla
        nel nella sul come ma più anche questo questa era io tu lui lei noi ciao grazie buongiorno buonasera sì
        molto tutto quando dove perché suo sua ho ha hai""",
    "pt": """o a os as um uma de do da dos das e é são que não se por com para em no na nos nas seu sua ao como mais
        mas foi era está muito quando onde olá obrigado obrigada bom boa dia noite sim também tudo esta este
        isso eu você ele ela eles há ou já pelo pela""",
    "nl": """de het een en is van ik je hij zij wij niet dat dit die op te in met voor zijn aan er maar om ook als
        bij nog naar dan wat wie waar hoe was had heeft hebben wordt goedemorgen goedenavond dank bedankt ja nee
        goed geen deze uit over door mijn heel""",
    "sv": """och är att det en ett som på för med inte den av jag du han hon vi de har till om var men så kan från
        ska hej tack god ja nej här där vad när mycket eller under över""",
    "da": """og er at det en et som på for med ikke den af jeg du han hun vi de har til om var men så kan fra skal
        hej tak god ja nej her der hvad når meget eller under over""",
    "no": """og er at det en et som på for med ikke den av jeg du han hun vi de har til om var men så kan fra skal
        hei takk god ja nei her der hva når mye eller under over""",
    "fi": """ja on ei se hän minä sinä me te he oli että kun mutta niin kuin myös tämä olen olet ovat hei kiitos
        hyvää huomenta kyllä mitä missä joka vain nyt sen hyvin""",
    "pl": """i w na z się nie to jest że do co jak ale za od po jego jej był była było są przez dla tak już czy o ja
        ty on ona my dzień dobry dziękuję proszę bardzo tylko kiedy gdzie""",
    "cs": """a v na se je že s z do to ne jak ale za od po jeho její byl byla bylo jsou pro tak už o já ty on ona my
        dobrý den děkuji prosím velmi jen když kde jsem jsi není""",
    "sk": """a v na sa je že s z do to nie ako ale za od po jeho jej bol bola bolo sú pre tak už o ja ty on ona my
        dobrý deň ďakujem prosím veľmi len keď kde som""",
    "hu": """a az és egy nem hogy is ez azt volt van de már csak meg még én te ő mi ki jó napot reggelt köszönöm igen
        nagyon mint vagy amikor hol""",
    "ro": """și este în nu un o de la cu pe care din pentru sunt mai ce se că ca dar el ea noi bună ziua mulțumesc da
        foarte când unde fost era lui sau""",
    "tr": """ve bir bu da de için ile ne çok daha o ben sen biz siz onlar değil var yok gibi kadar ama merhaba
        teşekkürler günaydın evet hayır nasıl mı mi olarak sonra""",
    "id": """dan yang di ini itu dengan untuk dari tidak ada ke pada akan saya kamu dia kami mereka adalah juga sudah
        bisa selamat pagi terima kasih ya apa siapa atau oleh karena""",
    "vi": """và là của có không một những được trong cho người này với các đã tôi bạn anh em chúng xin chào cảm ơn
        rất ở khi đi đến""",
    "sw": """na ya wa kwa ni katika la za hii hiyo yake kuwa si mimi wewe yeye sisi habari asante asubuhi jambo sana
        lakini kama cha""",
    "ca": """el la els les un una i és són que no es per amb en del al com més però va era bon dia gràcies molt quan
        on també aquest aquesta""",
    "la": """et est non ad cum qui quae quod sunt sed ut ab ex per si enim esse omnia te me nos ego""",
    "eo": """kaj la estas ne mi vi li ŝi ni ili en de al por kun tio kiu kio saluton dankon tre sed kiam kie""",
}
"""Frequent words of languages in Latin letters, by ISO 639-1 code."""

WORDS = {language: frozenset(words.split()) for language, words in FREQUENT.items()}
LANGUAGES_OF = {
    word: tuple(language for language, known in WORDS.items() if word in known)
    for word in frozenset().union(*WORDS.values())
}
SCRIPTS = {
    "CJK": "zh", "HANGUL": "ko", "CYRILLIC": "ru", "GREEK": "el", "HEBREW": "he", "ARABIC": "ar", "DEVANAGARI": "hi",
    "THAI": "th", "ARMENIAN": "hy", "GEORGIAN": "ka", "BENGALI": "bn", "TAMIL": "ta", "TELUGU": "te", "KANNADA": "kn",
    "MALAYALAM": "ml", "GUJARATI": "gu", "GURMUKHI": "pa", "SINHALA": "si", "KHMER": "km", "LAO": "lo",
    "MYANMAR": "my", "ETHIOPIC": "am", "TIBETAN": "bo", **dict.fromkeys(JAPANESE, "ja"),
}  # fmt: skip
"""The language that a script is mostly used for."""
SCRIPTS_OF = {
    **{language: {script for script, other in SCRIPTS.items() if other == language} for language in SCRIPTS.values()},
    "ja": {"CJK", "IDEOGRAPHIC", *JAPANESE}, "zh": {"CJK", "IDEOGRAPHIC", "BOPOMOFO"}, "ko": {"HANGUL", "CJK"},
    **{language: {"CYRILLIC"} for language in ("uk", "be", "bg", "sr", "mk", "kk", "mn")},
    **{language: {"ARABIC"} for language in ("fa", "ur")}, **{language: {"DEVANAGARI"} for language in ("mr", "ne")},
}  # fmt: skip
"""The scripts that a language is written in, besides Latin."""
SCRIPTS_KNOWN = frozenset(script for scripts in SCRIPTS_OF.values() for script in scripts)
FEWEST_WORDS = 3  # in Latin letters: fewer do not show the language reliably
FEWEST_WORDS_OF_OTHER = 5  # of a text that is in another language than its script
SURE_OF_OTHER = 0.7  # py3langid's probability
NEAR = tuple(map(str.split, ("no nb nn da", "hr sr bs sl", "id ms", "gl pt", "cs sk")))
"""Languages that py3langid mistakes for each other in short texts."""
DISTINCTIVE = {"uk": "іїєґ", "sr": "ђћџљњј", "be": "ў", "fa": "پچژگ", "ur": "ٹڈڑے"}
"""Letters that other languages of the same script do not use."""
WORD = re.compile(r"[^\W\d_]+(?:['’][^\W\d_]+)*")


@lru_cache(maxsize=256)
def language_of(text: str) -> str | None:
    """The ISO 639-1 code of the language that most of a text is in; None where nothing shows it.

    English wins where a text has as many English words as those of another language, unless it is surely in that one.
    """
    if text.isascii():
        return _of_latin_letters(text) if any(map(str.isalpha, text)) else None
    scripts: Counter[str] = Counter()
    for char, count in Counter(without_marks(text)).items():
        if char.isalpha():
            scripts[script_of(char)] += count
    if not scripts:
        return None
    if kana := sum(scripts[each] for each in JAPANESE):
        scripts["HIRAGANA"] += scripts.pop("CJK", 0) if kana * 10 > scripts["CJK"] else 0
    script = scripts.most_common(1)[0][0]
    # An ideograph is worth a word: "你好 friend" is half Chinese.
    if dense := scripts["CJK"] + scripts["HIRAGANA"]:
        latin = len(re.findall("[A-Za-z]+", text))
        script = "LATIN" if latin > dense else "HIRAGANA" if scripts["HIRAGANA"] else "CJK"
    if script != "LATIN":
        lower = unicodedata.normalize("NFC", text).lower()
        detected = (
            language
            for language, letters in DISTINCTIVE.items()
            if script == script_of(letters[0]) and _has(lower, letters)
        )
        return next(detected, SCRIPTS.get(script))
    return _of_latin_letters(text)


def code_of(tag: str) -> str:
    """The language of a tag: "en" of "en-GB"."""
    return re.split("[-_]", tag.lower(), maxsplit=1)[0]


def foreign_letters(text: str, languages: Iterable[str]) -> tuple[str, str] | None:
    """The first script that none of these languages is written in, and its letters in `text`; None without one.

    Every voice speaks Latin letters, and a Greek letter alone by its name.
    """
    scripts = {script for language in languages for script in SCRIPTS_OF.get(language, ())} | {"LATIN", ""}
    plain = without_marks(text)
    if not any(script_of(char) in SCRIPTS_KNOWN - scripts for char in set(plain)):
        return None
    for word in WORD.findall(plain):
        for script, letters in groupby(word, script_of):
            run = "".join(letters)
            named = script == "GREEK" and len(run) == 1
            if script not in scripts and script in SCRIPTS_KNOWN and not named:
                return script_name(script), run
    return None


def unspoken(text: str, languages: Sequence[str], declared: str | None = None) -> str | None:
    """What in a text a voice that speaks these languages cannot speak, as a phrase for a message; None if nothing.

    Without languages nothing is known. `declared` is the language tag of the script.
    """
    if not languages:
        return None
    if foreign := foreign_letters(text, languages):
        return f"{foreign[0]} letters ({foreign[1][:20]})"
    if not declared and len(WORD.findall(text)) < FEWEST_WORDS:  # they show no language, and need no model
        return None
    found = code_of(declared) if declared else language_of(text)
    if found and found not in languages:
        return f"a text in the language {found!r}"
    return None


def other_than(text: str, language: str) -> str | None:
    """The language that a text is surely in, if it is not `language` (both by ISO 639-1 code); None otherwise.

    Short texts, names and single words of another language show nothing.
    """
    found = language_of(text)
    if found is None or found == language or any(found in near and language in near for near in NEAR):
        return None
    letters = [letter for letter in text if letter.isalpha()]
    if script_of(letters[0]) != "LATIN":
        return found if len(letters) >= FEWEST_WORDS_OF_OTHER else None
    if len(WORD.findall(text)) < FEWEST_WORDS_OF_OTHER or _words_of(text, language) >= _words_of(text, found):
        return None
    code, probability = identifier().classify(text)
    return found if code == found and probability >= SURE_OF_OTHER else None


def _words_of(text: str, language: str) -> int:
    """How many of a text's words are frequent in a language."""
    return sum(language in LANGUAGES_OF.get(word, ()) for word in WORD.findall(text.lower().replace("’", "'")))


def _has(text: str, letters: str) -> bool:
    return any(letter in text for letter in letters)


SURE = 0.4
"""The probability from which py3langid's answer counts; below it the frequent words decide."""
LONGEST_BY_ONE = 4  # words of a text whose language one frequent word shows
SURE_THOUGH_ENGLISH = 0.9  # where a text has English words
NO_LANGUAGE = "zxx"  # as ISO 639 calls it


def _of_latin_letters(text: str) -> str | None:
    english, language, most = _frequent(text)
    if (english >= FEWEST_WORDS and english >= 2 * most) or (english and not most):  # without loading the model
        return "en"
    by_words = language if most > english else "en" if english else None
    if most == 1 > english and len(WORD.findall(text)) > LONGEST_BY_ONE:  # "Dr. Van der Berg called us."
        by_words = None
    found, probability = identifier().classify(text)
    sure = SURE_THOUGH_ENGLISH if by_words == "en" else SURE
    return str(found) if probability >= sure and found != NO_LANGUAGE else by_words


@cache
def identifier() -> LanguageIdentifier:
    """py3langid's model, which lies in its wheel and takes half a second to load."""
    from py3langid.langid import MODEL_FILE, LanguageIdentifier

    return LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)


def _frequent(text: str) -> tuple[int, str, int]:
    """How many English words a text has, which other language most of the words are frequent in, and how many."""
    plain = unicodedata.normalize("NFC", text).lower().replace("’", "'")
    found = WORD.findall(plain)
    hits = Counter(language for word in found if word in LANGUAGES_OF for language in LANGUAGES_OF[word])
    # "l'eau", "c'est": an elided word counts for its language.
    if "'" in plain:
        hits["fr"] += sum(word[1:2] == "'" and word[0] in "ljdcnmtsq" and word not in WORDS["fr"] for word in found)
    language, most = max(((other, hits[other]) for other in WORDS if other != "en"), key=lambda hit: hit[1])
    return hits["en"], language, most
