from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.conftest import ROOT
from tests.support.script_files import parsed, problems, refused, texts, write
from vvbatch.script import ScriptError, csv_script, parse, text_script, yaml_script
from vvbatch.script.source import MAX_BYTES, Source


def refusal(path: Path) -> str:
    with pytest.raises(ScriptError) as caught:
        parse(path)
    [problem] = caught.value.problems
    assert (problem.position.line, problem.position.column) == (1, 1)
    assert str(caught.value).startswith(f"{path}:1:1: ".replace("\0", "\ufffd"))
    return f"{problem.found}; {problem.allowed}"


def test_a_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "s.yaml").mkdir()
    descriptors = len(list(Path("/dev/fd").iterdir()))
    assert "a folder" in refusal(tmp_path / "s.yaml")
    assert len(list(Path("/dev/fd").iterdir())) == descriptors


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    assert "no such file" in refusal(tmp_path / "s.yaml")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_an_unreadable_file_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path, "s.csv", "text\na\n")
    path.chmod(0)
    assert "without read permission" in refusal(path)


def test_a_file_that_may_not_be_read_is_refused_by_permissions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def denied(*_: object) -> int:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("vvbatch.script.source.os.open", denied)
    assert "check its permissions" in refusal(write(tmp_path, "s.csv", "text\na\n"))


def test_a_pipe_without_a_writer_is_refused_without_blocking(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "s.txt")
    assert "a pipe, socket or device" in refusal(tmp_path / "s.txt")


def test_a_socket_and_a_device_are_refused(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tmp_path / "s.txt"))
        assert "cannot be read" in refusal(tmp_path / "s.txt")
    (tmp_path / "zero.txt").symlink_to("/dev/zero")
    assert "device" in refusal(tmp_path / "zero.txt")


def test_an_impossible_path_is_refused(tmp_path: Path) -> None:
    assert "cannot be read" in refusal(tmp_path / "a\0.txt")
    assert "cannot be read" in refusal(tmp_path / ("a" * 300 + ".txt"))


@pytest.mark.parametrize(("name", "part"), [("s.docx", "'.docx'"), ("s", "without a file type"), (".yaml", "without")])
def test_other_file_types_are_refused_with_the_allowed_ones(tmp_path: Path, name: str, part: str) -> None:
    message = refusal(write(tmp_path, name, "version: 1\nlines: [a]\n"))
    assert part in message
    assert ".yaml, .yml, .csv, .tsv, .txt" in message


@pytest.mark.parametrize("name", ["s.yaml", "s.csv", "s.txt"])
@pytest.mark.parametrize("content", [b"", b"\n \t\r\n", b"\xef\xbb\xbf", b"\xff\xfe"])
def test_an_empty_file_is_refused(tmp_path: Path, name: str, content: bytes) -> None:
    assert "an empty file" in refusal(write(tmp_path, name, content))


def test_a_file_of_100_mib_is_refused_unread(tmp_path: Path) -> None:
    path = tmp_path / "s.csv"
    with path.open("wb") as file:
        file.truncate(100 * 2**20)
    assert "100.0 MiB; a script has at most 16 MiB" in refusal(path)


@pytest.mark.slow
def test_the_largest_size_is_allowed_and_one_byte_more_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path, "s.txt", b"a" * MAX_BYTES)
    assert len(texts(parse(path))[0]) == MAX_BYTES
    with path.open("ab") as file:
        file.write(b"a")
    assert "16.0 MiB" in refusal(path)


def test_a_binary_file_is_refused(tmp_path: Path) -> None:
    assert "a binary file" in refusal(write(tmp_path, "s.csv", b"PK\x03\x04\x14\x00\x06\x00"))


@pytest.mark.parametrize(
    ("content", "position"),
    [
        (b"a\r\n\xefb\n", (2, 1)),
        (b"\xef\xbb\xbfab\xe9\n", (1, 3)),
        (b"\xff\xfea\x00\r\x00\n\x00b\x00\x00\xd8c\x00", (2, 2)),
        ("é\n😀".encode() + b"\xe9", (2, 2)),
    ],
)
def test_the_first_byte_that_is_not_text_is_reported_with_its_position(
    content: bytes, position: tuple[int, int]
) -> None:
    [(line, column, message)] = problems("s.txt", content)
    assert (line, column) == position
    assert "save the file as UTF-8" in message


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-be"])
@pytest.mark.parametrize(("name", "content"), [("s.yaml", "version: 1\r\nlines: [é𐍈]\r\n"), ("s.txt", "é𐍈\r\n")])
def test_every_format_is_read_in_utf_8_and_utf_16(name: str, content: str, encoding: str) -> None:
    mark = "\ufeff" if encoding == "utf-16-be" else ""
    assert texts(parsed(name, (mark + content).encode(encoding))) == ["é𐍈"]


