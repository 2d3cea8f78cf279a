"""Markup that authors paste into texts: marks of pauses, Markdown, SSML and HTML. None of it is spoken."""

from __future__ import annotations

import html
import re
from collections.abc import Callable

from vvbatch.script.model import LONGEST_PAUSE_S, Pause, PauseKind, Refused

SECTION = Pause(PauseKind.SECTION, 2.0)
UNTIMED_S = 0.5  # of `[pause]` and `<break/>`

# `strength` of a break gives no seconds in SSML 1.1; these lie in the ranges that speech services document.
_STRENGTHS = {"none": 0.0, "x-weak": 0.1, "weak": 0.25, "medium": 0.5, "strong": 1.0, "x-strong": 1.5}
_TIME = re.compile(r"([0-9]+(?:[.,][0-9]+)?|[.,][0-9]+)\s?(ms|msec|milliseconds?|s|secs?|seconds?)?", re.IGNORECASE)

_ATTRIBUTES = r"""(?:\s+[A-Za-z_][\w:.-]{0,40}\s?=\s?(?:"[^"<>]{0,2000}"|'[^'<>]{0,2000}'|[^\s"'<>/=]{1,200}))*+"""
_MARK = re.compile(
    r"""
    [\[{<]\s?(?P<word>pause|break|silence)\s?[:=]?\s?(?P<time>[-+]?[.,]?[0-9][^\[\]{}<>\n]{0,40})?\s?[\]}>]
        (?:(?<=>)\s?</(?P=word)\s?>)?
    | \[(?:section|scene)\s?break\]
    | \[\[slnc\s(?P<slnc>[0-9]{1,9})\]\]
    | <\#(?P<hash>[0-9.]{1,9})\#>
    | <(?P<tag>break|pause|silence|wait)(?P<attributes>"""
    + _ATTRIBUTES
    + r""")\s?(?:/\s?)?>(?:\s?</(?P=tag)\s?>)?
    """,
    re.IGNORECASE | re.VERBOSE,
)
_ATTRIBUTE = re.compile(
    r"""(time|duration|dur|length|sec|msec|strength)\s?=\s?(?:["']\s?([^"']*?)\s?["']|([^\s"'<>/=]+))""", re.IGNORECASE
)


def pause_of(mark: re.Match[str]) -> Pause:
    """What a mark stands for. Raises Refused for a time that is none, or out of range."""
    if mark["slnc"]:
        return timed(f"{mark['slnc']}ms", mark[0])
    if mark["hash"]:
        return timed(mark["hash"], mark[0])
    if mark["attributes"] is not None:
        given = {name.lower(): one or other for name, one, other in _ATTRIBUTE.findall(mark["attributes"])}
        strength = given.pop("strength", "")
        for name, value in given.items():
            return timed(f"{value}ms" if name == "msec" else value, mark[0])
        return Pause(PauseKind.PAUSE, _STRENGTHS.get(strength.lower(), UNTIMED_S))
    if mark["time"]:
        return timed(mark["time"], mark[0])
    if (mark["word"] or "break").lower() == "break" and not mark[0].startswith("<"):
        return SECTION
    return Pause(PauseKind.PAUSE, UNTIMED_S)


def timed(raw: str, shown: str | None = None) -> Pause:
    """A pause of `1.5`, `1.5s` or `1500ms`. Raises Refused for anything else, and for more than LONGEST_PAUSE_S."""
    time = _TIME.fullmatch(raw.strip())
    seconds = float(time[1].replace(",", ".")) if time else -1.0
    if time and (time[2] or "").lower().startswith("m"):
        seconds /= 1000
    if not 0 <= seconds <= LONGEST_PAUSE_S:
        allowed = f"a pause has 0 to {LONGEST_PAUSE_S:g} seconds: [pause 1.5s] in a text, `- pause: 1.5` among lines"
        raise Refused(f"the pause {(shown or raw)[:60]!r}", allowed)
    return Pause(PauseKind.PAUSE, seconds)


def split_at_pauses(text: str) -> list[str | re.Match[str]]:
    """The texts between the marks of pauses, and the marks, in order; the first and the last are texts."""
    parts: list[str | re.Match[str]] = []
    end = 0
    for mark in _MARK.finditer(text):
        parts += [text[end : mark.start()], mark]
        end = mark.end()
    return [*parts, text[end:]]


