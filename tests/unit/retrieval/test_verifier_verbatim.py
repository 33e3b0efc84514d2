"""A sentence that stands in the passages to the letter is proven by itself."""

from __future__ import annotations

import pytest

from retrieval.verify.verification import Verdict
from retrieval.verify.verifier import VERBATIM, DeterministicVerifier

PASSAGE = "An amber alarm rings on. There is no mute.\n\nTime | What happened\n06:52 | The ferry stopped"


@pytest.mark.parametrize("sentence", ["There is no mute.", "There  is\nno mute", "Time | What happened"])
def test_a_verbatim_sentence_is_proven_whatever_the_question_says(sentence: str) -> None:
    result = DeterministicVerifier().verify(sentence, ["Other words.", PASSAGE], "Can I mute an alarm?")
    assert [s.verdict for s in result.sentences] == [Verdict.SUPPORTED]
    assert result.sentences[0].score == VERBATIM
    evidence = result.sentences[0].evidence[0]
    assert evidence.passage == 1
    assert PASSAGE[evidence.start : evidence.end].rstrip(".") == " ".join(sentence.split()).rstrip(".")


@pytest.mark.parametrize(
    "sentence", ["There is a mute.", "An amber alarm never rings on.", "06:53 | The ferry stopped"]
)
def test_a_sentence_that_differs_in_one_word_is_not(sentence: str) -> None:
    result = DeterministicVerifier().verify(sentence, [PASSAGE], "Can I mute an alarm?")
    assert result.sentences[0].verdict is Verdict.UNSUPPORTED
