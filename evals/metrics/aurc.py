"""AURC: the area under the risk-coverage curve. Lower is better.

Order the given answers by confidence (their grounding score), best first; the risk at coverage k/n is the
mean loss of the first k.

    AURC = 1/n * sum over k = 1..n of mean(loss of the k most confident)

Among equal confidences every order is equally likely, so each takes the mean loss of its equals. Source:
Geifman, Uziel and El-Yaniv, "Bias-Reduced Uncertainty Estimation for Deep Neural Classifiers", ICLR 2019
(arXiv 1805.08206).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def loss(answerable: bool, facts: float | None, evidence_cited: bool | None) -> float | None:
    """Loss of one given answer in 0..1: to an unanswerable question 1; otherwise the share of facts that
    it misses, or, without facts, whether it cites no gold evidence. ``None`` when nothing tells.
    """
    if not answerable:
        return 1.0
    if facts is not None:
        return 1.0 - facts
    return None if evidence_cited is None else float(not evidence_cited)


def aurc(confidence: NDArray[np.float64], losses: NDArray[np.float64]) -> float:
    """Area under the curve for ``n`` answers (both of shape ``(n,)``, n > 0)."""
    order = np.argsort(-confidence, kind="stable")
    ranked, sizes = losses[order], np.unique(-confidence, return_counts=True)[1]
    groups = np.repeat(np.arange(len(sizes)), sizes)
    expected = (np.bincount(groups, weights=ranked) / sizes)[groups]
    return float(np.mean(np.cumsum(expected) / np.arange(1, len(ranked) + 1)))
