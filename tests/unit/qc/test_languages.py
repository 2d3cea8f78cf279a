"""The checks of duration on real speech of many languages, made by espeak-ng where it is installed."""

from __future__ import annotations

import io
import shutil
import subprocess

import numpy as np
import pytest
import soundfile
import soxr

from vvbatch.profiles import QcLimits
from vvbatch.qc.judge import judge

RATE = 24_000
NUMBERS = ("5000000000 yen", "1000000 people", "18005550199", "It cost 1,000,000,000,000 dollars.", "100,000,000")
SPOKEN = [
    *(("en-us", text) for text in NUMBERS),
    ("en-us", "GO TO THE END OF THE ROW AND SIT."),
    ("en-us", "Call me on 1-800-555-0199 at 7:30 p.m. on 12/05/1984."),
    ("en-us", "The HTTP API of the FBI returned 404, 12.5 % of the time."),
    ("cmn", "今天天气很好,我们一起去公园散步,然后在湖边的小店里喝茶聊天。"),
    ("cmn", "你好。"),
    ("cmn", "二〇二四年三月,这座城市有一千二百万人口。"),
    ("yue", "今日天氣好好,我哋一齊去公園行下。"),
    ("ja", "きょうはとてもいいてんきですから、こうえんへいきましょう。"),
    ("ko", "안녕하세요. 오늘은 날씨가 아주 좋습니다."),
    ("de", "Donaudampfschifffahrtsgesellschaftskapitän"),
    ("de", "Die Rechtsschutzversicherungsgesellschaften erhöhen 2024 ihre Beiträge um 3,5 Prozent."),
    ("fr", "Il était une fois, dans un petit village, une vieille femme qui vivait seule."),
    ("es", "El perro corre por la calle y no quiere volver a casa."),
    ("it", "L'aiuola è piena di fiori rossi e gialli, e nessuno la calpesta."),
    ("pt", "A casa fica no alto do morro e tem uma vista muito bonita."),
    ("nl", "De oude vuurtoren stond op de punt van het eiland, wit in de zomer."),
    ("sv", "Den gamla fyren stod på udden och lyste varje natt."),
    ("fi", "Lentokonesuihkuturbiinimoottoriapumekaanikkoaliupseerioppilas lähti kotiin."),
    ("hu", "Megszentségteleníthetetlenségeskedéseitekért senki sem haragszik."),
    ("pl", "Stara latarnia morska stała na cyplu i świeciła każdej nocy."),
    ("cs", "Strč prst skrz krk, řekl děda a zasmál se."),
    ("tr", "Çekoslovakyalılaştıramadıklarımızdan mısınız diye sordu yaşlı adam."),
    ("ru", "Старый маяк стоял на мысе и светил каждую ночь."),
    ("uk", "Старий маяк стояв на мисі й світив щоночі."),
    ("el", "Ο παλιός φάρος έστεκε στην άκρη του νησιού."),
    ("ar", "كان المنار القديم يقف على الرأس ويضيء كل ليلة."),
    ("fa", "فانوس دریایی قدیمی هر شب روشن بود."),
    ("he", "המגדלור הישן עמד על הכף והאיר בכל לילה."),
    ("hi", "पुराना प्रकाशस्तंभ हर रात चमकता था और नाविक घर लौट आते थे।"),
    ("ta", "பழைய கலங்கரை விளக்கம் ஒவ்வொரு இரவும் ஒளிர்ந்தது."),
    ("bn", "পুরানো বাতিঘর প্রতি রাতে জ্বলত।"),
    ("ka", "ძველი შუქურა ყოველ ღამე ანათებდა."),
    ("hy", "Հին փարոսը լուսավորում էր ամեն գիշեր."),
    ("vi", "Ngọn hải đăng cũ đứng trên mũi đất và sáng mỗi đêm."),
    ("id", "Mercusuar tua itu berdiri di ujung pulau dan menyala setiap malam."),
    ("am", "የድሮው መብራት ቤት በየምሽቱ ያበራ ነበር።"),
]  # fmt: skip
OF_DURATION = ("duration_", "s_per_")

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(shutil.which("espeak-ng") is None, reason="espeak-ng is not installed"),
]


def spoken(voice: str, text: str, words_per_minute: int) -> np.ndarray:
    argv = ["espeak-ng", "-v", voice, "-s", str(words_per_minute), "--stdout", text]
    samples, rate = soundfile.read(io.BytesIO(subprocess.run(argv, check=True, capture_output=True).stdout))
    resampled: np.ndarray = soxr.resample(samples, rate, RATE).astype(np.float32)
    return resampled


def failed(samples: np.ndarray, text: str) -> list[str]:
    checks = judge(samples, RATE, text, QcLimits())
    return [f"{each.name} {each.value} ({each.limit})" for each in checks if not each.ok]


@pytest.mark.parametrize("words_per_minute", [130, 165])
@pytest.mark.parametrize(("voice", "text"), SPOKEN)
def test_speech_of_any_language_has_the_duration_of_its_text(voice: str, text: str, words_per_minute: int) -> None:
    off = failed(spoken(voice, text, words_per_minute), text)
    assert [each for each in off if each.startswith(OF_DURATION)] == []


@pytest.mark.parametrize(("voice", "text"), [each for each in SPOKEN if len(each[1]) > 25 and each[0] != "en-us"])
def test_speech_of_half_a_text_is_too_short_or_four_times_is_too_long(voice: str, text: str) -> None:
    whole = spoken(voice, text, 150)
    assert [each for each in failed(np.tile(whole, 4), text) if each.startswith(OF_DURATION)]
    fifth = whole[: len(whole) // 6]
    assert [each for each in failed(fifth, f"{text} {text}") if each.startswith(OF_DURATION)]
