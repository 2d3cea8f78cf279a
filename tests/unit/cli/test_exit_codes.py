"""Every command with typical bad input: its exit code, and an error in one sentence, never a traceback.

0 good, 1 something failed or a check is off, 2 bad usage or input, 3 a service or a model is missing.
"""

from __future__ import annotations

import os
import shlex
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from huggingface_hub import constants

from vvbatch.cli import COMMANDS, main

pytestmark = pytest.mark.slow

BAD_INPUT = [
    ("check", "Missing argument 'SCRIPT…'"),
    ("check absent.yaml", "absent.yaml:1:1: no such file"),
    ("check empty.yaml", "empty.yaml:1:1: an empty file"),
    ("check folder", "folder:1:1: "),
    ("check bad.yaml", "bad.yaml:1:1: neither chapters nor lines"),
    ("check binary.yaml", "binary.yaml:1:1: "),
    ("check script.doc", "a script ending in '.doc'"),
    ("check file/x.yaml", "file/x.yaml:1:1: a file that cannot be read"),
    ("check good.yaml --model absent", "unknown profile 'absent'"),
    ("check good.yaml --takes 0", "Invalid value for '--takes'"),
    ("check good.yaml --escalate absent", "unknown profile 'absent'"),
    ("lexicon add a", "Missing argument 'SAY'"),
    ("lexicon add ... x", "both need a letter or a digit"),
    ("lexicon add a b --language ?", "language '?'"),
    ("lexicon remove absent", "no entry for 'absent'"),
    ("lexicon check absent.yaml", "absent.yaml:1:1: no such file"),
    ("run", "Missing argument 'SCRIPT…'"),
    ("run absent.yaml", "absent.yaml:1:1: no such file"),
    ("run bad.yaml good.yaml", "bad.yaml:1:1: neither chapters nor lines"),
    ("run good.yaml --model absent", "unknown profile 'absent'"),
    ("run good.yaml --model draft --out file", "Directory 'file' is a file"),
    ("run good.yaml --model draft --out file/x", "output folder {here}/file/x cannot be written: Not a directory"),
    ("run good.yaml --priority urgent", "'urgent' is not one of"),
    ("run absent.epub", "absent.epub: no such file"),
    ("import", "Missing argument 'MANUSCRIPT'"),
    ("import absent.epub", "absent.epub: no such file"),
    ("import script.doc", "a manuscript ending in '.doc'"),
    ("import folder", "a manuscript without a file type"),
    ("import bad.epub", "bad.epub: not a complete ZIP archive"),
    ("import good.md --keep everything", "'everything' is none of toc"),
    ("import good.md --depth 0", "Invalid value for '--depth'"),
    ("import good.md -o good.yaml", "good.yaml: it was edited after it was imported, or is no import"),
    ("import good.md -o x.txt", "x.txt: a script that is imported is YAML"),
    ("import good.md -o x.yaml --update --force", "give one of them"),
    ("submit", "Missing argument 'SCRIPT…'"),
    ("submit bad.yaml", "bad.yaml:1:1: neither chapters nor lines"),
    ("submit good.yaml --model draft --out file/x", "output folder {here}/file/x cannot be written: Not a directory"),
    ("synth", "Missing argument 'TEXT'"),
    ("synth ...", "TEXT:1:1: "),
    ("synth Hello. --voice absent", "unknown voice 'absent'"),
    ("synth Hello. --model absent", "unknown profile 'absent'"),
    ("synth Hello. --out one.m4a", "allowed: .wav, .wave, .flac, .mp3, .ogg"),
    ("check good.yaml --language german", "allowed: a code of two or three letters"),
    ("qc good.wav --text Hello. --language 1", "allowed: a code of two or three letters"),
    ("prune --kind proof", "--kind proof needs --older-than AGE"),
    ("prune --kind night --yes", "--kind night needs --older-than AGE"),
    ("synth Hello. --seed -1", "Invalid value for '--seed'"),
    ("synth Hello. --stream --json", "--stream and --json both write to stdout"),
    ("synth Hello. --model draft --out file/x.wav", "output folder {here}/file cannot be written: Not a directory"),
    ("synth Hello. --model draft --out folder", "File 'folder' is a directory"),
    ("assemble", "Missing argument 'BATCH'"),
    ("report absent", "unknown batch 'absent'"),
    ("assemble absent", "unknown batch 'absent'"),
    ("run good.yaml --model draft --book m4a", "book format 'm4a' is unknown: choose from m4b, mp3"),
    ("run good.yaml --model draft --preset loud", "preset 'loud' is unknown: choose one of audiobook"),
    ("status absent", "unknown batch 'absent'"),
    ("top", "top needs a terminal"),
    ("top --all --kind night", "--all and --kind exclude each other"),
    ("top --kind absent", "Invalid value for '--kind'"),
    ("pause", "name a batch"),
    ("pause absent", "unknown batch 'absent'"),
    ("pause --queue absent", "unknown profile 'absent'"),
    ("resume absent", "unknown batch 'absent'"),
    ("resume --queue absent", "unknown profile 'absent'"),
    ("cancel", "name a batch"),
    ("cancel absent", "unknown batch 'absent'"),
    ("cancel absent --line x", "unknown batch 'absent'"),
    ("retry absent", "unknown batch 'absent'"),
    ("retry absent --line x", "unknown batch 'absent'"),
    ("reject absent", "name a line, or a chapter with --chapter"),
    ("reject absent x", "unknown batch 'absent'"),
    ("reject absent x --seed -1", "-1 is not in the range"),
    ("prefer absent", "unknown take 'absent'"),
    ("review absent", "review reads keys: run it in a terminal"),
    ("verify absent", "unknown batch 'absent'"),
    ("replay", "Missing argument 'TAKE'"),
    ("replay absent", "unknown take 'absent'"),
    ("qc", "Missing argument 'FILES...'"),
    ("qc absent.wav", "Path 'absent.wav' does not exist"),
    ("qc noise.wav --model absent", "unknown profile 'absent'"),
    ("qc noise.wav --voice absent", "unknown voice 'absent'"),
    ("ledger batches --state absent", "Invalid value for '--state'"),
    ("ledger lines absent", "unknown batch 'absent'"),
    ("ledger takes --batch absent", "unknown batch 'absent'"),
    ("ledger takes --since soon", "not a time: 'soon'"),
    ("ledger metrics --batch absent", "unknown batch 'absent'"),
    ("ledger query", "Missing argument 'SQL'"),
    ("ledger query SELEC", "the query failed: "),
    ("ledger query 'DELETE FROM batches'", "`ledger query` only reads"),
    ("ledger export --out file/x.csv", "file/x.csv cannot be written: Not a directory"),
    ("models verify absent", "unknown profile 'absent'"),
    ("models verify draft", "profile 'draft' needs no model from a hub"),
    ("models pull absent", "unknown profile 'absent'"),
    ("models pull draft", "profile 'draft' needs no model from a hub"),
    ("models sync user@host", "'user@host' is neither a folder here"),
    ("models convert absent --out x", "unknown profile 'absent'"),
    ("models convert 1.5b", "Missing option '--out'"),
    ("voices check absent", "unknown voice 'absent'"),
    ("voices import absent.wav --name x", "absent.wav does not exist"),
    ("voices import noise.wav --name x", "noise.wav is not a recording"),
    ("voices remove absent", "unknown voice 'absent'"),
    ("voices remove carter", "'carter' is a bundled voice"),
    ("voices variants absent", "unknown voice 'absent'"),
    ("regress run absent", "unknown suite 'absent'"),
    ("regress run absent.yaml", "absent.yaml:1:1: no such file"),
    ("regress run bad.yaml", "bad.yaml:1:1: neither chapters nor lines"),
    ("regress run draft --model absent", "unknown profile 'absent'"),
    ("regress bless draft", "Missing option '--why'"),
    ("regress bless absent --why good", "unknown suite 'absent'"),
    ("regress report absent", "unknown suite 'absent'"),
    ("regress report draft", "suite 'draft' has no night that has ended"),
    ("regress schedule absent --cron '30 2 * * *'", "unknown suite 'absent'"),
    ("regress schedule draft --cron nightly", "cron expression 'nightly' has 1 field"),
    ("regress schedule draft --off", "suite 'draft' is not scheduled"),
    ("doctor absent", "unexpected extra argument"),
    ("bundle --out file", "{here}/file exists already"),
    ("bundle --out file/x.zip", "output folder {here}/file cannot be written: Not a directory"),
    ("warmup absent", "unknown profile 'absent'"),
    ("warmup draft --voice absent", "unknown voice 'absent'"),
    ("service install --workers absent", "unknown profile 'absent'"),
    ("service install --workers ,", "it names no profile"),
    ("up --workers absent", "unknown profile 'absent'"),
    ("up --log file/x.log", "file/x.log cannot be written: Not a directory"),
    ("up --log folder", "File 'folder' is a directory"),
    ("delete", "Missing argument 'BATCH…'"),
    ("delete absent --yes", "unknown batch 'absent'"),
    ("prune --older-than soon", "not an age: 'soon'"),
    ("prune --kind absent", "Invalid value for '--kind'"),
    ("bench engine --slots 0", "Invalid value for '--slots'"),
    ("completion csh", "'csh' is not one of"),
    ("redis absent", "unexpected extra argument"),
    ("serve absent", "unexpected extra argument"),
    ("serve --port 99999", "Invalid value for '--port'"),
    ("serve --host 0.0.0.0", "VVBATCH_TOKEN_FILE"),
    ("absent", "No such command 'absent'"),
]
MISSING = [
    ("warmup 1.5b", "the model of profile '1.5b' cannot be used"),
    ("models convert 1.5b --out x", "the model of profile '1.5b' cannot be used"),
    ("bench parity folder", "folder/expected.npz is missing"),
]
BAD_SURROUNDINGS = [
    ("VVBATCH_HOME", "file", 3, "{here}/file"),
    ("VVBATCH_REDIS_URL", "nonsense", 3, "VVBATCH_REDIS_URL is not a server's address"),
    ("VVBATCH_REDIS_URL", "unix:///nowhere/x.sock", 3, "is not running; start that server"),
    ("VVBATCH_REDIS_URL", "redis://localhost:1/0", 3, "VVBATCH_REDIS_URL has no password"),
    ("VVBATCH_LEDGER_URL", "nonsense", 3, "VVBATCH_LEDGER_URL must be sqlite:"),
    ("VVBATCH_LEDGER_URL", "sqlite:////dev/null/x", 3, "cannot be opened: "),
    ("VVBATCH_CONFIGS", "nowhere", 2, "VVBATCH_CONFIGS=nowhere: {here}/nowhere is not a folder"),
]


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder with files of each kind, a home of its own, and no model."""
    folder = tmp_path.resolve() / "here"
    (folder / "folder").mkdir(parents=True)
    files = {
        "good.yaml": "version: 1\nlines: [Hello there.]\n",
        "bad.yaml": "version: 1\nlined: [Hello there.]\n",
        "empty.yaml": "",
        "script.doc": "Hello there.",
        "good.md": "Hello there.",
        "bad.epub": "Hello there.",
        "noise.wav": "this is no sound",
        "file": "a file",
    }
    for name, text in files.items():
        (folder / name).write_text(text)
    (folder / "binary.yaml").write_bytes(b"\xff\xfe\x00\xd8\x00")
    monkeypatch.chdir(folder)
    monkeypatch.setenv("VVBATCH_HOME", str(tmp_path / "home"))
    for name in ("VVBATCH_CONFIGS", "VVBATCH_REDIS_URL", "VVBATCH_LEDGER_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    return folder


def run(words: str) -> Result:
    before = dict(os.environ)
    try:
        return CliRunner().invoke(main, shlex.split(words), input="")
    finally:
        os.environ.clear()
        os.environ.update(before)


def check(done: Result, code: int, said: str, here: Path) -> None:
    assert done.exit_code == code, f"{done.output}\n{done.exception!r}"
    assert isinstance(done.exception, SystemExit), repr(done.exception)
    assert "Traceback" not in done.output
    errors = [line for line in done.stderr.splitlines() if line.startswith("Error: ")]
    assert len(errors) == 1, done.stderr
    assert said.format(here=here) in errors[0]
    assert done.stdout == ""


@pytest.mark.parametrize(("words", "said"), BAD_INPUT)
def test_bad_input_exits_with_2_and_one_error(here: Path, words: str, said: str) -> None:
    if words.startswith("ledger query"):
        run("status")  # makes the ledger
    check(run(words), 2, said, here)


@pytest.mark.parametrize(("words", "said"), MISSING)
def test_what_is_missing_exits_with_3_and_one_error(here: Path, words: str, said: str) -> None:
    check(run(words), 3, said, here)


@pytest.mark.parametrize("words", ["run good.yaml --model draft", "submit good.yaml --model draft", "synth Hello."])
@pytest.mark.parametrize(("variable", "value", "code", "said"), BAD_SURROUNDINGS)
def test_surroundings_that_cannot_be_used_are_one_error(
    here: Path, monkeypatch: pytest.MonkeyPatch, words: str, variable: str, value: str, code: int, said: str
) -> None:
    from vvbatch import profiles

    profiles.load.cache_clear()
    monkeypatch.setenv(variable, value)
    done = run(words)
    if code == 2 and ":1:" in done.stderr:  # among the problems of the script, each in a line of its own
        assert done.exit_code == 2 and said.format(here=here) in done.stderr
    else:
        check(done, code, said, here)


def test_top_without_its_extra_exits_with_3_and_names_it(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "textual", None)
    check(run("top"), 3, "top needs Textual: pip install 'vvbatch[top]'", here)


@pytest.mark.parametrize("words", ["qc noise.wav", "qc folder"])
def test_a_check_that_is_off_exits_with_1(here: Path, words: str) -> None:
    done = run(words)
    assert done.exit_code == 1 and "Traceback" not in done.output


def test_a_system_error_is_one_sentence_with_the_path(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", "file")
    done = run("service install --no-start")
    check(done, 1, "/file/systemd/user: Not a directory; check the path, its mode and its disk", here)


def test_the_table_has_every_command() -> None:
    assert set(COMMANDS) - {words.split()[0] for words, _ in BAD_INPUT} == set()


def test_a_command_that_cannot_be_run_is_refused_before_anything_is_queued(home: Path, script: object) -> None:
    from tests.support.cli import Cli

    run = Cli()
    done = run("run", str(script("One.")), "--notify", "absent-program", code=2)  # type: ignore[operator]
    assert "notify: the program 'absent-program' is not found" in done.stderr
    assert run.json("ledger", "batches") == []
    (home / "settings.yaml").write_text("notify: [absent-program, x]\n")
    assert "'absent-program' is not found" in run("up", "--workers", "ready", code=2).stderr
