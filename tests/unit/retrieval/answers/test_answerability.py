import pytest

from retrieval.answers.answerability import THRESHOLD, assess, features, score_reading
from retrieval.answers.question import read_question
from retrieval.answers.reading import read_passages
from retrieval.answers.scorer import OverlapScorer
from retrieval.encoders.encoder import HashingEncoder
from retrieval.passage import DocumentRef, Passage

ENCODER, SCORER = HashingEncoder(512), OverlapScorer()


def passage(text: str, title: str = "Site") -> Passage:
    return Passage(f"c-{title}", DocumentRef("d1", "d1", 1, title), text, (), None, 0, len(text))


PASSAGES = [
    passage("A visitor permit costs 14 florins a day. Visitors park in bay 7.", "Parking"),
    passage("Every engineer accrues 2.25 days of leave for each month of work.", "Leave"),
]


def test_what_the_passages_say_is_answerable() -> None:
    result = assess("What does a visitor permit cost?", PASSAGES, ENCODER, SCORER)
    assert result.answerable
    assert result.score > THRESHOLD
    assert result.missing == ()


@pytest.mark.parametrize(
    ("question", "missing"),
    [
        ("What does a helicopter landing permit cost?", ("helicopter", "landing")),
        ("How many days of sick pay does a contractor get?", ("sick", "pay", "contractor")),
        ("Who founded the office in Montevideo?", ("founded", "office", "montevideo")),
    ],
)
def test_near_misses_are_not_answerable_and_name_what_is_missing(question: str, missing: tuple[str, ...]) -> None:
    result = assess(question, PASSAGES, ENCODER, SCORER)
    assert not result.answerable
    assert result.score < THRESHOLD
    assert result.missing == missing


def test_of_two_joined_questions_one_answer_is_enough_and_the_rest_is_missing() -> None:
    result = assess("What does a visitor permit cost and who founded Montevideo?", PASSAGES, ENCODER, SCORER)
    assert result.answerable
    assert result.missing == ("founded", "montevideo")


def test_a_sentence_without_the_kind_of_thing_asked_for_scores_less() -> None:
    with_sum = read_passages(
        read_question("What does a permit cost?"), [passage("A permit costs 14 florins.")], ENCODER, SCORER
    )
    without = read_passages(
        read_question("What does a permit cost?"), [passage("A permit costs you nerves.")], ENCODER, SCORER
    )
    first, second = features(with_sum), features(without)
    assert first is not None
    assert second is not None
    assert (first["expected"], second["expected"]) == (1.0, 0.0)
    assert score_reading(with_sum) > score_reading(without)


@pytest.mark.parametrize("question", ["", "?", "the of"])
def test_nothing_asked_is_not_answerable(question: str) -> None:
    result = assess(question, PASSAGES, ENCODER, SCORER)
    assert (result.score, result.answerable, result.missing) == (0.0, False, ())


@pytest.mark.parametrize("passages", [[], [passage("")], [passage("| --- | --- |")]])
def test_nothing_to_read_is_not_answerable(passages: list[Passage]) -> None:
    result = assess("What does a permit cost?", passages, ENCODER, SCORER)
    assert (result.score, result.answerable, result.missing) == (0.0, False, ("permit",))


def test_the_work_is_bounded_however_long_the_passages_are() -> None:
    counted: list[int] = []

    class Counting(HashingEncoder):
        def encode(self, texts, *, kind="document"):  # type: ignore[no-untyped-def]
            counted.append(len(texts))
            return super().encode(texts, kind=kind)

    long = [
        passage(" ".join(f"Line {n} of {i} says word{n * 31 + i}." for n in range(400)), f"t{i}") for i in range(10)
    ]
    assess("What does word77 say of the permit?", long, Counting(), SCORER)
    assert len(counted) == 1
    assert counted[0] < 260
