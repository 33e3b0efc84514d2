"""Scoring: from the findings of the checks to one number in 0..1."""

from __future__ import annotations

import math
from dataclasses import dataclass

from retrieval.verify.findings import Findings

THRESHOLD = 0.5  # a sentence is supported at or above it


@dataclass(frozen=True, slots=True)
class Weights:
    """A logistic model over findings."""

    bias: float = -6.0
    coverage: float = 9.0
    order: float = 1.5
    missing_numbers: float = -6.0
    missing_names: float = -5.0
    moved: float = -6.0
    polarity: float = -6.0
    opposite: float = -6.0
    overclaim: float = -0.7
    condition: float = -0.4
    similarity: float = 0.0


PLAIN = Weights()


def features(findings: Findings, similarity: float = 0.0) -> dict[str, float]:
    """Return the findings as the model's inputs, each in 0..1."""
    return {
        "coverage": findings.coverage,
        "order": findings.order,
        "missing_numbers": min(1.0, 0.5 * (findings.missing_numbers > 0) + 0.5 * findings.missing_numbers),
        "missing_names": min(1.0, 0.5 * (findings.missing_names > 0) + 0.5 * findings.missing_names),
        "moved": findings.moved,
        "polarity": findings.polarity,
        "opposite": min(1.0, findings.opposite),
        "overclaim": min(1.0, findings.overclaim),
        "condition": findings.condition,
        "similarity": similarity,
    }


def score(findings: Findings, weights: Weights = PLAIN, similarity: float = 0.0) -> float:
    """Return how well the claim is supported, 0..1."""
    total = weights.bias + sum(
        getattr(weights, name) * value for name, value in features(findings, similarity).items()
    )
    return 1.0 / (1.0 + math.exp(-total))
