import pytest

from retrieval.verify.evidence import negated_terms
from retrieval.verify.polarity import bound_conflict, condition_end, opposites, overclaims


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Visitors may park here.", set()),
        ("Visitors may not park here.", {"park"}),
        ("Parking isn't free, but water is.", {"free"}),
        ("Smoking is prohibited.", {"let"}),
        ("Smoking is not prohibited.", set()),
        ("Not only staff may enter.", set()),
        ("Reply no later than Friday.", set()),
    ],
)
def test_what_is_denied(text: str, expected: set[str]) -> None:
    assert negated_terms(text) == expected


@pytest.mark.parametrize(
    ("claim", "evidence", "expected"),
    [
        ("the price increases", "the price falls", [("increases", "falls")]),
        ("the price increases", "the price rises or falls", []),
        ("used leave lapses", "unused leave lapses", [("used", "unused")]),
        ("north depot", "south depot", [("north", "south")]),
        ("paid each month", "paid each year", []),
        ("you may enter in july", "you enter in july", []),
    ],
)
def test_opposites(claim: str, evidence: str, expected: list[tuple[str, str]]) -> None:
    assert opposites(claim.split(), evidence.split()) == expected


def test_a_minimum_is_no_maximum() -> None:
    assert bound_conflict("at least 5 days", "at most 5 days")
    assert not bound_conflict("at least 5 days", "a minimum of 5 days")
    assert not bound_conflict("5 days", "at most 5 days")


def test_overclaims() -> None:
    assert overclaims("All staff must attend.", "Most staff should attend.") == 2
    assert overclaims("Only staff may attend.", "Staff may attend.") == 1
    assert overclaims("Staff may attend.", "Staff must attend.") == 0


def test_where_a_condition_stands() -> None:
    text = "Visitors may park if they hold a permit, all day."
    where = condition_end(text)
    assert where is not None
    assert text[where[0] : where[1]] == "if they hold a permit"
    assert condition_end("Visitors may park.") is None
