"""What each term of a query weighs in an index in Milvus, which tells scores and no document frequencies."""

from __future__ import annotations

import math
import threading
from collections import OrderedDict
from collections.abc import Mapping

from retrieval.milvus.connection import MilvusConnection

_K1 = 1.2
_KEPT = 4_096


class TermWeights:
    """The weights of the terms asked for last, for each publication; safe to use from several threads."""

    def __init__(self, index: str, connection: MilvusConnection) -> None:
        self._index = index
        self._connection = connection
        self._known: OrderedDict[tuple[int, str], float] = OrderedDict()
        self._lock = threading.Lock()

    def full_match(self, stamp: int, visible: str, terms: Mapping[str, int]) -> float:
        """About the score of a chunk of average length that says each of ``terms`` as often as asked; 0 without terms.

        ``visible`` is the expression of publication ``stamp``. The best row for a term alone scores
        ``idf * tf * (k1 + 1) / (tf + k1 * L)``, with ``L`` = 1 for a chunk of average length; a chunk's own terms are indexed
        twice, so a full match has ``tf`` = 2. For a term that nothing holds ``idf`` is that of BM25, ln(1 + (N + .5) / .5).
        """
        with self._lock:
            weights = {term: self._known[stamp, term] for term in terms if (stamp, term) in self._known}
        unknown = [term for term in terms if term not in weights]
        if unknown:
            weights |= self._measured(visible, unknown)
            with self._lock:
                self._known.update(((stamp, term), weights[term]) for term in unknown)
                while len(self._known) > _KEPT:
                    self._known.popitem(last=False)
        return sum(count * weights[term] for term, count in terms.items())

    def _measured(self, visible: str, terms: list[str]) -> dict[str, float]:
        timeout = self._connection.timeout_s
        rows = self._connection.call(lambda client: client.get_collection_stats(self._index, timeout=timeout))
        rarest = math.log(1.0 + (int(rows["row_count"]) + 0.5) / 0.5)
        best = self._connection.search(
            self._index, terms, field="sparse", metric="BM25", limit=1, where=visible, fields=["terms"]
        )
        weights = {}
        for term, hits in zip(terms, best, strict=True):
            weight = rarest
            if hits:
                held = hits[0]["entity"]["terms"].split().count(term)
                weight = abs(hits[0]["distance"]) / _saturation(max(1, held))
            weights[term] = weight * _saturation(2)
        return weights


def _saturation(frequency: int) -> float:
    return frequency * (_K1 + 1) / (frequency + _K1)
