"""What the answer scorer changes in a reading; the encoder's signs are tested with what is made of them."""

from collections.abc import Sequence

import numpy as np
import pytest

from retrieval.answers.answerability import assess
from retrieval.answers.question import read_question
from retrieval.answers.reading import MAX_SCORED, read_passages
from retrieval.encoders.encoder import HashingEncoder
from retrieval.passage import DocumentRef, Passage

ENCODER = HashingEncoder(512)
QUESTION = "What does a visitor permit cost?"


class Scorer:
    """Gives ``high`` to the texts that hold ``word``, ``low`` to the others; ``seen`` are the texts it was given."""

    name = "fixed"

    def __init__(self, word: str, high: float = 4.0, low: float = -4.0) -> None:
        self.word, self.high, self.low = word, high, low
        self.seen: list[str] = []

    def score(self, question: str, texts: Sequence[str]) -> np.ndarray:
        self.seen += texts
        return np.array([self.high if self.word in text else self.low for text in texts], dtype=np.float32)


def passage(text: str) -> Passage:
    return Passage("c1", DocumentRef("d1", "d1", 1, "Site"), text, ("Parking",), None, 0, len(text))


TEXT = "A permit for a visitor can be had at the gate. It costs 14 florins. Bay 7 is for those who come by boat."


def test_the_scorer_moves_a_sentence_to_the_front() -> None:
    question = read_question(QUESTION)
    plain = read_passages(question, [passage(TEXT)], ENCODER, Scorer("nothing"))
    moved = read_passages(question, [passage(TEXT)], ENCODER, Scorer("florins"))
    assert plain.best is not None
    assert moved.best is not None
    assert plain.best.window.text == "A permit for a visitor can be had at the gate."
    assert moved.best.window.text == "It costs 14 florins."
    assert (moved.best.answers, plain.best.answers) == (4.0, -4.0)


def test_the_scorer_reads_title_heading_and_lead() -> None:
    scorer = Scorer("florins")
    read_passages(read_question(QUESTION), [passage(TEXT)], ENCODER, scorer)
    assert "Site / Parking: A permit for a visitor can be had at the gate. It costs 14 florins." in scorer.seen


def test_only_the_nearest_sentences_are_scored() -> None:
    scorer = Scorer("permit", high=1.0, low=1.0)
    text = " ".join(f"The permit number {n} is kept." for n in range(MAX_SCORED + 10))
    reading = read_passages(read_question(QUESTION), [passage(text)], ENCODER, scorer)
    assert len(scorer.seen) == MAX_SCORED
    assert sorted({read.answers for read in reading.reads}) == [-6.0, 1.0]


@pytest.mark.parametrize(("logit", "answerable"), [(4.0, True), (-4.0, False)])
def test_the_scorer_decides_where_the_words_alone_do_not(logit: float, answerable: bool) -> None:
    found = assess(QUESTION, [passage("A visitor pays 14 florins.")], ENCODER, Scorer("florins", high=logit))
    assert found.answerable is answerable
