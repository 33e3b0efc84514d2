"""Late interaction: a question and passages compared token by token, with the vectors that the encoder has of tokens.

The sum of best matches is that of ColBERT (Khattab and Zaharia, "ColBERT: Efficient and Effective Passage Search via
Contextualized Late Interaction over BERT", SIGIR 2020); the model is not trained for it here, so tokens are weighed by how
rare they are among the passages that are compared.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from retrieval.encoders.token_vectors import TokenEncoder, TokenVectors

LATE_INTERACTION = "late-interaction"


class LateInteractionReranker:
    """Implements ``Reranker`` with an encoder that is there anyway: no other model, and no training."""

    def __init__(self, encoder: TokenEncoder) -> None:
        self._encoder = encoder

    @property
    def name(self) -> str:
        """See ``Reranker``."""
        return f"{LATE_INTERACTION}/{self._encoder.name}"

    def score(self, query: str, texts: Sequence[str], /) -> NDArray[np.float32]:
        """See ``Reranker``: ``late_interaction``, 0 to 1."""
        if not texts:
            return np.zeros(0, dtype=np.float32)
        (question,) = self._encoder.token_vectors([query], kind="query")
        return late_interaction(question, self._encoder.token_vectors(texts))


def late_interaction(question: TokenVectors, passages: Sequence[TokenVectors]) -> NDArray[np.float32]:
    """For each passage the weighted mean over the question's tokens of ``max(0, c) ** 2``; shape ``(len(passages),)``.

    ``c`` is the token's best cosine with a token of the passage. Squared, a match counts for more beside the likeness that
    any two tokens have. A token's weight is BM25's ``ln(1 + (N - n + .5) / (n + .5))`` of the ``n`` among the ``N``
    passages that have it: what stands in all of them tells nothing about which is best. A passage, or a question, without
    tokens gives 0.
    """
    scores = np.zeros(len(passages), dtype=np.float32)
    if not len(question.ids):
        return scores
    found = Counter(token for passage in passages for token in np.unique(passage.ids).tolist())
    n = np.array([found[token] for token in question.ids.tolist()], dtype=np.float32)
    weights = np.log1p((len(passages) - n + 0.5) / (n + 0.5))
    for place, passage in enumerate(passages):
        if len(passage.ids):
            best = (question.vectors @ passage.vectors.T).max(axis=1)
            scores[place] = weights @ np.square(np.maximum(best, 0.0)) / weights.sum()
    return scores
