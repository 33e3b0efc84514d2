"""MRR@k: 1 / rank of the first relevant result, 0 if none is among the first k; averaged over questions.

Source: Voorhees, "The TREC-8 Question Answering Track Report", 1999.
"""

from __future__ import annotations


def reciprocal_rank(first: int | None, k: int = 10) -> float:
    """``first`` = 1-based rank of the first relevant result, or ``None``."""
    return 1.0 / first if first is not None and first <= k else 0.0
