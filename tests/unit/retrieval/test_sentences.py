import pytest
from hypothesis import given
from hypothesis import strategies as st

from retrieval.sentences import Span, split_sentences


def pieces(text: str) -> list[str]:
    return [text[span.start : span.end] for span in split_sentences(text)]


def test_offsets_are_exact_and_trimmed() -> None:
    assert split_sentences("  One day. \n\n Two days!  ") == [Span(2, 10), Span(14, 23)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", []),
        (" \n\t\n --- \n", []),
        ("No stop at all", ["No stop at all"]),
        (
            "Use it, e.g. when ill, i.e. not on leave. Dr. Smith agreed. See No. 5 on p. 3.",
            ["Use it, e.g. when ill, i.e. not on leave.", "Dr. Smith agreed.", "See No. 5 on p. 3."],
        ),
        ("The answer is no. Ask again.", ["The answer is no.", "Ask again."]),
        (
            "The U.S. Government pays approx. 2.5 % of v2.1. Then it stops.",
            ["The U.S. Government pays approx. 2.5 % of v2.1.", "Then it stops."],
        ),
        ("She works in the U.S. The office is large.", ["She works in the U.S.", "The office is large."]),
        (
            "It opens at 9 a.m. on Monday. It ends at 5 p.m. Guests leave.",
            ["It opens at 9 a.m. on Monday.", "It ends at 5 p.m.", "Guests leave."],
        ),
        ("Acme Inc. pays J. R. Smith. Done.", ["Acme Inc. pays J. R. Smith.", "Done."]),
        (
            'He said "Stop." Then he left. (See above.) "Why?" she asked.',
            ['He said "Stop."', "Then he left.", "(See above.)", '"Why?" she asked.'],
        ),
        ("Wait... what? It is… fine. Good", ["Wait... what?", "It is… fine.", "Good"]),
        (
            "Open setup.py first. Visit example.com. 12 people came.",
            ["Open setup.py first.", "Visit example.com.", "12 people came."],
        ),
        (
            "the asset is 20 million. a new asset grew. iPhone sales rose.",
            ["the asset is 20 million.", "a new asset grew.", "iPhone sales rose."],
        ),
        ("一日です。二日です。", ["一日です。", "二日です。"]),
    ],
)
def test_sentences_in_running_text(text: str, expected: list[str]) -> None:
    assert pieces(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "Two days a month [1]. Next one.",
        "Two days a month. [1] Next one.",
        "Two days a month.[1][2] Next one.",
        "Two days a month. [1, 3] Next one.",
    ],
)
def test_citation_marks_stay_with_the_sentence_before(text: str) -> None:
    first, second = pieces(text)
    assert second == "Next one."
    assert first == text[: text.index(" Next")]


def test_lines_that_are_pieces_of_their_own() -> None:
    text = (
        "# 1. Leave\n\nEvery engineer accrues days for each\nmonth of work. Unused leave lapses.\n"
        "- first item. It goes\n  on here\n* second\n1. third\n2) fourth\n(a) fifth\n> quoted\n"
        "| Plan | Fee. Due |\n|---|---|\n| Basic | 5 |\nPlan | 7\nName\tFee\nAfter the table\n"
    )
    assert pieces(text) == [
        "1. Leave",
        "Every engineer accrues days for each\nmonth of work.",
        "Unused leave lapses.",
        "first item.",
        "It goes\n  on here",
        "second",
        "third",
        "fourth",
        "fifth\n> quoted",
        "| Plan | Fee. Due |",
        "| Basic | 5 |",
        "Plan | 7",
        "Name\tFee",
        "After the table",
    ]


def test_a_short_line_before_a_capital_is_a_line_of_its_own() -> None:
    text = "Opening hours\nThe counter is open on weekdays and closes early\nbefore a holiday, always."
    assert pieces(text) == [
        "Opening hours",
        "The counter is open on weekdays and closes early\nbefore a holiday, always.",
    ]


def test_windows_line_ends() -> None:
    assert pieces("One two\r\nthree. Four.\r\n\r\nFive") == ["One two\r\nthree.", "Four.", "Five"]


@given(st.text(alphabet=st.sampled_from("aB1.!?\n\r \t-#|[]()'\"…。é\u2028_*"), max_size=80))
def test_spans_are_ordered_trimmed_and_never_cross_a_blank_line(text: str) -> None:
    position = 0
    for span in split_sentences(text):
        assert position <= span.start < span.end <= len(text)
        piece = text[span.start : span.end]
        assert piece == piece.strip()
        assert "\n\n" not in piece
        position = span.end


@given(st.text(alphabet=st.sampled_from("aB1.?\n -#|[]"), max_size=60))
def test_no_word_is_lost_in_text_without_markers(text: str) -> None:
    body = text.replace("-", "").replace("#", "").replace("[", "").replace("]", "")
    kept = "".join(pieces(body))
    numbered = any(line.strip()[:1].isalnum() and "." in line for line in body.splitlines())
    if not numbered:
        assert [c for c in kept if c.isalnum()] == [c for c in body if c.isalnum()]
