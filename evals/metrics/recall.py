"""Recall@k: found among the first k / all that is relevant (trec_eval's ``recall_k``)."""

from __future__ import annotations


def recall(found: int, relevant: int) -> float:
    """``found`` of the ``relevant`` documents (or pieces of evidence; at least one) are shown by the first
    k results.
    """
    return found / relevant
