"""EPUB 2 and 3: the package, the order of reading (spine), the table of contents, and each page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from vvbatch.manuscript import footnotes
from vvbatch.manuscript.archive import Archive, opened, resolved
from vvbatch.manuscript.blocks import Draft, TocEntry
from vvbatch.manuscript.covers import MAX_COVER_BYTES, cover_of
from vvbatch.manuscript.markup import Walk
from vvbatch.manuscript.model import Cover, Kind, ManuscriptError, Notes, Options
from vvbatch.manuscript.navigation import Entry, contents, landmarks
from vvbatch.manuscript.tree import Element, Reader, attribute, name_of, text_of

CONTAINER, ENCRYPTION, MIMETYPE = "META-INF/container.xml", "META-INF/encryption.xml", "mimetype"
_PAGES = {"application/xhtml+xml", "text/html", "text/x-oeb1-document", "application/xml", "text/xml"}
_FONTS = ("http://www.idpf.org/2008/embedding", "http://ns.adobe.com/pdf/enc#RC")
"""Ways of encrypting fonts; everything else is digital rights management."""
_OF_GUIDE = {
    "toc": Kind.TOC,
    "loi": Kind.TOC,
    "lot": Kind.TOC,
    "copyright-page": Kind.COPYRIGHT,
    "copyright": Kind.COPYRIGHT,
    "title-page": Kind.TITLE_PAGE,
    "titlepage": Kind.TITLE_PAGE,
    "cover": Kind.TITLE_PAGE,
    "index": Kind.INDEX,
    "notes": Kind.FOOTNOTES,
    "endnotes": Kind.FOOTNOTES,
    "footnotes": Kind.FOOTNOTES,
}


@dataclass(frozen=True)
class _File:
    name: str
    media_type: str
    properties: frozenset[str]


@dataclass
class _Package:
    """What the package document says."""

    name: str
    title: str = ""
    authors: list[str] = field(default_factory=list)
    language: str = ""
    files: dict[str, _File] = field(default_factory=dict)  # by id
    spine: list[tuple[str, bool]] = field(default_factory=list)  # ids; whether in the order of reading
    ncx: str = ""  # an id
    cover: str = ""  # an id
    guide: dict[str, Kind] = field(default_factory=dict)  # by name of the file


LONGEST_PAGE = 10_000  # characters of a page that is a table of contents, a copyright page or a title page
LONGEST_OWN_TEXT = 300  # of a page that is a table of contents, around it


def read(path: Path, options: Options, notes: Notes) -> Draft:
    """Raises ManuscriptError for what is no EPUB, has digital rights management, or may be dangerous."""
    with opened(path) as archive:
        return _Epub(archive, Reader(path, notes), options, notes).draft()


@dataclass
class _Epub:
    archive: Archive
    reader: Reader
    options: Options
    notes: Notes

    def draft(self) -> Draft:
        self.check()
        package = self.package(self.package_name())
        pages = self.pages(package)
        if not pages:
            self.archive.refuse("an EPUB without a page of text", "export the manuscript again")
        names = {page.name for page, _ in pages}
        entries = self.contents(package)
        footnotes.find([page for page, _ in pages], resolved)
        walk = Walk(self.notes, self.options.keep, lambda page, href: (resolved(page, href) or ("",))[0] in names)
        for number, (page, linear) in enumerate(pages):
            walk.page(page.name, page.root, number, self.role(page, linear, package, entries))
        return Draft(
            title=package.title,
            author=", ".join(package.authors) or None,
            language=package.language or None,
            cover=self.cover(package),
            blocks=walk.blocks,
            toc=list(self.placed(entries, walk.anchors, names)),
        )

    def check(self) -> None:
        archive = self.archive
        if CONTAINER not in archive:
            archive.refuse(f"not an EPUB: it has no {CONTAINER}", "give an EPUB, or export the manuscript again")
        kind = archive.read(MIMETYPE, 1 << 10) if MIMETYPE in archive else b""
        if kind.strip() != b"application/epub+zip":
            found = ascii(kind[:40].decode("latin-1")) if kind else "missing"
            self.notes.warn(f"its mimetype is {found}, not application/epub+zip; read as EPUB", MIMETYPE)
        if ENCRYPTION in archive:
            root = self.reader.xml(archive.read(ENCRYPTION), ENCRYPTION)
            for each in root.iter():
                parent = each.getparent()
                of_data = parent is not None and name_of(parent) == "encrypteddata"
                if name_of(each) == "encryptionmethod" and of_data and attribute(each, "Algorithm") not in _FONTS:
                    found = "its texts are encrypted (digital rights management)"
                    archive.refuse(found, "import a copy without it, from the author or the publisher")

    def package_name(self) -> str:
        root = self.reader.xml(self.archive.read(CONTAINER), CONTAINER)
        for each in root.iter():
            if name_of(each) == "rootfile":
                found = resolved("", attribute(each, "full-path"))
                if found and found[0] in self.archive:
                    return found[0]
        return self.archive.refuse(f"{CONTAINER} names no package that is there", "export the manuscript again")

    def package(self, name: str) -> _Package:
        root = self.reader.xml(self.archive.read(name), name)
        package = _Package(name)
        titles: list[tuple[str, str]] = []
        metas: dict[str, str] = {}
        refined: dict[tuple[str, str], str] = {}
        creators: list[tuple[str, str, str]] = []
        for each in root.iter():
            tag = name_of(each)
            if tag == "title":
                titles.append((attribute(each, "id"), text_of(each)))
            elif tag == "creator":
                creators.append((attribute(each, "id"), attribute(each, "role"), text_of(each)))
            elif tag == "language":
                package.language = package.language or text_of(each)
            elif tag == "meta":
                metas.setdefault(each.get("name") or "", each.get("content") or "")
                refined[(each.get("refines") or "").lstrip("#"), each.get("property") or ""] = text_of(each)
            elif tag == "item":
                self.item(each, package)
            elif tag == "spine":
                package.ncx = each.get("toc") or ""
            elif tag == "itemref":
                package.spine.append((each.get("idref") or "", each.get("linear") != "no"))
            elif tag == "reference":
                target = resolved(name, each.get("href") or "")
                kind = _OF_GUIDE.get((each.get("type") or "").lower())
                if kind and target and not target[1]:
                    package.guide[target[0]] = kind
        main = [text for key, text in titles if refined.get((key, "title-type")) == "main" and text]
        package.title = next(iter([*main, *(text for _, text in titles if text)]), "")
        roles = [(text, refined.get((key, "role")) or role) for key, role, text in creators if text]
        package.authors = [text for text, role in roles if role == "aut"] or [text for text, role in roles if not role]
        covers = [key for key, file in package.files.items() if "cover-image" in file.properties]
        package.cover = next(iter(covers), metas.get("cover", ""))
        return package

    def item(self, element: Element, package: _Package) -> None:
        href = element.get("href") or ""
        target = resolved(package.name, href)
        if not target:
            self.notes.warn(f"the file {href[:80]!a} is outside the manuscript; it is not read", package.name)
            return
        properties = frozenset((element.get("properties") or "").split())
        package.files[element.get("id") or ""] = _File(target[0], element.get("media-type") or "", properties)

    def pages(self, package: _Package) -> list[tuple[footnotes.Page, bool]]:
        """The pages in the order of reading, each once; what is missing is a warning."""
        pages: dict[str, tuple[footnotes.Page, bool]] = {}
        for key, linear in package.spine:
            file = package.files.get(key)
            if file is None:
                self.notes.warn(f"the order of reading names {key[:60]!a}, which is no file of it", package.name)
            elif file.name not in self.archive:
                self.notes.warn(f"the page {file.name[:80]!a} is missing", package.name)
            elif file.media_type.partition(";")[0] not in _PAGES:
                self.notes.skip(Kind.OTHER, f"a page of type {file.media_type}", file.name, "it is no text")
            elif file.name not in pages:
                is_html = file.media_type == "text/html"
                root = self.reader.page(self.archive.read(file.name), file.name, html_first=is_html)
                pages[file.name] = footnotes.Page(file.name, root), linear
        return list(pages.values())

    def contents(self, package: _Package) -> list[Entry]:
        """The entries of the navigation document, or of the NCX."""
        navs = [file.name for file in package.files.values() if "nav" in file.properties]
        ncx = [file.name for key, file in package.files.items() if key == package.ncx or "dtbncx" in file.media_type]
        for name in [*navs, *ncx]:
            if name not in self.archive:
                self.notes.warn(f"the table of contents {name[:80]!a} is missing", package.name)
                continue
            try:
                root = self.reader.xml(self.archive.read(name), name)
            except ManuscriptError as error:
                self.notes.warn(f"the table of contents cannot be read: {error}", name)
                continue
            for word, page in landmarks(root, name):
                if kind := _OF_GUIDE.get(word):
                    package.guide.setdefault(page, kind)
            if entries := contents(root, name):
                return entries
        return []

    def role(self, page: footnotes.Page, linear: bool, package: _Package, entries: Sequence[Entry]) -> Kind | None:
        """Why a whole page is no part of the text. A page that the guide names wrongly is long."""
        navs = [each for each in page.root.iter() if name_of(each) == "nav"]
        own = len(text_of(page.root)) - sum(len(text_of(nav)) for nav in navs)
        if navs and own < LONGEST_OWN_TEXT:
            return Kind.TOC
        kind = package.guide.get(page.name)
        if kind is Kind.FOOTNOTES or (kind and own < LONGEST_PAGE):
            return kind
        in_contents = any(entry.target and entry.target[0] == page.name for entry in entries)
        return None if linear or in_contents else Kind.AUXILIARY

    def placed(
        self, entries: Sequence[Entry], anchors: Mapping[tuple[str, str], int], names: set[str]
    ) -> Sequence[TocEntry]:
        placed = []
        for entry in entries:
            if entry.target is None:
                placed.append(TocEntry(entry.title, entry.depth, None))
                continue
            file, fragment = entry.target
            index = anchors.get((file, fragment))
            if index is None and file in names:
                self.notes.warn(f"“{entry.title}” points to #{fragment[:60]}, which is not there", file)
                index = anchors[file, ""]
            if index is None:
                self.notes.warn(f"“{entry.title}” is not in the order of reading; it is no chapter", file)
            else:
                placed.append(TocEntry(entry.title, entry.depth, index, file))
        return placed

    def cover(self, package: _Package) -> Cover | None:
        file = package.files.get(package.cover)
        if file is None or file.name not in self.archive:
            return None
        return cover_of(self.archive.read(file.name, MAX_COVER_BYTES), file.name, self.notes)
