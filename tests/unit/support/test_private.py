"""A bundle without --texts: a word of its own in each place where a person can type something, and none in the zip."""

from __future__ import annotations

import itertools
import json
import os
import string
import zipfile
from pathlib import Path

import pytest

from tests.conftest import READY_PROFILE
from tests.support import ledgers
from tests.support.cli import Cli
from tests.support.sounds import speechlike, write_wav
from vvbatch.batch.submit import slug
from vvbatch.home import Home
from vvbatch.ledger import Ledger, schema
from vvbatch.ledger.database import write

pytestmark = pytest.mark.slow


class Words:
    """Words that occur nowhere else, by the place where each was typed."""

    def __init__(self) -> None:
        self.of: dict[str, str] = {}
        self.endings = itertools.product(string.ascii_lowercase, repeat=2)

    def __call__(self, place: str, form: str = "{}") -> str:
        self.of.setdefault(place, "quz" + "".join(next(self.endings)) + "wombex")
        return form.format(self.of[place])

    def found_in(self, text: str) -> list[str]:
        return [place for place, word in self.of.items() if word in text.casefold()]


@pytest.fixture
def word() -> Words:
    return Words()


def contents(file: Path) -> str:
    """Names and parts of a zip; JSON must stay JSON."""
    with zipfile.ZipFile(file) as archive:
        parts = {name: archive.read(name).decode() for name in archive.namelist()}
    for name, part in parts.items():
        if name.endswith(".json"):
            json.loads(part)
    return "\n".join([*parts, *parts.values()])


