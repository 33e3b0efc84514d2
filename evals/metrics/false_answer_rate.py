"""False-answer rate: unanswerable questions that were answered (wholly or partly) / unanswerable
questions. Lower is better.

With ``over_refusal_rate`` it is the pair of errors of answering with a reject option: Chow, "On optimum
recognition error and reject tradeoff", IEEE Trans. Information Theory 16(1), 1970.
"""

from __future__ import annotations

from retrieval.answers.answer import Status


def false_answer(status: Status) -> float:
    """1 when an unanswerable question was answered, else 0."""
    return 0.0 if status is Status.ABSTAINED else 1.0
