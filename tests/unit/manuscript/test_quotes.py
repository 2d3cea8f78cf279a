"""Quoted speech: which part of a paragraph it is."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.manuscripts import Epub, lines, read
from vvbatch.manuscript import quotes
from vvbatch.manuscript.quotes import STYLES, marked, style_of


def spans(*texts: str) -> list[list[str]]:
    """The spans of each paragraph; quoted ones between < and >."""
    style = style_of(texts)
    assert style is not None
    return [
        [f"<{span.text.strip()}>" if span.quoted else span.text.strip() for span in each.spans]
        for each in marked(texts, style)
    ]


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("“Who’s there?” said Mara. “Answer!”", ["<“Who’s there?”>", "said Mara.", "<“Answer!”>"]),
        ('"Who\'s there?" said Mara.', ['<"Who\'s there?">', "said Mara."]),
        ("‘Who’s there?’ said Mara.", ["<‘Who’s there?’>", "said Mara."]),
        ("'Who's there?' said Mara.", ["<'Who's there?'>", "said Mara."]),
        ("« Qui est là ? » dit Mara.", ["<« Qui est là ? »>", "dit Mara."]),
        ("»Wer ist da?«, fragte sie.", ["<»Wer ist da?«,>", "fragte sie."]),
        ("„Wer ist da“, fragte sie.", ["<„Wer ist da“,>", "fragte sie."]),
        ("「誰だ。」と彼女は言った。", ["<「誰だ。」>", "と彼女は言った。"]),
        ("She said: “No”.", ["She said:", "<“No”.>"]),
        ("She said, “No.”", ["She said,", "<“No.”>"]),
        ("“Yes”", ["<“Yes”>"]),
        ("“He said ‘no’ to me.” She left.", ["<“He said ‘no’ to me.”>", "She left."]),
        ("“Wait—” She ran.", ["<“Wait—”>", "She ran."]),
    ],
)
def test_quoted_speech_is_found_in_each_style(text: str, wanted: list[str]) -> None:
    assert spans(text) == [wanted]


@pytest.mark.parametrize(
    "text", ["The so-called “lamp” went out.", "“Lamp” is a word.", "She read “The Oil” again.", "It’s the boys’ lamp."]
)
def test_names_and_words_in_quotes_stay_with_the_narrator(text: str) -> None:
    assert spans("“Speech.”", text)[1] == [text]
    assert spans("‘Speech.’", text.replace("“", "‘").replace("”", "’"))[1] == [text.replace("“", "‘").replace("”", "’")]


def test_a_quote_over_several_paragraphs_ends_where_its_mark_does() -> None:
    texts = ("She said, “One.", "“Two.", "“Three.” He left.", "It was late.")
    assert spans(*texts) == [["She said,", "<“One.>"], ["<“Two.>"], ["<“Three.”>", "He left."], ["It was late."]]


def test_a_quote_without_an_end_lasts_to_the_end_of_its_paragraph_with_a_warning(tmp_path: Path) -> None:
    body = "<p>“One.”</p><p>She said, “Two.</p><p>It was late.</p>"
    done = read(tmp_path, Epub({"a.xhtml": body}), quotes="alice")
    assert lines(done) == ["quoted: “One.”", "She said, | quoted: “Two.", "It was late."]
    [warning] = done.warnings
    assert "a quote without an end" in warning.message and warning.place == "OEBPS/a.xhtml:4"


def test_a_quote_goes_on_in_the_next_chapter(tmp_path: Path) -> None:
    pages: dict[str, str | bytes] = {"a.xhtml": "<h1>A</h1><p>“One.</p>", "b.xhtml": "<h1>B</h1><p>“Two.” He left.</p>"}
    done = read(tmp_path, Epub(pages), quotes="alice")
    assert lines(done) == ["quoted: “One.", "quoted: “Two.” | He left."] and done.warnings == ()


def test_quoted_speech_has_the_given_voice_and_a_paragraph_of_both_is_a_dialogue(tmp_path: Path) -> None:
    done = read(tmp_path, Epub({"a.xhtml": "<p>“Who?” said Mara.</p><p>Later.</p>"}), quotes="alice")
    assert done.speakers == {"quoted": "alice"}
    assert lines(done) == ["quoted: “Who?” | said Mara.", "Later."]


def test_a_manuscript_without_quoted_speech_says_so(tmp_path: Path) -> None:
    done = read(tmp_path, Epub({"a.xhtml": "<p>It was late.</p>"}), quotes="alice")
    assert done.speakers == {} and "no quoted speech is found" in done.warnings[0].message


TEXTS = st.lists(st.text(alphabet="ab .,!?:—“”\"‘’'«»„「」\n", max_size=40), max_size=5)


@given(texts=TEXTS, style=st.sampled_from(STYLES))
def test_the_spans_of_a_paragraph_are_its_text(texts: list[str], style: quotes.Style) -> None:
    done = marked(texts, style)
    assert ["".join(span.text for span in each.spans) for each in done] == texts
    for each in done:
        assert len(each.spans) == 1 or all(any(map(str.isalnum, span.text)) for span in each.spans)
