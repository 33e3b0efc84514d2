"""Plain text to blocks."""

from __future__ import annotations

import pytest

from ingest.block import Block
from ingest.elements import ElementKind
from ingest.text import read_text
from ingest.title import looks_like_title


def shapes(blocks: list[Block]) -> list[tuple[str, str]]:
    return [(block.kind.value, block.text) for block in blocks]


def test_wrapped_lines_are_joined_and_short_ones_kept() -> None:
    text = (
        "This is a line of a letter that was broken because the window was that wide,\n"
        "and this is how it goes on until it ends.\n"
        "\n"
        "Ann Example\nMain Street 1\nTown\n"
    )
    assert shapes(read_text(text)) == [
        (
            "paragraph",
            (
                "This is a line of a letter that was broken because the window was that wide,"
                " and this is how it goes on until it ends."
            ),
        ),
        ("paragraph", "Ann Example\nMain Street 1\nTown"),
    ]


def test_list_items_and_numbered_clauses_are_kept_apart() -> None:
    text = (
        "A1. The first clause, which is long enough to be wrapped over to another line of the\n"
        "text.\nA2. The second.\n- bullet"
    )
    assert shapes(read_text(text)) == [
        (
            "list_item",
            "A1. The first clause, which is long enough to be wrapped over to another line of the text.",
        ),
        ("list_item", "A2. The second."),
        ("list_item", "- bullet"),
    ]


def test_headings_by_capitals_underlines_and_title_case() -> None:
    text = (
        "THE RULEBOOK\n\nIntro\n=====\n\nSome words that follow the heading above, and then some more.\n\n"
        "Annual Leave\n\nFull-time colleagues have twenty-seven days of leave each year.\n"
    )
    found = read_text(text)
    assert [(block.text, block.level) for block in found if block.kind is ElementKind.HEADING] == [
        ("THE RULEBOOK", 2),
        ("Intro", 1),
        ("Annual Leave", 2),
    ]


def test_a_signature_is_no_heading() -> None:
    assert shapes(read_text("Dear all,\n\nThe lift is broken until Friday of this week.\n\nTobias\n"))[-1] == (
        "paragraph",
        "Tobias",
    )


def test_columns_become_a_table() -> None:
    text = "Name     Days   Place\nAnn      27     office\nBo Long  32     ferry"
    assert shapes(read_text(text)) == [("table", "Name | Days | Place\nAnn | 27 | office\nBo Long | 32 | ferry")]


def test_bars_become_a_table_without_its_rules() -> None:
    assert shapes(read_text("| a | b |\n|---|---|\n| 1 | 2 |")) == [("table", "a | b\n1 | 2")]


@pytest.mark.parametrize(
    "text", ["Annual Leave", "1. Introduction", "2.3 Carrying Days Over", "Appendix A Forms", "Terms of Use"]
)
def test_reads_like_a_title(text: str) -> None:
    assert looks_like_title(text)


@pytest.mark.parametrize(
    "text",
    [
        "We are closed.",
        "yours sincerely",
        "Is it open?",
        "Dear Ann,",
        "ann@example.org",
        "12 345",
        "Nobody is called back",
    ],
)
def test_does_not_read_like_a_title(text: str) -> None:
    assert not looks_like_title(text)


@pytest.mark.parametrize("text", ["", "\n \n", "\x1c\x1d"])
def test_nothing_gives_no_block(text: str) -> None:
    assert read_text(text) == []


def test_a_line_of_odd_spaces_within_a_paragraph_is_left_out() -> None:
    (block,) = read_text("The first line of this paragraph is long enough to count,\n\u1680\nand so is the last.")
    assert block.text == "The first line of this paragraph is long enough to count, and so is the last."