def test_every_unspeakable_character_is_reported_with_its_position() -> None:
    found = problems("s.txt", "a\x07b\n\x1b[31m c \u202e\n\ufeffd \uffff\x85\n")
    assert [(line, column) for line, column, _ in found] == [(1, 2), (2, 1), (2, 9), (3, 1), (3, 4), (3, 5)]


def test_a_text_has_one_unicode_form_and_single_spaces() -> None:
    assert texts(parsed("s.txt", "  Cafe\u0301\u00a0 \t“noir” —\u2028yes…\n")) == ["Café “noir” — yes…"]


def test_a_problem_shows_its_source_line_and_a_caret() -> None:
    error = refused("s.yaml", "version: 1\nlines:\n- a\n- {text: 日本\u0301, seed: x}\n")
    message, line, caret = str(error).split("\n")
    assert message == f"{error.path}:4:21: seed is 'x'; allowed: a whole number, 0 to 9223372036854775807"
    assert line == "    - {text: 日本\u0301, seed: x}"
    assert caret.index("^") - 4 == 20 + 1  # two wide characters are two cells more, the accent takes none


def test_an_excerpt_has_no_tabs_or_control_characters_and_cuts_long_lines() -> None:
    error = refused("s.csv", "text\tseed\n" + "w" * 5000 + "\x1b" + "\tx" + "\tz" * 5000 + "\n")
    for line in str(error).split("\n"):
        assert len(line) < 700
        assert "\x1b" not in line
        assert "\t" not in line
    shown, caret = next(
        (shown, caret)
        for message, shown, caret in zip(*[iter(str(error).split("\n"))] * 3, strict=True)
        if "seed is" in message
    )
    assert shown[caret.index("^")] == "x"
    assert shown.strip().startswith("…")
    assert shown.endswith("…")


def test_at_most_50_problems_are_shown_and_the_others_are_counted() -> None:
    error = refused("s.csv", "text\n" + "…\n" * 120)
    assert len(error.problems) == 120
    assert str(error).count("nothing to speak") == 50
    assert str(error).endswith("… and 70 more problems")


@pytest.mark.parametrize("line", ["{text: a, id: %s}", "&%s a", "*%s", "!%s a", "%s: a"])
def test_a_long_value_is_shortened_in_messages(line: str) -> None:
    [(_, _, message)] = problems("s.yaml", "version: 1\nlines:\n- " + line % ("x" * 900) + "\n")
    assert len(message) < 250


@given(st.text(st.sampled_from("ab\n\t é😀")), st.integers(0, 60))
@settings(deadline=None)
def test_a_position_is_the_line_and_column_of_its_character(text: str, index: int) -> None:
    position = Source(Path("s.txt"), text).position(index)
    index = min(index, len(text))
    assert position.line == text.count("\n", 0, index) + 1
    assert position.column == index - (text.rfind("\n", 0, index) + 1) + 1


@pytest.mark.slow
def test_importing_the_parser_imports_no_large_library() -> None:
    code = "import sys, vvbatch.script; sys.exit(bool({'yaml', 'numpy', 'torch', 'msgspec'} & set(sys.modules)))"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("s.csv", "text\n" + "…\n" * 5000),
        ("s.yaml", "version: 1\nlines:\n" + "- ''\n" * 5000),
        ("s.csv", "x," * 5000 + "\na\n"),
    ],
)
def test_parsing_stops_after_a_thousand_problems(name: str, content: str) -> None:
    error = refused(name, content)
    assert len(error.problems) == 1001
    assert error.problems[-1].found == "more than 1000 problems"


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("s.txt", "a\n\n" * 51),
        ("s.txt", "Speaker 1: a\n" * 51),
        ("s.yaml", "version: 1\nlines:\n" + "- a\n" * 51),
        ("s.csv", "text\n" + "a\n" * 51),
    ],
)
def test_too_many_lines_are_refused_at_the_first_one_beyond_the_limit(
    name: str, content: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (csv_script, text_script, yaml_script):
        monkeypatch.setattr(module, "MAX_LINES", 50)
    [(line, _, message)] = problems(name, content)
    shown = content.split("\n")
    assert shown[line - 1].endswith("a")
    assert sum(one.endswith("a") for one in shown[: line - 1]) == 50
    assert "more than 50 lines; split the script" in message


def test_a_row_with_too_many_cells_is_refused() -> None:
    [(_, _, message)] = problems("s.csv", "text\na" + "," * 100_000 + "\n")
    assert "more than 16384 cells" in message
