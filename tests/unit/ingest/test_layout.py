"""Lines of a PDF to blocks."""

from __future__ import annotations

from dataclasses import replace

from ingest.block import Block
from ingest.elements import ElementKind
from ingest.layout import blocks_of_lines
from ingest.line import Line


def line(
    text: str, top: float, box: int = 1, page: int = 1, size: float = 10, bold: bool = False, left: float = 60
) -> Line:
    return Line(text, page, box, left, left + 5 * len(text), top - size, top, size, bold)


def shapes(blocks: list[Block]) -> list[tuple[str, str]]:
    return [(block.kind.value, block.text) for block in blocks]


BODY = "This is a long line of the body of the text, as wide as its column"


def test_lines_of_a_paragraph_are_joined_and_a_gap_begins_another() -> None:
    lines = [line(BODY, 700), line("goes on here.", 688), line(BODY, 660), line("and ends.", 648)]
    assert shapes(blocks_of_lines(lines)) == [
        ("paragraph", f"{BODY} goes on here."),
        ("paragraph", f"{BODY} and ends."),
    ]


def test_hyphens_at_line_ends() -> None:
    def joined(first: str, second: str, known: str = "") -> str:
        lines = [line(f"{BODY} {first}", 700), line(f"{second} {BODY}.", 688), line(known or "-", 600, box=2)]
        return blocks_of_lines(lines)[0].text.removeprefix(BODY).removesuffix(f"{BODY}.").strip()

    assert joined("informa-", "tion") == "information"
    assert joined("cutting-", "edge", "A cutting-edge tool.") == "cutting-edge"
    assert joined("out-of-", "pocket") == "out-of-pocket"
    assert joined("Non-", "participating", "All participating and nonparticipating ones.") == "Nonparticipating"
    assert joined("1990-", "1995") == "1990-1995"


def test_larger_type_is_a_heading_by_its_size_and_bold_one_is_deeper() -> None:
    lines = [
        line("The Handbook", 760, 1, size=20),
        line("Leave", 720, 2, size=14),
        line(BODY + ".", 700, 3),
        line("Carrying days over", 670, 4, bold=True),
        line(BODY + ".", 650, 5),
    ]
    assert [(block.level, block.text) for block in blocks_of_lines(lines) if block.kind is ElementKind.HEADING] == [
        (1, "The Handbook"),
        (2, "Leave"),
        (3, "Carrying days over"),
    ]


def test_a_heading_over_two_lines_is_one() -> None:
    lines = [line("The Handbook of", 760, 1, size=20), line("the Company", 738, 1, size=20), line(BODY, 700, 2)]
    assert shapes(blocks_of_lines(lines))[0] == ("heading", "The Handbook of the Company")


def test_a_bold_paragraph_is_no_heading() -> None:
    lines = [line(f"Important words number {row} of many that are bold", 700 - 12 * row, bold=True) for row in range(4)]
    lines += [line(BODY, 600, 2), line(BODY, 588, 2), line(BODY, 576, 2)]
    assert {block.kind for block in blocks_of_lines(lines)} == {ElementKind.PARAGRAPH}


def test_items_keep_their_second_lines_and_markers() -> None:
    lines = [
        line("• The first item, which is so long that it needs a second line to", 700),
        line("Be said.", 688, left=70),
        line("• The second.", 676),
    ]
    lines += [line("3.", 640, 2), line("Third.", 640, 3, left=75)]
    assert shapes(blocks_of_lines(lines)) == [
        ("list_item", "- The first item, which is so long that it needs a second line to Be said."),
        ("list_item", "- The second."),
        ("list_item", "3. Third."),
    ]


def test_a_sentence_over_a_page_end_is_marked() -> None:
    first, second = blocks_of_lines([line(BODY, 100), replace(line("goes on.", 700), page=2)])
    assert not first.continues
    assert (second.text, second.page, second.continues) == ("goes on.", 2, True)
