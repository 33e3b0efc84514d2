"""nDCG@k, normalised discounted cumulative gain.

    DCG@k = sum over ranks i = 1..k of gain(i) / log2(i + 1)
    nDCG@k = DCG@k / DCG@k of the best possible order

The gain is the relevance grade itself ("linear"), as in trec_eval's ``ndcg_cut``, which BEIR reports.
Source: Järvelin and Kekäläinen, "Cumulated gain-based evaluation of IR techniques", ACM TOIS 20(4), 2002.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import log2


def ndcg(gains: Sequence[float], ideal: Sequence[float], k: int = 10) -> float:
    """``gains`` by rank (0 = not relevant); ``ideal`` = the grades of all that is relevant, in any order,
    not empty.
    """
    return _dcg(gains[:k]) / _dcg(sorted(ideal, reverse=True)[:k])


def _dcg(gains: Sequence[float]) -> float:
    return sum(gain / log2(rank + 1) for rank, gain in enumerate(gains, start=1))
