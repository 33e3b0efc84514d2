import pytest

from retrieval.verify.alignment import align


@pytest.mark.parametrize(
    ("claim", "evidence", "flipped"),
    [
        ("they will not face penalties", "they will face penalties", True),
        ("we do ask for your card", "we do not ask for your card", True),
        ("it cannot be recorded", "it can't be recorded", False),
        ("smoking is not allowed here", "smoking is prohibited here", False),
        ("the canteen is never closed", "the office opens at nine", False),
    ],
)
def test_negations_put_in_or_left_out(claim: str, evidence: str, flipped: bool) -> None:
    assert align(claim.split(), evidence.split()).flipped is flipped


def test_exchanged_words() -> None:
    found = align(["a", "projects", "line", "is", "created"], ["a", "tock", "line", "is", "created"])
    assert found.exchanged == ("projects",)
    assert not found.repeats


def test_a_quote() -> None:
    assert align(["line", "is", "created"], ["a", "tock", "line", "is", "created", "today"]).repeats


def test_nothing() -> None:
    assert not align([], ["a"]).repeats
