import pytest

from retrieval.verify.marks import CitedSentence, apply_marks, find_marks, render, strip_marks


@pytest.mark.parametrize(
    ("text", "plain", "numbers"),
    [
        ("A month [1].", "A month.", [(1,)]),
        ("A month [1, 2].", "A month.", [(1, 2)]),
        ("A month [1][3].", "A month.", [(1,), (3,)]),
        ("A month [1] [3].", "A month.", [(1,), (3,)]),
        ("A month[^1].", "A month.", [(1,)]),
        ("A month【2】.", "A month.", [(2,)]),
        ("A month【2†leave.docx】.", "A month.", [(2,)]),
        ("A month [Passage 2].", "A month.", [(2,)]),
        ("A month [passage 2, passage 3].", "A month.", [(2, 3)]),
        ("A month (Passage 2).", "A month.", [(2,)]),
        ("A month [[4]].", "A month.", [(4,)]),
        ("A month [1](https://docs.example/leave).", "A month.", [(1,)]),
        ("A month [1-3].", "A month.", [(1, 2, 3)]),
        ("A month [2–4, 1].", "A month.", [(2, 3, 4, 1)]),
        ("A month [1 and 2].", "A month.", [(1, 2)]),
        ("A month [2, 2].", "A month.", [(2,)]),
        ("A month. [1] Then more [2].", "A month. Then more.", [(1,), (2,)]),
        ("[1] A month.", "A month.", [(1,)]),
        ("- One [1]\n- Two [2]", "- One\n- Two", [(1,), (2,)]),
        ("A [1]b.", "A b.", [(1,)]),
    ],
)
def test_marks_are_taken_out_and_read(text: str, plain: str, numbers: list[tuple[int, ...]]) -> None:
    stripped = strip_marks(text, 5)
    assert stripped.text == plain
    assert [mark.numbers for mark in stripped.marks] == numbers


def test_numbers_beyond_the_passages_are_dropped() -> None:
    assert strip_marks("A month [7].", 5).text == "A month."
    assert strip_marks("A month [7].", 5).marks == ()
    assert [mark.numbers for mark in strip_marks("A month [0, 2, 9].", 5).marks] == [(2,)]


@pytest.mark.parametrize(
    "text",
    [
        "Since [2024] it grew.",
        "See (2) below.",
        "Use `rows[1]` here.",
        "```\nx = a[1]\n```",
        "[sic] it says",
        "[x]",
    ],
)
def test_other_brackets_stay(text: str) -> None:
    assert strip_marks(text, 5).text == text
    assert find_marks(text, 5) == ()


def test_each_mark_keeps_its_place_in_the_plain_text() -> None:
    stripped = strip_marks("Days accrue [1]. They expire [2][3].", 3)
    assert stripped.text == "Days accrue. They expire."
    assert [(mark.start, mark.end) for mark in stripped.marks] == [(11, 11), (24, 24), (24, 24)]
    assert stripped.numbers_between(0, 12) == (1,)
    assert stripped.numbers_between(13, 25) == (2, 3)


def test_a_mark_after_the_full_stop_belongs_to_the_sentence_before_it() -> None:
    stripped = strip_marks("Days accrue. [1] They expire. [2]", 2)
    assert stripped.text == "Days accrue. They expire."
    assert stripped.numbers_between(0, 12) == (1,)
    assert stripped.numbers_between(13, 25) == (2,)


@pytest.mark.parametrize(
    "tail",
    [
        "\n\nSources:\n[1] Leave policy\n[2] Handbook",
        "\n\n[1]: Leave policy, page 2\n",
        "\n\n**References**\n- [1] Leave",
    ],
)
def test_a_list_of_references_at_the_end_goes(tail: str) -> None:
    stripped = strip_marks("Days accrue [1]." + tail, 2)
    assert stripped.text == "Days accrue."
    assert [mark.numbers for mark in stripped.marks] == [(1,)]


def test_a_rendered_answer_carries_marks_renumbered_by_first_use() -> None:
    rendered = render(
        [
            CitedSentence("Employees accrue 1.5 days a month.", [7]),
            CitedSentence("They expire in March!", [2, 7]),
            CitedSentence("Ask HR", [], "\n"),
        ]
    )
    assert rendered.text == "Employees accrue 1.5 days a month [1]. They expire in March [2][1]!\nAsk HR"
    assert [rendered.text[start:end] for start, end in rendered.ranges] == [
        "Employees accrue 1.5 days a month [1].",
        "They expire in March [2][1]!",
        "Ask HR",
    ]
    assert rendered.order == (7, 2)
    assert rendered.citations == ((1,), (2, 1), ())


@pytest.mark.parametrize(
    ("sentence", "marked"),
    [
        ("It said “go.”", "It said “go [1].”"),
        ("Really?!", "Really [1]?!"),
        ("No stop", "No stop [1]"),
        ("| a | b |", "| a | b [1] |"),
        ("Tokio。", "Tokio [1]。"),
        ("**Bold.**", "**Bold [1].**"),
        ("```\ncode\n```", "```\ncode\n```\n[1]"),
    ],
)
def test_a_mark_stands_before_what_closes_the_sentence(sentence: str, marked: str) -> None:
    rendered = render([CitedSentence(sentence, [1])])
    assert rendered.text == marked
    assert rendered.ranges == ((0, len(marked)),)


def test_text_between_sentences_is_kept() -> None:
    plain = "# Leave\n\nDays accrue.  They expire.\n"
    rendered = apply_marks(plain, [(9, 21, [3]), (23, 35, [4])])
    assert rendered.text == "# Leave\n\nDays accrue [1].  They expire [2].\n"
    assert [rendered.text[start:end] for start, end in rendered.ranges] == [
        "Days accrue [1].",
        "They expire [2].",
    ]


def test_what_is_rendered_can_be_read_again() -> None:
    rendered = render([CitedSentence("One.", [5]), CitedSentence("Two.", [6, 5]), CitedSentence("Three.", [])])
    stripped = strip_marks(rendered.text, 2)
    assert stripped.text == "One. Two. Three."
    assert stripped.numbers_between(0, 4) == (1,)
    assert stripped.numbers_between(5, 9) == (2, 1)
    assert stripped.numbers_between(10, 16) == ()
