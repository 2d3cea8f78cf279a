"""Manuscripts that were made to do harm are refused by name, or what is harmful in them is not used."""

from __future__ import annotations

import io
import struct
import zipfile
from pathlib import Path

import pytest

from tests.support.manuscripts import CONTAINER, Epub, archive, docx, lines, page, paragraph, read, refused
from vvbatch.manuscript import archive as archives
from vvbatch.manuscript.model import ManuscriptError
from vvbatch.manuscript.write import script_text

GOOD = Epub({"a.xhtml": "<p>Text.</p>"})
BOMB = (
    '<?xml version="1.0"?><!DOCTYPE html [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;">'
    '<!ENTITY c "&b;&b;&b;&b;&b;&b;&b;&b;">]><html><body><p>&c;</p></body></html>'
)
EXTERNAL = '<?xml version="1.0"?><!DOCTYPE html [<!ENTITY x SYSTEM "file:///etc/passwd">]><html><p>&x;</p></html>'


@pytest.mark.parametrize("text", [BOMB, EXTERNAL], ids=["bomb", "external"])
def test_entities_are_refused_in_every_document(tmp_path: Path, text: str) -> None:
    assert "OEBPS/a.xhtml declares XML entities" in refused(tmp_path, Epub({"a.xhtml": text.encode()}))
    utf16 = text.replace('<?xml version="1.0"?>', "").encode("utf-16")
    assert "declares XML entities" in refused(tmp_path, Epub({"a.xhtml": utf16}))
    package = Epub({"a.xhtml": "<p>x</p>"}, files={"OEBPS/book.opf": text})
    assert "OEBPS/book.opf declares XML entities" in refused(tmp_path, package)
    word = archive({"word/document.xml": text})
    assert "word/document.xml declares XML entities" in refused(tmp_path, word, "book.docx")
    assert "declares XML entities" in refused(tmp_path, text, "book.html")
    assert "declares XML entities" in refused(tmp_path, text, "book.xhtml")


def test_an_external_document_type_is_not_loaded(tmp_path: Path) -> None:
    (tmp_path / "x.dtd").write_text('<!ENTITY evil "gotcha">')
    text = f'<!DOCTYPE html SYSTEM "file://{tmp_path}/x.dtd"><html><body><p>Text &evil; here.</p></body></html>'
    assert lines(read(tmp_path, Epub({"a.xhtml": text.encode()}))) == ["Text &evil; here."]


def test_a_file_that_unpacks_to_many_times_its_size_is_refused(tmp_path: Path) -> None:
    bomb = page(f"<p>{'a' * 3_000_000}</p>").encode()
    assert "times its size (a zip bomb)" in refused(tmp_path, Epub({"a.xhtml": bomb}))


def test_files_that_are_too_large_together_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archives, "MAX_TOTAL_BYTES", 2000)
    pages: dict[str, str | bytes] = {f"{number}.xhtml": f"<p>{'word ' * 100}</p>" for number in range(5)}
    assert "it unpacks to more than" in refused(tmp_path, Epub(pages))


def test_a_file_that_says_it_is_smaller_than_it_is_is_refused(tmp_path: Path) -> None:
    data = bytearray(GOOD.data())
    with zipfile.ZipFile(io.BytesIO(bytes(data))) as file:
        size = file.getinfo("OEBPS/a.xhtml").file_size
    true, small = struct.pack("<I", size), struct.pack("<I", 10)
    assert data.count(true) >= 2
    assert "'OEBPS/a.xhtml' is damaged" in refused(tmp_path, bytes(data).replace(true, small))


def test_ten_thousand_files_are_refused_before_the_directory_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = archive({f"{number}.txt": b"" for number in range(10_000)})
    monkeypatch.setattr(zipfile, "ZipFile", None)
    assert "an archive of 10,000 files" in refused(tmp_path, data)


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("/etc/passwd", "an absolute path, '/etc/passwd'"),
        ("C:\\x.txt", "an absolute path"),
        ("../../x.txt", "a path out of its folder, '../../x.txt'"),
        ("a\\..\\..\\x.txt", "a path out of its folder"),
    ],
)
def test_paths_that_lead_out_are_refused(tmp_path: Path, name: str, found: str) -> None:
    assert found in refused(tmp_path, Epub(GOOD.pages, files={name: "x"}))


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_a_name_that_stands_twice_is_refused(tmp_path: Path) -> None:
    buffer = io.BytesIO(GOOD.data())
    with zipfile.ZipFile(buffer, "a") as file:
        file.writestr("OEBPS/a.xhtml", page("<p>Other.</p>"))
    assert "holds 'OEBPS/a.xhtml' twice" in refused(tmp_path, buffer.getvalue())


def test_links_out_of_the_manuscript_are_not_followed(tmp_path: Path) -> None:
    (tmp_path / "secret.xhtml").write_text(page("<p>Secret.</p>"))
    items = "".join(
        f'<item id="o{number}" href="{href}" media-type="application/xhtml+xml"/>'
        for number, href in enumerate(
            ("../../secret.xhtml", "file:///etc/passwd", "https://example.org/a.xhtml", "/etc/passwd", "..%2F..%2Fx")
        )
    )
    spine = "".join(f'<itemref idref="o{number}"/>' for number in range(5))
    done = read(tmp_path, Epub(GOOD.pages, manifest=items, spine=spine))
    assert lines(done) == ["Text."]
    assert sum("is outside the manuscript" in warning.message for warning in done.warnings) == 5


