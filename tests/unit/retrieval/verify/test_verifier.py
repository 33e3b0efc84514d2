"""Cases of the deterministic tier: each claim is told from one that differs in a single point."""

import pytest

from retrieval.verify.verification import Verdict
from retrieval.verify.verifier import DeterministicVerifier, response_score

DEPOT = (
    "Visitors pay 14 florins a day; staff pay 6 florins a day. The north depot opens at 7:00. The south depot opens "
    "at 9:30 am and closes at 5 pm. Smoking is prohibited in the depot. The audit took place in 2023. Visitors may "
    "park in the yard only if they hold a permit. The Zeta-7 valve must be replaced every 12 months. The caretaker "
    "notifies the insurer. Fees increase in May."
)
PLANS = "# Plans\n\n| Plan | Deductible | Copay |\n|---|---|---|\n| Basic | 500 | 20 |\n| Gold | 100 | 5 |\n"
FORM = "To apply you need:\n\n- a passport\n- two photos\n- a completed form\n\nApplications take ten days."


def verdict(claim: str, passage: str, question: str | None = None) -> Verdict:
    (sentence,) = DeterministicVerifier().verify(claim, [passage], question).sentences
    return sentence.verdict


@pytest.mark.parametrize(
    ("true", "false"),
    [
        ("Visitors pay 14 florins a day.", "Visitors pay 6 florins a day."),
        ("Staff pay 6 florins per day.", "Staff pay 14 florins per day."),
        ("The south depot opens at 9:30.", "The north depot opens at 9:30."),
        ("The north depot opens at 7 a.m.", "The south depot opens at 7 a.m."),
        ("The south depot closes at 17:00.", "The south depot opens at 17:00."),
        ("Smoking is not allowed in the depot.", "Smoking is allowed in the depot."),
        ("You may not smoke in the depot.", "You may smoke in the depot."),
        ("The audit was in 2023.", "The audit was in 2024."),
        (
            "The Zeta-7 valve must be replaced every 12 months.",
            "The Zeta-9 valve must be replaced every 12 months.",
        ),
        (
            "The Zeta-7 valve is replaced every twelve months.",
            "The Zeta-7 valve is replaced every twelve weeks.",
        ),
        ("The insurer is notified by the caretaker.", "The mayor is notified by the gardener."),
        ("Fees rise in May.", "Fees fall in May."),
        ("Visitors may park in the yard if they have a permit.", "Visitors may never park in the yard."),
    ],
)
def test_one_point_decides(true: str, false: str) -> None:
    assert verdict(true, DEPOT) is Verdict.SUPPORTED
    assert verdict(false, DEPOT) is Verdict.UNSUPPORTED


@pytest.mark.parametrize(
    ("claim", "expected"),
    [
        ("The Gold plan has a deductible of 100.", Verdict.SUPPORTED),
        ("The Gold plan has a deductible of 500.", Verdict.UNSUPPORTED),
        ("The Basic plan has a copay of 20.", Verdict.SUPPORTED),
        ("The Basic plan has a copay of 500.", Verdict.UNSUPPORTED),
    ],
)
def test_rows_and_columns_of_a_table(claim: str, expected: Verdict) -> None:
    assert verdict(claim, PLANS) is expected


def test_a_summary_of_a_list() -> None:
    assert verdict("You need a passport, two photos and a completed form.", FORM) is Verdict.SUPPORTED
    assert verdict("You need a passport, two photos and a driving licence.", FORM) is Verdict.UNSUPPORTED
    assert verdict("You need three photos.", FORM) is Verdict.UNSUPPORTED


def test_a_fragment_leans_on_the_question() -> None:
    assert verdict("14 florins a day.", DEPOT, "What do visitors pay?") is Verdict.SUPPORTED
    assert verdict("6 florins a day.", DEPOT, "What do visitors pay?") is Verdict.UNSUPPORTED


def test_an_unproven_clause_is_not_carried_by_a_proven_one() -> None:
    assert verdict("The audit took place in 2023, and managers get a bonus.", DEPOT) is Verdict.UNSUPPORTED


def test_two_passages_together() -> None:
    passages = ["The Kessel depot was built in 1931.", "Soup is served.", "Ada Birch runs the Kessel depot."]
    answer = "The Kessel depot was built in 1931, and it is run by Ada Birch."
    (sentence,) = DeterministicVerifier().verify(answer, passages).sentences
    assert sentence.verdict is Verdict.SUPPORTED
    assert {evidence.passage for evidence in sentence.evidence} == {0, 2}


def test_the_reason_names_what_is_wrong() -> None:
    (sentence,) = DeterministicVerifier().verify("The audit was in 2024.", [DEPOT]).sentences
    assert sentence.reason == "the number 2024 is not in the evidence"


def test_a_dropped_condition_scores_lower() -> None:
    verifier = DeterministicVerifier()
    whole = verifier.verify("Visitors may park in the yard if they hold a permit.", [DEPOT]).score
    assert verifier.verify("Visitors may park in the yard.", [DEPOT]).score < whole - 0.05


def test_a_bad_sentence_weighs_more_than_its_share() -> None:
    answer = "The audit took place in 2023. The north depot opens at 7:00. The canteen serves soup on Fridays."
    result = DeterministicVerifier().verify(answer, [DEPOT])
    scores = [sentence.score for sentence in result.sentences]
    assert result.score == pytest.approx(0.5 * min(scores) + 0.5 * sum(scores) / 3)
    assert response_score(result.sentences[:2]) > 0.9


def test_one_wrong_number_of_many_is_enough() -> None:
    passage = "The four depots hold 11, 22, 33 and 44 pallets."
    assert verdict("The four depots hold 11, 22, 33 and 44 pallets.", passage) is Verdict.SUPPORTED
    assert verdict("The four depots hold 11, 22, 35 and 44 pallets.", passage) is Verdict.UNSUPPORTED


def test_what_is_too_long_is_never_passed() -> None:
    long_sentence = "The audit took place in 2023 and " * 100
    result = DeterministicVerifier().verify(long_sentence, [DEPOT])
    assert result.truncated
    assert [sentence.verdict for sentence in result.sentences] == [Verdict.UNSUPPORTED]
    many = DeterministicVerifier().verify("- The audit took place in 2023.\n" * 310, [DEPOT])
    assert many.truncated
    assert sum(sentence.verdict is Verdict.SUPPORTED for sentence in many.sentences) == 300