@pytest.fixture
def used_home(word: Words, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home in which a word was typed wherever vvbatch takes one."""
    folder = tmp_path / word("working folder", "my {} folder")
    folder.mkdir()
    monkeypatch.chdir(folder)
    monkeypatch.setenv("VVBATCH_HOME", str(tmp_path / word("home folder", "a {}") / "home"))
    monkeypatch.setenv("VVBATCH_WHISPER", word("variable"))
    monkeypatch.setenv(word("name of a variable", "VVBATCH_{}").upper(), "1")
    monkeypatch.setenv("OMP_NUM_THREADS", "2," + word("another variable"))
    configs = Path(os.environ["VVBATCH_CONFIGS"]).rename(tmp_path / word("folder of profiles"))
    monkeypatch.setenv("VVBATCH_CONFIGS", str(configs))
    own = READY_PROFILE.replace("Ready audio", word("title of a profile")) + word("comment in a profile", "# {}\n")
    (configs / word("profile", "{}.yaml")).write_text(own)
    (configs / word("broken profile", "{}.yaml")).write_text(word("content of a broken profile", "a: [{}"))
    (configs / "regress").mkdir()
    suite = {"profiles": [word("profile")], "lines": [{"id": word("id in a suite"), "text": word("text of a suite")}]}
    (configs / "regress" / word("suite", "{}.yaml")).write_text(json.dumps(suite))
    book = Home.from_environment()
    write_wav(book.voices / word("voice", "{}.wav"), speechlike(4))
    (book.voices / word("broken voice", "{}.wav")).write_text(word("content of a voice"))
    (book.path / "settings.yaml").write_text(word("settings", "# {}\n"))
    speakers = {word("speaker"): {"voice": "carter"}}
    lines = [
        {"id": word("id"), "text": word("text", 'Say "{}" \\ twice.')},
        {"id": word("id with a number", "{}_02"), "speaker": word("speaker"), "text": word("umlauts", "Schöner {}ß.")},
    ]
    chapters = [{"title": word("chapter", "On {}"), "lines": lines}]
    script = folder / word("script", "{} 1.yaml")
    script.write_text(
        json.dumps({"version": 1, "title": word("title", 'The "{}" Böok'), "speakers": speakers, "chapters": chapters})
    )
    out = tmp_path / word("output folder", "out {}")
    Cli()("submit", str(script), "--out", str(out), "--model", "ready")
    add_what_nights_and_people_write(word, book)
    add_logs(word, book, out, script)
    return folder


def add_what_nights_and_people_write(word: Words, home: Home) -> None:
    ledger = Ledger(home.ledger_url)
    ledgers.add_batch(ledger, "b", ["One.", "Two."], out=word("output folder", "/{}"))
    ledgers.render(ledger, "b", 1)
    ledgers.fail(ledger, "b", 2, word("error", "the line says ") + word("text"))
    row = ledger.engine.connect().execute(schema.takes.select()).mappings().first()
    at = ledger.now()
    with write(ledger.engine) as connection:
        suite, profile = word("suite"), word("profile")
        connection.execute(
            schema.nights.insert().values(id="n", suite=suite, profile=profile, state="ended", started_at=at)
        )
        connection.execute(
            schema.baselines.insert().values(
                id="x", suite=suite, profile=profile, line=word("id in a suite"), text=word("text of a suite"),
                night_id="n", take_id=row["id"], path="p", sha256="0", facts={}, blessed_at=at,
                blessed_by=word("name of a person"), why=word("reason of a blessing", "it is {}"),
            )
        )  # fmt: skip
        connection.execute(
            schema.queues.insert().values(name=profile, paused_at=at, reason=word("reason of a pause", "for {}"))
        )
    ledger.close()


def add_logs(word: Words, home: Home, out: Path, script: Path) -> None:
    """What a worker, a library or a traceback quotes, in the spellings that occur."""
    title, text = word("title", 'The "{}" Böok'), word("umlauts", "Schöner {}ß.")
    lines = [
        f'  File "{Path.cwd()}/{word("working folder")}/x.py", line 3, in f',
        f"ValueError: {text!r} {text!a} {json.dumps(text)} {json.dumps(title)} {title!r}",
        f"first\\n{word('text')}\\t{word('id')}",
        f"{script.as_uri()} {out}/{slug(title)}-0a1b2c3d/chapter-01/0001-{word('id')}.wav",
        f"cancelled {word('title of a deleted batch')}-of-it-0a1b2c3d",
        f"cannot open /elsewhere/{word('unknown path')}/and/{word('unknown file')}.wav: gone",
        f"{word('text').upper()} {word('chapter').capitalize()}, {word('speaker')}'s {word('voice')}: {word('suite')}",
    ]
    (home.logs / word("profile", "worker-{}.log")).write_text("\n".join(lines))
    (home.logs / word("suite", "regress-{}.log")).write_text("fine\n")
    entry = {
        "at": "now",
        "title": word("title of a deleted batch"),
        "detail": {"text": word("text of a deleted batch")},
    }
    (home.logs / "journal.jsonl").write_text(json.dumps(entry) + "\n")


def test_a_bundle_holds_nothing_that_a_person_typed(used_home: Path, word: Words, tmp_path: Path) -> None:
    cli = Cli()
    batches = cli.json("ledger", "batches")
    cli("bundle", "--out", str(tmp_path / "bundle.zip"))
    found = contents(tmp_path / "bundle.zip")
    assert word.found_in(found) == []
    for part in ("doctor.json", "ledger/lines.json", "ledger/baselines.json", "logs/worker-", "configs/own/"):
        assert part in found
    for kept in ("ValueError", "batch-0a1b2c3d", "0001-", "chapter-01", "cfg_scale", "the queue's server"):
        assert kept in found
    assert any(f"batch-{each['batch'].rpartition('-')[2]}" in found for each in batches)
    cli("bundle", "--texts", "--out", str(tmp_path / "texts.zip"))
    assert {"title", "text", "id", "profile", "unknown path"} <= {*word.found_in(contents(tmp_path / "texts.zip"))}


def test_the_id_of_speech_does_not_quote_its_text(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    view = Cli().json("synth", "Quzaawombex speaks.", "--model", "draft")
    assert view["batch"].startswith("synth-") and len(view["batch"]) == len("synth-01234567")
    assert "quzaawombex" not in view["lines"][0]["path"].casefold()
