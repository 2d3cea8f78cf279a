"""`pauses`, `book` and `- sound` of YAML scripts, and what is stored of them with a batch."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest

from vvbatch import audio
from vvbatch.audio import wav_bytes
from vvbatch.batch.book_order import book_order
from vvbatch.script import parse
from vvbatch.script.model import Script, ScriptError

BOOK = """version: 1
title: The Lamp
author: Jane
cover: cover.jpg
pauses: {line: 0.3, chapter: 4}
book:
  formats: [m4b, mp3-chapters]
  preset: podcast
  narrator: Nora
  date: 2026
chapters:
  - title: One
    lines:
      - sound: jingle.wav
      - pause: 1.5
      - {id: first, text: The lamp went out.}
      - {id: second, text: It was night.}
      - sound: jingle.wav
"""


JINGLE = wav_bytes(np.full(2400, 999, np.int16), 24_000)


def script(folder: Path, text: str) -> Script:
    (folder / "jingle.wav").write_bytes(JINGLE)
    path = folder / "book.yaml"
    path.write_text(text)
    return parse(path)


def test_what_a_script_says_of_its_book_is_stored(tmp_path: Path) -> None:
    order, problems = book_order(script(tmp_path, BOOK))
    assert problems == []
    assert (order.author, order.narrator, order.date, order.preset) == ("Jane", "Nora", "2026", "podcast")
    assert (order.formats, order.pauses) == (("m4b", "mp3-chapters"), {"line": 0.3, "chapter": 4.0})
    assert order.cover == str(tmp_path / "cover.jpg")
    sha256 = hashlib.sha256(JINGLE).hexdigest()
    assert [(sound.chapter, sound.before, sound.pause_after_s, sound.sha256) for sound in order.sounds] == [
        (1, "first", 1.5, sha256),
        (1, None, None, sha256),
    ]


def test_formats_may_be_one_text_with_commas(tmp_path: Path) -> None:
    text = BOOK.replace("[m4b, mp3-chapters]", "m4b, opus")
    assert script(tmp_path, text).book.formats == ("m4b", "opus")


@pytest.mark.parametrize(
    ("before", "after", "message"),
    [
        ("line: 0.3", "lines: 0.3", "unknown key 'lines' in pauses, did you mean 'line'"),
        ("line: 0.3", "line: 61", "allowed: a number, 0 to 60"),
        ("[m4b, mp3-chapters]", "[m4a]", "book format 'm4a', did you mean 'm4b'"),
        ("preset: podcast", "presets: podcast", "unknown key 'presets' in book, did you mean 'preset'"),
        ("pauses: {line: 0.3, chapter: 4}", "pauses: 3", "'3' as pauses; pauses is a mapping"),
        ("      - {id: first, text: The lamp went out.}\n      - {id: second, text: It was night.}\n", "",
         "a sound in a chapter without lines"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_refused_with_its_place(tmp_path: Path, before: str, after: str, message: str) -> None:
    with pytest.raises(ScriptError) as caught:
        script(tmp_path, BOOK.replace(before, after))
    assert message in str(caught.value) and "book.yaml:" in str(caught.value)


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("../jingle.wav", "must not contain '..'"),
        ("/etc/passwd", "must be relative to"),
        ("absent.wav", "sound 'absent.wav': No such file or directory"),
    ],
)
def test_a_sound_lies_in_the_folder_of_the_script(tmp_path: Path, path: str, message: str) -> None:
    _, problems = book_order(script(tmp_path, BOOK.replace("jingle.wav", path, 1)))
    assert message in problems[0].found and problems[0].position.line == 14


@pytest.mark.parametrize(
    ("content", "message"),
    [(b"no audio", "not a WAV"), (b"", "empty"), (wav_bytes(np.zeros(2400, np.int16), 24_000), "it is silent")],
)
def test_a_sound_that_is_no_audio_is_refused_before_anything_is_rendered(
    tmp_path: Path, content: bytes, message: str
) -> None:
    parsed = script(tmp_path, BOOK)
    (tmp_path / "jingle.wav").write_bytes(content)
    _, problems = book_order(parsed)
    assert len(problems) == 2 and message in problems[0].found and "name a" in problems[0].allowed
    assert problems[0].position.line == 14


def test_a_sound_that_stands_in_many_places_is_decoded_once_and_not_resampled(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths: list[Path] = []

    def read(path: Path, **_: object) -> tuple[np.ndarray, int]:
        paths.append(path)
        return np.full((2400, 1), 0.1, np.float32), 44_100

    monkeypatch.setattr(audio, "read", read)
    monkeypatch.setattr("soxr.resample", None)
    order, problems = book_order(script(tmp_path, BOOK))
    assert (len(order.sounds), problems, paths) == (2, [], [tmp_path / "jingle.wav"])


def test_a_speaker_named_sound_wins(tmp_path: Path) -> None:
    text = "version: 1\nspeakers: {sound: {voice: alice}}\nlines:\n  - sound: Hello there.\n"
    (chapter,) = script(tmp_path, text).chapters
    assert chapter.sounds == () and chapter.lines[0].turns[0].text == "Hello there."
