"""The book of a batch: from the ledger's rows to files whose hashes it has."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support import books
from tests.support.books import finished_batch
from tests.support.ledgers import open_ledger
from vvbatch import file_locks, profiles
from vvbatch.batch.assemble import Order, alone, assemble, choose, encode_finished, ordered
from vvbatch.batch.book_order import BookOrder, OrderedSound
from vvbatch.batch.verify_files import verify
from vvbatch.book.cache import make_room
from vvbatch.book.contents import BookError
from vvbatch.book.document import BookView
from vvbatch.book.presets import Preset
from vvbatch.home import Home
from vvbatch.ledger import Ledger
from vvbatch.ledger.deletion import delete_rows
from vvbatch.ledger.schema import lines
from vvbatch.listening.contract import ListeningUnavailable
from vvbatch.settings import BookSettings, Settings

pytest.importorskip("av")
pytestmark = pytest.mark.slow  # most encode books


@pytest.fixture
def here(tmp_path: Path) -> Iterator[tuple[Ledger, Home, Path]]:
    ledger = open_ledger(tmp_path)
    yield ledger, Home(tmp_path / "home"), tmp_path / "out"
    ledger.close()


def names(view: BookView) -> list[str]:
    return [Path(file.path).name for file in view.files]


def change(ledger: Ledger, number: int, batch: str = "lamp-1", **values: object) -> None:
    with ledger.engine.begin() as connection:
        mine = (lines.c.number == number) & (lines.c.batch_id == batch)
        connection.execute(lines.update().where(mine).values(values))


def test_a_book_is_written_and_recorded_with_its_hashes(here: tuple[Ledger, Home, Path]) -> None:
    ledger, home, out = here
    batch = finished_batch(ledger, out)
    view = assemble(ledger, home, batch, Order(("m4b", "mp3-chapters", "vtt")))
    assert view.state == "made" and view.missing == [] and view.preset == "audiobook"
    assert view.loudness_lufs == pytest.approx(-19.0, abs=0.1) and view.true_peak_dbtp <= -3.0
    assert sorted(names(view)) == [
        "01 Part 1.mp3", "01 Part 1.srt", "01 Part 1.vtt", "02 Part 2.mp3", "02 Part 2.srt", "02 Part 2.vtt",
        "The Lamp.m4b", "The Lamp.srt", "The Lamp.vtt",
    ]  # fmt: skip
    for file in view.files:
        assert Path(file.path).parent == out / batch / "book"
        assert hashlib.sha256(Path(file.path).read_bytes()).hexdigest() == file.sha256
    assert [line.id for line in view.lines] == ["l1", "l2", "l3", "l4"]
    assert [chapter.title for chapter in view.chapters] == ["Part 1", "Part 2"]
    assert view.chapters[1].start_s == pytest.approx(view.chapters[0].duration_s)
    assert verify(ledger, batch).checked == 4 + 9 and verify(ledger, batch).problems == []


def test_verify_finds_a_changed_and_a_missing_file_of_a_book(here: tuple[Ledger, Home, Path]) -> None:
    ledger, home, out = here
    batch = finished_batch(ledger, out)
    view = assemble(ledger, home, batch, Order(("flac",)))
    Path(view.files[0].path).write_bytes(b"other")
    Path(view.files[1].path).unlink()
    assert [(problem.line, problem.problem) for problem in verify(ledger, batch).problems] == [
        (None, "changed"),
        (None, "missing"),
    ]


def test_an_assembly_replaces_the_files_of_the_one_before(here: tuple[Ledger, Home, Path]) -> None:
    ledger, home, out = here
    batch = finished_batch(ledger, out)
    assemble(ledger, home, batch, Order(("flac", "vtt")))
    view = assemble(ledger, home, batch, Order(("wav-chapters",)))
    found = sorted(path.name for path in (out / batch / "book").iterdir())
    assert found == sorted(names(view)) == ["01 Part 1.srt", "01 Part 1.wav", "02 Part 2.srt", "02 Part 2.wav"]
    assert verify(ledger, batch).problems == []


def test_deleting_a_batch_names_the_files_of_its_book(here: tuple[Ledger, Home, Path]) -> None:
    ledger, home, out = here
    batch = finished_batch(ledger, out)
    assemble(ledger, home, batch, Order(("flac",)))
    assert {"book/The Lamp.flac", "book/The Lamp.srt"} <= set(delete_rows(ledger, batch).files)


def test_a_missing_line_means_no_file_of_the_whole_book_and_a_list(here: tuple[Ledger, Home, Path]) -> None:
    ledger, home, out = here
    batch = finished_batch(ledger, out)
    change(ledger, 4, state="failed", path=None, sha256=None, error="too short")
    view = assemble(ledger, home, batch, Order(("m4b",)))
    assert (view.state, view.files, view.chapters) == ("incomplete", [], [])
    assert [(line.id, line.chapter, line.state, line.error) for line in view.missing] == [
        ("l4", 2, "failed", "too short")
    ]
    assert not (out / batch / "book").exists()
    chapters = assemble(ledger, home, batch, Order(("m4b", "flac-chapters")))
    assert chapters.state == "incomplete" and names(chapters) == ["01 Part 1.flac", "01 Part 1.srt"]


def test_a_new_batch_of_an_edited_script_keeps_the_gains_and_encodes_one_chapter(
    here: tuple[Ledger, Home, Path],
) -> None:
    ledger, home, out = here
    first = assemble(ledger, home, finished_batch(ledger, out, chapters=3), Order(("m4b",)))
    assert first.encoded == 3
    again = finished_batch(ledger, out, "lamp-2", chapters=3, edited=3)
    view = assemble(ledger, home, again, Order(("m4b",)))
    assert (view.encoded, view.gain_db) == (1, first.gain_db)
    other = finished_batch(ledger, out, "other-1", chapters=3, script="other.yaml")
    assert assemble(ledger, home, other, Order(("m4b",))).state == "made"


def test_titles_breaks_parts_and_given_pauses_decide_the_silence(here: tuple[Ledger, Home, Path]) -> None:
    ledger, home, out = here
    batch = finished_batch(ledger, out, chapters=1, lines_each=6, order=BookOrder(pauses={"section": 3.0}))
    change(ledger, 1, role="title")
    change(ledger, 2, break_after="section")
    change(ledger, 3, part_of="long", part=1)
    change(ledger, 4, part_of="long", part=2, pause_given_s=1.25)
    view = assemble(ledger, home, batch, Order(("wav",), "raw"))
    silences = [after.start_s - before.end_s for before, after in zip(view.lines, view.lines[1:], strict=False)]
    assert silences == pytest.approx([1.5, 3.0, 0.25, 1.25, 0.5], abs=0.001)


def test_sounds_stand_before_their_line_and_at_the_end_of_their_chapter(here: tuple[Ledger, Home, Path]) -> None:
    ledger, home, out = here
    path, sha256 = books.write_take(out.parent, "jingle", books.speech_like(2.0, 3))
    sounds = (
        OrderedSound(1, "l2", str(path), sha256, 0.3),
        OrderedSound(2, None, str(path), sha256),
    )
    plain = assemble(ledger, home, finished_batch(ledger, out, "plain-1"), Order(("wav",), "raw"))
    batch = finished_batch(ledger, out, order=BookOrder(sounds=sounds))
    view = assemble(ledger, home, batch, Order(("wav",), "raw"))
    assert view.lines[1].start_s - view.lines[0].end_s == pytest.approx(0.7 + 2.0 + 0.3, abs=0.001)
    assert view.chapters[1].duration_s - plain.chapters[1].duration_s == pytest.approx(2.7, abs=0.11)


@pytest.mark.parametrize(
    ("preset", "last_dbfs", "encoded"), [("raw", -8, 1), ("audiobook", -26, 1), ("audiobook", -8, 4)]
)
def test_chapters_that_are_encoded_while_others_are_rendered_are_not_encoded_again_unless_the_level_is_off(
    here: tuple[Ledger, Home, Path], preset: str, last_dbfs: float, encoded: int
) -> None:
    ledger, home, out = here
    batch = finished_batch(ledger, out, chapters=4, order=BookOrder(formats=("m4b",), preset=preset))
    change(ledger, 7, state="rendering", path=None)
    encode_finished(ledger, home, batch)
    assert not (out / batch / "book").exists()
    last = next(out.rglob("0007-*.wav"))
    path, sha256 = books.write_take(last.parent, last.stem, books.take_samples(1.0, 7, rms_dbfs=last_dbfs))
    change(ledger, 7, state="done", path=str(path), sha256=sha256)
    view = assemble(ledger, home, batch)
    assert (view.state, view.encoded) == ("made", encoded)
    assert preset == "raw" or view.loudness_lufs == pytest.approx(-19.0, abs=0.1)
    assert assemble(ledger, home, batch).encoded == 0


def test_levels_of_an_earlier_book_are_kept_while_its_next_batch_is_rendered(here: tuple[Ledger, Home, Path]) -> None:
    ledger, home, out = here
    first = assemble(ledger, home, finished_batch(ledger, out, chapters=3), Order(("m4b",)))
    again = finished_batch(ledger, out, "lamp-2", chapters=3, edited=6)
    change(ledger, 1, batch=again, state="queued", path=None)
    encode_finished(ledger, home, again)
    change(ledger, 1, batch=again, state="done", path=str(next((out / again).rglob("0001-*.wav"))))
    view = assemble(ledger, home, again, Order(("m4b",)))
    assert (view.encoded, view.gain_db) == (0, first.gain_db)


def test_subtitles_show_what_was_written_without_markup(here: tuple[Ledger, Home, Path]) -> None:
    ledger, home, out = here
    batch = finished_batch(ledger, out)
    change(ledger, 2, text="It cost five pounds, Shivawn.", written="It cost £5, *Siobhan*. 😀")
    view = assemble(ledger, home, batch, Order(("wav",), "raw"))
    subtitles = next(Path(file.path) for file in view.files if file.path.endswith(".srt")).read_text()
    assert "It cost £5, Siobhan." in subtitles and "Shivawn" not in subtitles


def test_a_book_whose_words_have_no_times_says_why(
    here: tuple[Ledger, Home, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    ledger, home, out = here

    def missing(threads: int) -> None:
        raise ListeningUnavailable("the model is missing")

    words = pytest.importorskip("vvbatch.listening.words")
    monkeypatch.setattr(words.Words, "open", missing)
    view = assemble(ledger, home, finished_batch(ledger, out), Order(("wav", "vtt"), "raw"))
    assert view.warnings == ["vtt: words have no times in 4 of 4 lines: the model is missing"]


def test_the_acx_preset_makes_a_file_a_chapter_and_fails_with_its_checks(here: tuple[Ledger, Home, Path]) -> None:
    ledger, home, out = here
    batch = finished_batch(ledger, out, chapters=1, lines_each=4, order=BookOrder(formats=("m4b",)))
    view = assemble(ledger, home, batch, Order(preset="acx"))
    assert names(view) == ["01 Part 1.mp3", "01 Part 1.srt"]
    assert isinstance(view.acx, list)
    assert {check.name for check in view.acx} > {"rms_db", "floor_in_speech_db"}
    failed = [check.name for check in view.acx if not check.ok]
    assert (view.state, failed) == ("made", []), [(check.name, check.value, check.limit) for check in view.acx]


def test_a_cover_that_is_gone_is_refused_before_anything_is_encoded(here: tuple[Ledger, Home, Path]) -> None:
    ledger, home, out = here
    batch = finished_batch(ledger, out, order=BookOrder(cover=str(out / "none.jpg")))
    with pytest.raises(BookError, match="does not exist: name a JPEG or PNG file"):
        assemble(ledger, home, batch)
    assert not (home.cache / "book" / "chapters").exists()


def test_the_order_wins_over_the_script_and_the_script_over_the_settings() -> None:
    settings = Settings(
        pauses={"line": 0.3, "part": 0.1},
        book=BookSettings(formats=("opus",), preset="mine", presets={"mine": Preset(loudness_lufs=-20.0)}),
    )
    chosen = choose(BookOrder(), Order(), settings)
    assert ([f.name for f in chosen.formats], chosen.preset.name, chosen.pauses.line) == (["opus"], "mine", 0.3)
    script = BookOrder(formats=("mp3", "vtt"), preset="podcast", pauses={"line": 0.6})
    chosen = choose(script, Order(), settings)
    assert ([f.name for f in chosen.formats], chosen.vtt, chosen.preset.name) == (["mp3"], True, "podcast")
    assert (chosen.pauses.line, chosen.pauses.part) == (0.6, 0.1)
    assert [f.name for f in choose(script, Order(("wav",), "raw"), settings).formats] == ["wav"]
    with pytest.raises(BookError, match="preset 'loud' is unknown"):
        choose(script, Order(preset="loud"), settings)
    with pytest.raises(BookError, match="needs an audio format"):
        choose(script, Order(("vtt",)), settings)


def test_what_is_ordered_is_kept_as_what_the_script_says() -> None:
    def kept(book: BookOrder, order: Order) -> tuple[tuple[str, ...], str | None]:
        found = ordered(book, order, Settings(book=BookSettings(formats=("opus", "vtt"))))
        chosen = choose(found, Order(), Settings())
        assert ([format_.key for format_ in chosen.formats], chosen.vtt, chosen.preset.name) == (
            [name for name in found.formats if name != "vtt"],
            "vtt" in found.formats,
            found.preset,
        )
        return found.formats, found.preset

    script = BookOrder(formats=("m4b",), preset="podcast")
    assert kept(script, Order(("mp3", "vtt"))) == (("mp3", "vtt"), "podcast")
    assert kept(script, Order(preset="raw")) == (("m4b",), "raw")
    assert kept(script, Order(preset="acx")) == (("mp3-chapters",), "acx")
    assert kept(script, Order(("m4b",), "acx")) == (("m4b",), "acx")
    assert kept(BookOrder(), Order(())) == (("opus", "vtt"), "audiobook")
    assert kept(BookOrder(preset="acx"), Order()) == (("mp3-chapters",), "acx")


def test_pauses_of_the_script_go_before_the_profiles_and_those_before_the_settings(home: Path) -> None:
    profile = home.parent / "configs" / "slow.yaml"
    profile.write_text((home.parent / "configs" / "ready.yaml").read_text() + "pauses: {line: 0.9, section: 3.0}\n")
    settings = Settings(pauses={"line": 0.3, "part": 0.1, "section": 1.0})
    pauses = choose(BookOrder(pauses={"section": 5.0}), Order(), settings, "slow").pauses
    assert (pauses.part, pauses.line, pauses.section, pauses.chapter) == (0.1, 0.9, 5.0, 2.5)
    assert choose(BookOrder(), Order(), settings, "gone").pauses.line == 0.3
    for wrong, named in (("{lime: 1}", "lime"), ("{line: 90}", "<= 60.0"), ("{line: x}", "float")):
        profile.write_text((home.parent / "configs" / "ready.yaml").read_text() + f"pauses: {wrong}\n")
        with pytest.raises(profiles.ProfileError, match=named):
            choose(BookOrder(), Order(), settings, "slow")


def test_the_pauses_of_a_batchs_profile_are_in_its_book(here: tuple[Ledger, Home, Path], home: Path) -> None:
    configs = home.parent / "configs"
    (configs / "draft.yaml").write_text((configs / "ready.yaml").read_text() + "pauses: {line: 0.9}\n")
    ledger, own, out = here
    batch = finished_batch(ledger, out, chapters=1)
    change(ledger, 2, request={"voices": [{"name": "emma"}]})
    one, other = assemble(ledger, own, batch, Order(("wav",), "raw")).lines
    assert other.start_s - one.end_s == pytest.approx(0.9, abs=0.001)


def test_a_book_stays_locked_when_the_cache_is_emptied(
    here: tuple[Ledger, Home, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    ledger, home, out = here
    batch = finished_batch(ledger, out)
    taken: list[bool] = []

    def at_once(descriptor: int, operation: int, _within_s: float) -> bool:
        taken.append(file_locks.locked(descriptor, operation, 0.0))
        return True

    monkeypatch.setattr("vvbatch.batch.assemble.locked", at_once)
    with alone(ledger, home, batch):
        make_room(home.cache, 0)
        with alone(ledger, home, batch):
            pass
    assert taken == [True, False]


def test_a_hostile_title_stays_inside_the_folder(here: tuple[Ledger, Home, Path]) -> None:
    ledger, home, out = here
    batch = finished_batch(ledger, out, title="../../../evil\x00/\nname")
    view = assemble(ledger, home, batch, Order(("wav",)))
    assert names(view) == ["evil name.wav", "evil name.srt"]
    assert all(Path(file.path).parent == out / batch / "book" for file in view.files)
