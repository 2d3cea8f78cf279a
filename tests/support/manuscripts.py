"""EPUB, DOCX and other manuscripts, made in code."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape

from vvbatch.manuscript import read_manuscript
from vvbatch.manuscript.model import Kind, Manuscript, ManuscriptError, Options

XHTML = 'xmlns="http://www.w3.org/1999/xhtml" xmlns:epub="http://www.idpf.org/2007/ops"'
PNG = b"\x89PNG\r\n\x1a\n" + b"\0" * 32
CONTAINER = (
    '<container version="1.0" xmlns="urn:oasis:names:tc:opendocument:xmlns:container"><rootfiles>'
    '<rootfile full-path="OEBPS/book.opf" media-type="application/oebps-package+xml"/></rootfiles></container>'
)
DOCX_NAMES = 'xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main"'


def page(body: str, *, lang: str = "en", head: str = "") -> str:
    return (
        f'<?xml version="1.0" encoding="utf-8"?>\n<!DOCTYPE html>\n<html {XHTML} xml:lang="{lang}">'
        f"<head><title>page</title>{head}</head>\n<body>{body}</body></html>"
    )


def archive(files: Mapping[str, str | bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as file:
        for name, data in files.items():
            file.writestr(name, data)
    return buffer.getvalue()


@dataclass
class Epub:
    """An EPUB of pages in the order of reading; `toc` is the list of a navigation document."""

    pages: dict[str, str | bytes]
    toc: str = ""
    title: str = "The Lighthouse"
    author: str = "Jane Doe"
    language: str = "en"
    ncx: str = ""  # the content of a navMap
    metadata: str = ""
    guide: str = ""
    manifest: str = ""
    spine: str = ""
    not_linear: Sequence[str] = ()
    media_type: str = "application/xhtml+xml"
    files: dict[str, str | bytes] = field(default_factory=dict)

    def package(self) -> str:
        items = "".join(
            f'<item id="i{number}" href="{escape(name)}" media-type="{self.media_type}"/>'
            for number, name in enumerate(self.pages)
        )
        refs = "".join(
            f'<itemref idref="i{number}"{" linear=" + chr(34) + "no" + chr(34) if name in self.not_linear else ""}/>'
            for number, name in enumerate(self.pages)
        )
        if self.toc:
            items += '<item id="nav" href="nav.xhtml" media-type="application/xhtml+xml" properties="nav"/>'
        if self.ncx:
            items += '<item id="ncx" href="toc.ncx" media-type="application/x-dtbncx+xml"/>'
        return (
            '<package xmlns="http://www.idpf.org/2007/opf" version="3.0" unique-identifier="id">'
            '<metadata xmlns:dc="http://purl.org/dc/elements/1.1/"><dc:identifier id="id">x</dc:identifier>'
            f"<dc:title>{escape(self.title)}</dc:title><dc:creator>{escape(self.author)}</dc:creator>"
            f"<dc:language>{self.language}</dc:language>{self.metadata}</metadata>"
            f"<manifest>{items}{self.manifest}</manifest>"
            f"<spine{' toc=' + chr(34) + 'ncx' + chr(34) if self.ncx else ''}>{refs}{self.spine}</spine>"
            f"<guide>{self.guide}</guide></package>"
        )

    def entries(self) -> dict[str, str | bytes]:
        files: dict[str, str | bytes] = {"mimetype": "application/epub+zip", "META-INF/container.xml": CONTAINER}
        files["OEBPS/book.opf"] = self.package()
        if self.toc:
            files["OEBPS/nav.xhtml"] = page(f'<nav epub:type="toc"><h1>Contents</h1><ol>{self.toc}</ol></nav>')
        if self.ncx:
            files["OEBPS/toc.ncx"] = (
                f'<ncx xmlns="http://www.daisy.org/z3986/2005/ncx/" version="2005-1"><navMap>{self.ncx}</navMap></ncx>'
            )
        for name, body in self.pages.items():
            files[f"OEBPS/{name}"] = page(body) if isinstance(body, str) and "<html" not in body else body
        return files | self.files

    def data(self) -> bytes:
        return archive(self.entries())

    def write(self, folder: Path, name: str = "book.epub") -> Path:
        path = folder / name
        path.write_bytes(self.data())
        return path


def entry(title: str, href: str = "", inner: str = "") -> str:
    """An entry of a navigation document, with a list of entries in it."""
    label = f'<a href="{href}">{title}</a>' if href else f"<span>{title}</span>"
    return f"<li>{label}{f'<ol>{inner}</ol>' if inner else ''}</li>"


def point(title: str, source: str, inner: str = "") -> str:
    """An entry of an NCX."""
    return f'<navPoint><navLabel><text>{title}</text></navLabel><content src="{source}"/>{inner}</navPoint>'


def paragraph(text: str, style: str = "", properties: str = "") -> str:
    """A paragraph of a DOCX; `text` may hold runs of its own."""
    given = f'<w:pStyle w:val="{style}"/>' if style else ""
    runs = text if text.startswith("<w:") else f"<w:r><w:t xml:space='preserve'>{escape(text)}</w:t></w:r>"
    return f"<w:p><w:pPr>{given}{properties}</w:pPr>{runs}</w:p>"


def run(text: str, properties: str = "") -> str:
    return f"<w:r><w:rPr>{properties}</w:rPr><w:t xml:space='preserve'>{escape(text)}</w:t></w:r>"


STYLES = "".join(
    f'<w:style w:styleId="{key}"><w:name w:val="{name}"/></w:style>'
    for key, name in {
        "Title": "Title",
        "Heading1": "heading 1",
        "Heading2": "heading 2",
        "TOC1": "toc 1",
        "Caption": "caption",
    }.items()
)


def docx(body: str, *, footnotes: Mapping[int, str] | None = None, title: str = "", author: str = "") -> bytes:
    files: dict[str, str | bytes] = {
        "[Content_Types].xml": '<Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types"/>',
        "word/document.xml": f"<w:document {DOCX_NAMES}><w:body>{body}</w:body></w:document>",
        "word/styles.xml": f"<w:styles {DOCX_NAMES}>{STYLES}</w:styles>",
        "docProps/core.xml": (
            '<cp:coreProperties xmlns:cp="http://schemas.openxmlformats.org/package/2006/metadata/core-properties" '
            f'xmlns:dc="http://purl.org/dc/elements/1.1/"><dc:title>{title}</dc:title><dc:creator>{author}</dc:creator>'
            "</cp:coreProperties>"
        ),
    }
    if footnotes:
        notes = "".join(f'<w:footnote w:id="{key}">{paragraph(text)}</w:footnote>' for key, text in footnotes.items())
        files["word/footnotes.xml"] = (
            f'<w:footnotes {DOCX_NAMES}><w:footnote w:type="separator" w:id="-1">{paragraph("-")}</w:footnote>'
            f"{notes}</w:footnotes>"
        )
    return archive(files)


def read(folder: Path, manuscript: Epub | bytes | str, name: str = "book.epub", **options: Any) -> Manuscript:
    path = folder / name
    data = manuscript.data() if isinstance(manuscript, Epub) else manuscript
    path.write_bytes(data.encode() if isinstance(data, str) else data)
    return read_manuscript(path, Options(**options))


def refused(folder: Path, manuscript: Epub | bytes | str, name: str = "book.epub") -> str:
    """The message with which a manuscript is refused."""
    try:
        done = read(folder, manuscript, name)
    except ManuscriptError as error:
        return str(error)
    raise AssertionError(f"imported: {done}")


def lines(manuscript: Manuscript) -> list[str]:
    """The texts of all lines; a dialogue as `speaker: text | …`."""
    return [text for chapter in outline(manuscript) for text in chapter[1]]


def outline(manuscript: Manuscript) -> list[tuple[str, list[str]]]:
    """The chapters with their lines, without breaks and pauses."""
    return [
        (
            chapter.title,
            [
                " | ".join(f"{turn.speaker}: {turn.text}" if turn.speaker else turn.text for turn in paragraph.turns)
                for paragraph in chapter.paragraphs
            ],
        )
        for chapter in manuscript.chapters
    ]


def left_out(manuscript: Manuscript, kind: Kind) -> list[str]:
    return [skipped.what for skipped in manuscript.skipped if skipped.kind is kind]
