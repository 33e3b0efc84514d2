"""Scoring: from the findings of the checks to one number in 0..1."""

from __future__ import annotations

import math
from dataclasses import dataclass

from retrieval.verify.findings import Findings

THRESHOLD = 0.5  # a sentence is supported at or above it

_FOREIGN = 10.0  # weight at which foreign words have done all their harm: five rare words
_QUOTED = 0.98


@dataclass(frozen=True, slots=True)
class Weights:
    """A logistic model over findings.

    Fitted by ``bench/verifier.py --fit`` on the first halves of its three sets at once, each set and label weighing
    the same, then multiplied by 1.4, which moves no sentence over the threshold 0.5. ``moved`` and ``overclaim`` are
    set by hand, since the sets hold no such cases; ``missing_names`` and ``opposite`` are raised until a sentence
    with one such fault and no other is unsupported. ``bias`` and ``coverage`` are stricter than fitted (0.4 and
    2.7), because in short sentences one foreign word of three is a false subject: over all pairs from (-0.1, 3.4) to
    (-5, 8) the AUROC of two sets stays within .006, that of the third falls from .845 to .824.
    """

    bias: float = -2.0
    coverage: float = 5.0
    foreign: float = -4.6
    missing_numbers: float = -4.6
    missing_names: float = -4.0
    moved: float = -4.6
    polarity: float = -4.5
    opposite: float = -3.8
    overclaim: float = -0.6
    condition: float = -1.2


PLAIN = Weights()


def features(findings: Findings) -> dict[str, float]:
    """Return the findings as the model's inputs, each in 0..1."""
    return {
        "coverage": findings.coverage,
        "foreign": min(1.0, findings.foreign / _FOREIGN),
        "missing_numbers": _first_counts_most(findings.missing_numbers),
        "missing_names": _first_counts_most(findings.missing_names),
        "moved": findings.moved,
        "polarity": findings.polarity,
        "opposite": min(1.0, findings.opposite),
        "overclaim": min(1.0, findings.overclaim),
        "condition": findings.condition,
    }


def _first_counts_most(share: float) -> float:
    """One wrong number of many is enough to make a sentence false."""
    return 0.8 + 0.2 * share if share else 0.0


def score(findings: Findings, weights: Weights = PLAIN) -> float:
    """Return how well the claim is supported, 0..1; a word-for-word quote that nothing limits has at least 0.98."""
    total = weights.bias + sum(getattr(weights, name) * value for name, value in features(findings).items())
    value = 1.0 / (1.0 + math.exp(-total))
    if findings.quoted and value >= THRESHOLD and not findings.condition:
        return max(value, _QUOTED)
    return value
