"""XML and HTML of unknown origin as trees: no entities of their own, nothing from outside, limited depth and size."""

from __future__ import annotations

import html
import re
from dataclasses import dataclass
from html.entities import html5
from pathlib import Path
from typing import Any

from lxml import etree

from vvbatch.manuscript.blocks import INITIAL
from vvbatch.manuscript.model import ManuscriptError, Notes

MAX_DEPTH = 255  # libxml2's own limit
Element = Any  # lxml has no types of its own

_DECLARED = re.compile(rb"""<\?xml[^>]{0,200}?encoding\s*=\s*["']([A-Za-z][A-Za-z0-9._-]{0,40})["']""")
_META = re.compile(rb"""<meta[^>]{0,200}?charset\s*=\s*["']?\s*([A-Za-z][A-Za-z0-9._-]{0,40})""", re.IGNORECASE)
# Python has codecs that are no encodings of texts, and slow ones.
_ENCODINGS = re.compile(
    r"utf-?(?:8|16)|iso|latin|l[0-9]|windows|cp|koi8|shift|s?jis|euc|gb|big5|mac|(?:us-)?ascii|tis", re.I
)
_DECLARATION = re.compile(r"^\s*<\?xml[^>]{0,200}\?>")
_ENTITIES = re.compile(r"<!ENTITY\s", re.IGNORECASE)
_NAMED = re.compile(r"&([A-Za-z][A-Za-z0-9]{1,31});")
_BARE = re.compile(r"&(?!(?:[A-Za-z][A-Za-z0-9]{0,31}|#[0-9]{1,7}|#[xX][0-9A-Fa-f]{1,6});)")
_OF_XML = {"amp", "lt", "gt", "quot", "apos"}
_NOT_XML = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufdd0\ufffe\uffff]")
assert _NOT_XML.match(INITIAL)


@dataclass(frozen=True)
class Reader:
    """Reads the markup of one manuscript; what it has to guess becomes a warning."""

    path: Path
    notes: Notes

    def xml(self, data: bytes, name: str) -> Element:
        """The root of a well-formed document. Raises ManuscriptError."""
        text = self.text(data, name)
        try:
            return self._xml(text, name)
        except etree.XMLSyntaxError as error:
            found = f"{name} is not well-formed XML ({_first(error)})"
            raise ManuscriptError(self.path, found, "export the manuscript again") from error

    def page(self, data: bytes, name: str, *, html_first: bool = False) -> Element:
        """The root of a page: as XML, or as HTML where it is no well-formed XML. Raises ManuscriptError."""
        text = self.text(data, name)
        if not html_first:
            try:
                return self._xml(text, name)
            except etree.XMLSyntaxError as error:
                self.notes.warn(f"it is not well-formed XML ({_first(error)}); read as HTML", name)
        return self._html(text, name)

    def text(self, data: bytes, name: str) -> str:
        """The decoded text: by its byte order mark, what it declares, UTF-8, or Windows-1252 with a warning."""
        for mark, encoding in ((b"\xef\xbb\xbf", "utf-8"), (b"\xff\xfe", "utf-16"), (b"\xfe\xff", "utf-16")):
            if data.startswith(mark):
                return data.decode(encoding, "replace").lstrip("\ufeff")
        head = data[:1024]
        declared = _DECLARED.search(head) or _META.search(head)
        if declared:
            encoding = declared[1].decode("ascii")
            try:
                if not _ENCODINGS.match(encoding):
                    raise LookupError(encoding)
                return data.decode("utf-8" if encoding.lower().startswith("utf-16") else encoding)
            except (LookupError, UnicodeError):
                self.notes.warn(f"it says its encoding is {encoding}, but is not in it", name)
        try:
            return data.decode("utf-8")
        except UnicodeDecodeError:
            self.notes.warn("it is not UTF-8; read as Windows-1252", name)
            return data.decode("cp1252", "replace")

    def _xml(self, text: str, name: str) -> Element:
        self._refuse_entities(text, name)
        text = _BARE.sub("&amp;", _NAMED.sub(_character, _DECLARATION.sub("", _NOT_XML.sub("\ufffd", text))))
        parser = etree.XMLParser(
            resolve_entities=False, no_network=True, load_dtd=False, huge_tree=False, encoding="utf-8"
        )
        try:
            return etree.fromstring(text.encode(), parser)
        except etree.XMLSyntaxError as error:
            self._refuse_limits(str(error), name)
            raise

    def _html(self, text: str, name: str) -> Element:
        self._refuse_entities(text, name)
        parser = etree.HTMLParser(no_network=True, huge_tree=False, encoding="utf-8", remove_pis=True)
        try:
            root = etree.fromstring(_DECLARATION.sub("", _NOT_XML.sub("\ufffd", text)).encode(), parser)
        except etree.XMLSyntaxError as error:
            self._refuse_limits(str(error), name)
            root = None
        for problem in parser.error_log:
            self._refuse_limits(problem.message, name)
        if root is None:
            root = etree.Element("html")
        return root

    def _refuse_entities(self, text: str, name: str) -> None:
        if _ENTITIES.search(text):
            raise ManuscriptError(
                self.path, f"{name} declares XML entities", "remove its DOCTYPE: entities can be a bomb"
            )

    def _refuse_limits(self, message: str, name: str) -> None:
        if "depth" in message:
            found = f"{name} has elements nested more than {MAX_DEPTH} deep"
            raise ManuscriptError(self.path, found, "do not trust it, or flatten it")
        if "limit" in message or "huge" in message.lower():
            found = f"{name} has an attribute or a text of more than 10 MB"
            raise ManuscriptError(self.path, found, "do not trust it, or split it")


def _character(found: re.Match[str]) -> str:
    """The character of a named entity of HTML; XML knows only five of them."""
    if found[1] in _OF_XML:
        return found[0]
    if f"{found[1]};" in html5:
        return html.escape(html5[f"{found[1]};"])
    return "&amp;" + found[0][1:]


def _first(error: BaseException) -> str:
    return str(error).split("\n", 1)[0][:120]


def name_of(element: Element) -> str:
    """The local name of an element in lower case; empty for comments and the like."""
    tag = element.tag
    return tag.rpartition("}")[2].lower() if isinstance(tag, str) else ""


def attribute(element: Element, name: str) -> str:
    """The value of an attribute by its local name; empty if it has none."""
    value = element.get(name)
    if value is None:
        for key, other in element.attrib.items():
            if key.rpartition("}")[2] == name:
                return str(other)
        return ""
    return str(value)


_STRING = etree.XPath("string()")


def text_of(element: Element) -> str:
    """All text within an element, with single spaces."""
    return " ".join(str(_STRING(element)).split())
