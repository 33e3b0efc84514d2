from evals.metrics.false_answer_rate import false_answer
from evals.metrics.over_refusal_rate import over_refusal
from retrieval.answers.answer import Status


def test_a_partial_answer_is_an_answer() -> None:
    assert [false_answer(status) for status in Status] == [1.0, 1.0, 0.0]
    assert [over_refusal(status) for status in Status] == [0.0, 0.0, 1.0]
