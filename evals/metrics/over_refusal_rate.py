"""Over-refusal rate: answerable questions that got an abstention / answerable questions. Lower is better."""

from __future__ import annotations

from retrieval.answers.answer import Status


def over_refusal(status: Status) -> float:
    """1 when an answerable question got an abstention, else 0."""
    return 1.0 if status is Status.ABSTAINED else 0.0
