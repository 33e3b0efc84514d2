import pytest

from retrieval.answers.question import Expects, parts, read_question


def weights(text: str) -> dict[str, float]:
    return {term.word: term.weight for term in read_question(text).terms}


def test_greetings_and_thanks_around_a_question_are_left_out() -> None:
    question = read_question("Leave\n\nHi! When does my unused leave lapse? Thanks")
    assert question.text == "When does my unused leave lapse?"
    assert [term.word for term in question.terms] == ["unused", "leave", "lapse"]


def test_a_text_that_asks_nothing_is_taken_whole() -> None:
    assert read_question("parking permit visitors").text == "parking permit visitors"


@pytest.mark.parametrize(
    ("text", "expects"),
    [
        ("How many days of leave do I get?", Expects.NUMBER),
        ("What does a visitor permit cost?", Expects.MONEY),
        ("How much is a visitor permit?", Expects.MONEY),
        ("When does unused leave lapse?", Expects.TIME),
        ("By when must I hand in receipts?", Expects.TIME),
        ("How long is probation?", Expects.DURATION),
        ("Who approves a sabbatical?", Expects.PERSON),
        ("Where do visitors park?", Expects.PLACE),
        ("Can I bring a dog?", Expects.ANYTHING),
        ("What is balance billing?", Expects.ANYTHING),
    ],
)
def test_what_a_question_expects(text: str, expects: Expects) -> None:
    assert read_question(text).expects is expects


def test_words_that_only_carry_a_question_weigh_little() -> None:
    assert weights("How do I get the process for a landing permit?") == {
        "get": 0.3,
        "process": 0.3,
        "landing": 1.0,
        "permit": 1.0,
    }


@pytest.mark.parametrize(
    ("text", "exact"),
    [
        ("Does the VPN of Montevideo show error P-419?", ["montevideo", "p-419"]),
        ("When are the shoes of a Brindle 3 replaced?", ["brindle 3"]),
        ("What was fixed in Lanyard 5.8.1?", ["lanyard", "5.8.1"]),
        ("Who won 1,500 crowns in 2018?", ["1500", "2018"]),
        ("Can my 9-year-old daughter see a PhD's CV?", []),
    ],
)
def test_names_numbers_and_codes_are_exact_and_other_capitals_are_not(text: str, exact: list[str]) -> None:
    assert [term.word for term in read_question(text).terms if term.exact] == exact


def test_joined_questions_come_apart() -> None:
    question = read_question("Where do visitors park and when does unused leave lapse? Who approves travel?")
    assert [part.text for part in parts(question)] == [
        "Where do visitors park",
        "when does unused leave lapse?",
        "Who approves travel?",
    ]


def test_one_question_is_one_part() -> None:
    question = read_question("What do hats and gloves cost?")
    assert parts(question) == (question,)


@pytest.mark.parametrize("text", ["", "   ", "?", "the of and"])
def test_a_question_without_content_has_no_terms(text: str) -> None:
    assert read_question(text).terms == ()


def test_what_is_told_before_a_question_weighs_half() -> None:
    question = read_question("My account is blocked. Who unlocks it?")
    assert question.text == "My account is blocked. Who unlocks it?"
    assert [(t.word, t.weight) for t in question.terms] == [("unlocks", 1.0), ("account", 0.5), ("blocked", 0.5)]
