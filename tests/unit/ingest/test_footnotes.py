"""Footnotes stand where they are referred to."""

from __future__ import annotations

from lxml import html

from ingest.footnotes import place_footnotes
from ingest.markup import markdown_to_html


def placed(markup: str) -> list[str]:
    root = html.document_fromstring(markup)
    place_footnotes(root)
    return [" ".join(each.text_content().split()) for each in root.iter("p", "li", "section")]


def test_a_note_follows_its_paragraph_and_is_said_once() -> None:
    source = "Rate is 5 %.[^a] And[^b] more.\n\nNext[^a] one.\n\n[^a]: word\n[^b]: A longer\n    note.\n"
    assert placed(markdown_to_html(source)) == [
        "Rate is 5 %.[1] And[2] more.",
        "[1] word",
        "[2] A longer note.",
        "Next[1] one.",
    ]


def test_a_note_in_a_list_follows_the_list() -> None:
    assert placed(markdown_to_html("- one[^1]\n- two\n\nText.\n\n[^1]: Only here.\n")) == [
        "one[1]",
        "two",
        "[1] Only here.",
        "Text.",
    ]


def test_pandocs_marks_are_read_alike() -> None:
    markup = (
        '<p>Sum 500<a href="#fn1" class="footnote-ref"><sup>1</sup></a> here.</p><section class="footnotes"><ol>'
        '<li id="fn1"><p>In euro.<a href="#fnref1" class="footnote-back">back</a></p></li></ol></section>'
    )
    assert placed(markup) == ["Sum 500[1] here.", "[1] In euro."]


def test_a_note_that_nothing_refers_to_stays() -> None:
    markup = '<p>Text.</p><section class="footnotes"><ol><li id="fn1">Alone.</li></ol></section>'
    assert "Alone." in placed(markup)