def test_digital_rights_management_is_refused_and_obfuscated_fonts_are_not(tmp_path: Path) -> None:
    def encrypted(algorithm: str) -> dict[str, str | bytes]:
        return {
            "META-INF/encryption.xml": (
                '<encryption xmlns="urn:oasis:names:tc:opendocument:xmlns:container" '
                'xmlns:enc="http://www.w3.org/2001/04/xmlenc#"><enc:EncryptedData>'
                f'<enc:EncryptionMethod Algorithm="{algorithm}"/><enc:CipherData>'
                '<enc:CipherReference URI="OEBPS/a.xhtml"/></enc:CipherData></enc:EncryptedData></encryption>'
            )
        }

    aes = encrypted("http://www.w3.org/2001/04/xmlenc#aes128-cbc")
    assert "digital rights management" in refused(tmp_path, Epub(GOOD.pages, files=aes))
    fonts = encrypted("http://www.idpf.org/2008/embedding")
    assert lines(read(tmp_path, Epub(GOOD.pages, files=fonts))) == ["Text."]


def test_a_file_with_a_password_is_refused(tmp_path: Path) -> None:
    data = bytearray(archive(GOOD.entries()))
    for signature, flags in ((b"PK\3\4", 6), (b"PK\1\2", 8)):
        start = 0
        while (start := data.find(signature, start)) >= 0:
            data[start + flags] |= 1
            start += 4
    assert "is encrypted with a password" in refused(tmp_path, bytes(data))


@pytest.mark.parametrize("keep", [0.3, 0.9, 0.99])
def test_a_cut_archive_is_refused(tmp_path: Path, keep: float) -> None:
    data = GOOD.data()
    assert "not a complete ZIP archive" in refused(tmp_path, data[: int(len(data) * keep)])


def test_a_damaged_file_is_refused_by_name(tmp_path: Path) -> None:
    data = bytearray(GOOD.data())
    at = data.find(b"OEBPS/a.xhtml") + len(b"OEBPS/a.xhtml") + 20
    data[at : at + 8] = b"\xff" * 8
    assert "'OEBPS/a.xhtml' is damaged" in refused(tmp_path, bytes(data))


def test_elements_nested_500_deep_are_refused_by_name(tmp_path: Path) -> None:
    deep = f"{'<div>' * 500}<p>Text.</p>{'</div>' * 500}"
    for name, data in (("book.epub", Epub({"a.xhtml": deep})), ("book.html", deep), ("book.md", deep)):
        assert "elements nested more than 255 deep" in refused(tmp_path, data, name)
    runs = "<w:smartTag>" * 500 + "</w:smartTag>" * 500
    assert "elements nested more than 255 deep" in refused(tmp_path, docx(paragraph(runs)), "book.docx")


def test_an_attribute_of_many_megabytes_is_refused_by_name(tmp_path: Path) -> None:
    data = f'<p title="{"abcdefghij" * 1_200_000}">Text.</p>'
    assert "an attribute or a text of more than 10 MB" in refused(tmp_path, data, "book.xhtml")


@pytest.mark.parametrize(
    ("entries", "found"),
    [
        ({"mimetype": "application/epub+zip"}, "it has no META-INF/container.xml"),
        ({"META-INF/container.xml": CONTAINER}, "names no package that is there"),
        ({"META-INF/container.xml": "<a>"}, "is not well-formed XML"),
        ({"META-INF/container.xml": CONTAINER.replace("OEBPS", "../..")}, "names no package that is there"),
        ({}, "not an EPUB"),
    ],
)
def test_an_archive_that_is_no_epub_is_refused(tmp_path: Path, entries: dict[str, str | bytes], found: str) -> None:
    assert found in refused(tmp_path, archive(entries))


def test_what_is_no_regular_file_of_a_known_type_is_refused(tmp_path: Path) -> None:
    from vvbatch.manuscript import read_manuscript

    (tmp_path / "empty.epub").touch()
    (tmp_path / "folder.md").mkdir()
    (tmp_path / "book.pdf").write_bytes(b"%PDF")
    (tmp_path / "bare").write_bytes(b"x")
    found = {
        "empty.epub": "an empty file",
        "folder.md": "a folder",
        "book.pdf": "a manuscript ending in '.pdf'; allowed: .epub, .docx",
        "bare": "a manuscript without a file type",
        "absent.epub": "no such file",
    }
    for name, message in found.items():
        with pytest.raises(ManuscriptError) as error:
            read_manuscript(tmp_path / name)
        assert message in str(error.value) and name in str(error.value)


def test_too_many_paragraphs_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("markup", "docx"):
        monkeypatch.setattr(f"vvbatch.manuscript.{module}.MAX_BLOCKS", 5)
    for name, data in (("book.html", "<p>Text.</p>" * 6), ("book.docx", docx(paragraph("Text.") * 6))):
        assert "paragraphs; split the manuscript" in refused(tmp_path, data, name)
    monkeypatch.setattr("vvbatch.manuscript.compose.MAX_LINES", 3)
    assert "4 paragraphs; a script has at most 3 lines" in refused(tmp_path, "<p>Text.</p>" * 4, "book.html")


def test_a_script_that_would_be_too_long_to_be_read_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vvbatch.manuscript.write.MAX_BYTES", 2000)
    done = read(tmp_path, "<p>Text.</p>" * 200, "book.html")
    with pytest.raises(ManuscriptError, match=r"a script of 0\.0 MiB would be made of it"):
        script_text(done, source="book.html", cover=None, voice=None)


def test_control_characters_cannot_reach_the_script(tmp_path: Path) -> None:
    body = "<p>One&#x202E;two&#x7;three\ufeff four.</p>"
    done = read(tmp_path, body, "book.html")
    assert lines(done) == ["Onetwo three four."]
