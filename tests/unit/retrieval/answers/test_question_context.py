import pytest

from retrieval.answers.question_context import is_follow_up, standalone_question
from retrieval.answers.writer import Turn


@pytest.mark.parametrize(
    "question",
    [
        "And for contractors?",
        "What about contractors?",
        "how about part-time staff",
        "Why?",
        "Why not?",
        "How many?",
        "Does it expire?",
        "When do they get it?",
        "Can I carry those over?",
        "Is that taxable?",
        "Contractors?",
        "Und für Auszubildende?",
        "Et pour les stagiaires ?",
        "¿Y para los becarios?",
    ],
)
def test_follow_ups_are_seen(question: str) -> None:
    assert is_follow_up(question)


@pytest.mark.parametrize(
    "question",
    [
        "How many days of leave do employees accrue a month?",
        "Who approves a purchase above 5,000 euros?",
        "Is it true that contractors accrue leave?",
        "Are there parking spaces for visitors?",
        "What is the policy on documents that are older than ten years?",
        "Reset my password",
        "What does one of the administrators have to do before a restore?",
        "VPN setup on macOS",
    ],
)
def test_whole_questions_are_left_alone(question: str) -> None:
    assert not is_follow_up(question)


def test_a_follow_up_is_joined_to_the_question_before_it() -> None:
    history = [
        Turn("user", "How many days of leave do employees accrue?"),
        Turn("assistant", "Employees accrue 1.5 days a month [1]."),
    ]
    assert (
        standalone_question("And for contractors?", history)
        == "How many days of leave do employees accrue? And for contractors?"
    )


def test_a_whole_question_forgets_the_conversation() -> None:
    history = [Turn("user", "How many days of leave do employees accrue?")]
    question = "Who approves a purchase above 5,000 euros?"
    assert standalone_question(question, history) == question


def test_a_follow_up_to_a_follow_up_reaches_the_subject() -> None:
    history = [
        Turn("user", "Who sits on the works council?"),
        Turn("user", "How many days of leave do employees accrue?"),
        Turn("user", "And contractors?"),
    ]
    assert standalone_question("Why?", history) == "How many days of leave do employees accrue? And contractors? Why?"


def test_without_earlier_questions_nothing_is_added() -> None:
    assert standalone_question(" And for contractors? ", []) == "And for contractors?"
    assert standalone_question("Why?", [Turn("assistant", "Hello!"), Turn("system", "Be brief.")]) == "Why?"


def test_a_history_that_ends_with_the_question_does_not_repeat_it() -> None:
    history = [Turn("user", "How do employees accrue leave?"), Turn("user", "And contractors?")]
    assert standalone_question("And contractors?", history) == "How do employees accrue leave? And contractors?"


def test_of_a_long_message_the_end_is_taken() -> None:
    history = [Turn("user", "word " * 500 + "How do employees accrue leave?")]
    joined = standalone_question("And contractors?", history)
    assert joined.endswith("How do employees accrue leave? And contractors?")
    assert len(joined) <= 400 + len(" And contractors?")
