"""What every verifier must do; a new one is added to the list of makers."""

from collections.abc import Callable

import pytest

from retrieval.verify.verification import Verdict, Verifier
from retrieval.verify.verifier import DeterministicVerifier

LEAVE = (
    "# Leave\n\nEvery engineer accrues 2.25 days of leave for each month of work. Unused leave lapses on 31 March.\n"
)
MAKERS: list[Callable[[], Verifier]] = [DeterministicVerifier]


@pytest.fixture(params=MAKERS, ids=lambda maker: maker.__name__)
def verifier(request: pytest.FixtureRequest) -> Verifier:
    return request.param()  # type: ignore[no-any-return]


def test_it_has_a_name_with_a_version(verifier: Verifier) -> None:
    assert verifier.name == "deterministic-1"


def test_a_proven_sentence_is_supported_by_the_characters_that_prove_it(verifier: Verifier) -> None:
    result = verifier.verify("Engineers accrue 2.25 days of leave each month.", [LEAVE])
    (sentence,) = result.sentences
    assert sentence.verdict is Verdict.SUPPORTED
    assert (sentence.start, sentence.end) == (0, 47)
    best = sentence.evidence[0]
    assert best.passage == 0
    assert LEAVE[best.start : best.end] == "Every engineer accrues 2.25 days of leave for each month of work."
    assert result.score == pytest.approx(sentence.score)
    assert not result.truncated


@pytest.mark.parametrize(
    "claim",
    [
        "Engineers accrue 3.75 days of leave each month.",
        "Engineers accrue 2.25 weeks of leave each month.",
        "Engineers never accrue leave.",
        "Unused leave lapses on 30 June.",
        "Unused leave does not lapse on 31 March.",
        "The canteen serves soup on Fridays.",
    ],
)
def test_a_false_sentence_is_unsupported_and_scores_lower(verifier: Verifier, claim: str) -> None:
    true = verifier.verify("Engineers accrue 2.25 days of leave each month.", [LEAVE])
    false = verifier.verify(claim, [LEAVE])
    (sentence,) = false.sentences
    assert sentence.verdict is Verdict.UNSUPPORTED
    assert sentence.evidence == ()
    assert sentence.reason
    assert false.score < true.score - 0.3


def test_marks_keep_their_place_and_are_not_judged(verifier: Verifier) -> None:
    answer = "Unused leave lapses on 31 March [7]. Engineers accrue 2.25 days of leave a month. [12]"
    result = verifier.verify(answer, [LEAVE])
    assert [sentence.verdict for sentence in result.sentences] == [Verdict.SUPPORTED] * 2
    assert [sentence.text for sentence in result.sentences] == [answer[:36], answer[37:]]
    assert all(answer[s.start : s.end] == s.text for s in result.sentences)


def test_the_right_passage_is_named(verifier: Verifier) -> None:
    result = verifier.verify("Unused leave lapses on 31 March.", ["The canteen serves soup.", "", LEAVE])
    assert result.sentences[0].evidence[0].passage == 2


def test_sentences_that_claim_nothing_are_uncheckable(verifier: Verifier) -> None:
    answer = "Hello! Do you mean parental leave? The documents do not say when it starts. I hope this helps."
    result = verifier.verify(answer, [LEAVE])
    assert [sentence.verdict for sentence in result.sentences] == [Verdict.UNCHECKABLE] * 4
    assert 0.4 < result.score < 0.5


def test_an_empty_answer_scores_nothing(verifier: Verifier) -> None:
    result = verifier.verify("", [LEAVE])
    assert (result.score, result.sentences) == (0.0, ())


@pytest.mark.parametrize("passages", [[], [""], [" \n "]])
def test_without_passages_nothing_is_supported(verifier: Verifier, passages: list[str]) -> None:
    result = verifier.verify("Unused leave lapses on 31 March.", passages)
    assert [sentence.verdict for sentence in result.sentences] == [Verdict.UNSUPPORTED]
    assert result.score < 0.2


def test_the_same_input_gives_the_same_output(verifier: Verifier) -> None:
    answer = "Engineers accrue 2.25 days of leave, and unused leave lapses on 31 March."
    assert verifier.verify(answer, [LEAVE, LEAVE]) == verifier.verify(answer, [LEAVE, LEAVE])


def test_a_very_long_passage_is_looked_through(verifier: Verifier) -> None:
    filler = "The harbour log notes wind from the west and a calm sea on this day of the week. " * 6000
    result = verifier.verify("Unused leave lapses on 31 March.", [filler + "\n\n" + LEAVE + "\n" + filler])
    (sentence,) = result.sentences
    assert sentence.verdict is Verdict.SUPPORTED
    assert sentence.evidence[0].start > len(filler)
    assert not result.truncated


def test_what_is_left_out_is_said(verifier: Verifier) -> None:
    assert verifier.verify("Unused leave lapses.", ["word " * 500_000]).truncated


@pytest.mark.parametrize(
    "text", ["\x00\ufffd\u202e", "🙂 🙂.", "ÅÄÖ " * 50, "۱۲۳ ٤٥", "½ ² ①", "a" * 5000, "[" * 200, "- " * 50]
)
def test_odd_characters_do_no_harm(verifier: Verifier, text: str) -> None:
    result = verifier.verify(text, [text, LEAVE])
    assert 0.0 <= result.score <= 1.0
    assert all(text[s.start : s.end] == s.text for s in result.sentences)
