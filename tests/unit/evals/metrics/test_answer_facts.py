import pytest

from evals.metrics.answer_facts import answer_facts


@pytest.mark.parametrize(
    ("fact", "answer"),
    [
        ("25 days", "Everyone gets 25 days [1]."),
        ("12500", "The limit is €12,500.00 a year."),
        ("12,500", "The limit is 12500 euros."),
        ("1 234 567", "It weighs 1234567 grams."),
        ("five percent", "It rises by 5%."),
        ("mechanical governor", "It falls back to its Mechanical\nGovernor."),
        ("Jürgen", "Ask Jürgen."),
        ("06:10", "It leaves at 06:10 sharp."),
        ("ramp closed", "The ramp [2] closed."),
    ],
)
def test_contained_after_normalisation(fact: str, answer: str) -> None:
    assert answer_facts([fact], answer) == 1.0


@pytest.mark.parametrize(
    ("fact", "answer"),
    [
        ("25 days", "Everyone gets 125 days."),
        ("5", "It took 5.5 hours."),
        ("25 days", "25 people waited for days."),
        ("art", "The party starts."),
        ("1.5", "Take 15 of them."),
        ("...", "Anything..."),
    ],
)
def test_not_contained(fact: str, answer: str) -> None:
    assert answer_facts([fact], answer) == 0.0


def test_share_of_the_facts() -> None:
    assert answer_facts(["SILENT", "governor", "red"], "The board shows SILENT; the governor holds.") == pytest.approx(
        2 / 3
    )