_DECLARATION = re.compile(r"<[?!][A-Za-z\[][^<>]{0,5000}+>")
_END_OF_BREAK = re.compile(r"</(?:break|pause|silence|wait)\s?>", re.IGNORECASE)
_TAG = re.compile(rf"</?[A-Za-z][A-Za-z0-9:._-]{{0,40}}+{_ATTRIBUTES}\s?/?>")
_ENTITY = re.compile(r"&(?:[A-Za-z]{2,8}|#[0-9]{1,7}|#x[0-9A-Fa-f]{1,6});")
_IMAGE = re.compile(r"!\[[^\[\]]*+\]\([^()\s]*+(?:\s[^()\n]{0,300})?\)")
_LINK = re.compile(
    r"""
    (?<!\w) \[([^\[\]]++)\]
    (?: \( \s? [^()\s]*+ (?:\([^()\s]*+\)[^()\s]*+)*+ (?:\s(?:"[^"\n]{0,300}"|'[^'\n]{0,300}'))? \s? \)
      | \[ [^\[\]\n]{0,60} \] )
    """,
    re.VERBOSE,
)
_FOOTNOTE = re.compile(r"\[\^[^\[\]\s]{1,40}\]:?")
_CODE = re.compile(r"(?<!`)(`{1,2})(?!`)([^`\n]++)\1(?!`)")
_FENCE = re.compile(r"^[^\S\n]*(?:`{3,}|~{3,})[^\n`]*$", re.MULTILINE)
_STRIKE = re.compile(r"~~(?=[^\s~])([^~]*[^\s~])~~")
_STARS = re.compile(r"(?<![\w*\\])(\*{1,3})(?=[^\s*])([^*]*[^\s*])\1(?![\w*])")
_UNDERSCORES = re.compile(r"(?<![\w\\])(_{1,3})(?=[^\s_])((?:[^_]|(?<=\w)_(?=\w))*[^\s_])\1(?!\w)")
_LINE_START = re.compile(
    r"^[^\S\n]*+(?:#{1,6}[^\S\n]++(?=\S)|>(?:[^\S\n]++|$)(?:>[^\S\n]*+)*+|[*•‣◦▪●■][^\S\n]++(?=\w)|\+[^\S\n]++(?=[^\W\d_]))",
    re.MULTILINE,
)


def without_markup(text: str, taken: Callable[[str], None]) -> str:
    """`text` as it reads when Markdown, SSML and HTML are shown, with marks of pauses left in it.

    Calls `taken` with each piece of markup that it takes out. Text that only looks alike stays: `5 * 3`, `a_b_c`,
    `a < b`.
    """

    def out(replacement: Callable[[re.Match[str]], str]) -> Callable[[re.Match[str]], str]:
        def replaced(found: re.Match[str]) -> str:
            new = replacement(found)
            if new != found[0]:
                taken(found[0].strip())
            return new

        return replaced

    if "&" in text:
        text = _ENTITY.sub(out(lambda found: html.unescape(found[0])), text)
    if "<" in text:
        text = _DECLARATION.sub(out(lambda _: " "), _without_comments(_END_OF_BREAK.sub("", text), taken))
        text = _TAG.sub(out(lambda found: found[0] if _MARK.fullmatch(found[0]) else _instead_of(found[0])), text)
    if "[" in text:
        text = _IMAGE.sub(out(lambda _: " "), text)
        text = _LINK.sub(out(lambda found: found[0] if _MARK.match(found[0]) else found[1]), text)
        text = _FOOTNOTE.sub(out(lambda _: ""), text)
    if "`" in text or "~" in text:
        text = _STRIKE.sub(out(lambda found: found[1]), _FENCE.sub(out(lambda _: ""), text))
        text = _CODE.sub(out(lambda found: found[2]), text)
    text = _LINE_START.sub(out(lambda _: ""), text)
    for sign, pattern in (("*", _STARS), ("_", _UNDERSCORES)):
        if sign in text:
            text = pattern.sub(out(lambda found: found[2]), text)
    return text


def _without_comments(text: str, taken: Callable[[str], None]) -> str:
    """A search for both ends: a pattern would look for the end of each comment that has none."""
    kept = []
    end = 0
    while (start := text.find("<!--", end)) >= 0 and (close := text.find("-->", start + 4)) >= 0:
        kept += [text[end:start], " "]
        end = close + 3
        taken(text[start:end])
    return "".join([*kept, text[end:]])


_WITHIN_WORDS = re.compile(
    r"</?(?:a|abbr|b|big|cite|code|em|emphasis|font|i|lang|mark|phoneme|prosody|q|say-as|small|span|strike|strong|sub"
    r"|sup|u|voice|w)\b",
    re.IGNORECASE,
)


def _instead_of(tag: str) -> str:
    """Nothing for a tag that may stand within a word, otherwise a space."""
    return "" if _WITHIN_WORDS.match(tag) else " "
