import pytest

from retrieval.verify.claims import blank_marks, is_uncheckable, split_clauses


@pytest.mark.parametrize(
    "sentence",
    [
        "Hello!", "Thank you for asking.", "What do you mean?", "I hope this helps!", "Let me know if you need more.",
        "The documents don't say when leave starts.", "The provided context does not mention a fee.",
        "I could not find this in the handbook.", "I don't know.", "There is no information about parking.",
        "This is not specified in the provided documents.", "Here are the key points:", "Yes.", "…", "Unanswerable",
    ],
)  # fmt: skip
def test_no_claim(sentence: str) -> None:
    assert is_uncheckable(sentence)


@pytest.mark.parametrize(
    "sentence",
    [
        "Leave starts in May.", "Documents are not to be removed from the office.",
        "The information is not shared with third parties.", "Yes, visitors may park in the yard for two days.",
        "We do not offer refunds.", "You cannot park here.", "14 florins a day.", "No visitors are allowed after six.",
    ],
)  # fmt: skip
def test_a_claim(sentence: str) -> None:
    assert not is_uncheckable(sentence)


def test_marks_are_blanked_in_place() -> None:
    text = "Two days [1], or three [2, 3]."
    assert blank_marks(text) == "Two days    , or three       ."


def test_clauses() -> None:
    text = "Visitors pay 14 florins a day, and staff pay 6 florins; nobody pays on Sunday mornings"
    assert [text[a:b] for a, b in split_clauses(text)] == [
        "Visitors pay 14 florins a day",
        "staff pay 6 florins",
        "nobody pays on Sunday mornings",
    ]


def test_short_pieces_are_joined() -> None:
    text = "Visitors pay 14 florins a day, and so on"
    assert split_clauses(text) == [(0, len(text))]
