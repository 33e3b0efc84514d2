"""What every lexical index does that chunks are added to and removed from."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from retrieval.lexical.scoring import CorpusStatistics, LexicalEntry

Keys: TypeAlias = NDArray[np.int64]


class LexicalIndex(Protocol):
    """Chunks by int64 key. Implementations may be called from several threads."""

    def add(self, entries: Iterable[LexicalEntry]) -> None:
        """Add chunks; a key that is there is replaced. Searches see it after ``commit``."""
        ...

    def remove(self, keys: Iterable[int]) -> None:
        """Remove keys, those that are there. Searches see it after ``commit``."""
        ...

    def commit(self) -> None:
        """Make all that was added and removed visible to searches, at once."""
        ...

    def search(
        self, query: str, k: int, allowed: Keys | None = None, statistics: CorpusStatistics | None = None
    ) -> list[tuple[int, float]]:
        """The ``k`` best keys by BM25, best first, with their score (> 0); chunks that share no term are left
        out, and of equal scores the lower key comes first.

        ``query`` is any text and never raises: it has no syntax. With ``allowed`` nothing else is returned.
        ``statistics``, of this query, are those of all parts where this index is one of several.
        """
        ...

    def full_match(self, query: str, statistics: CorpusStatistics | None = None) -> float:
        """About the score of a chunk of average length that holds each term of ``query`` once: the sum of the
        terms' inverse document frequencies. 0 for a query without terms.
        """
        ...

    def statistics(self, query: str) -> CorpusStatistics:
        """How many chunks are visible, and how many of them hold each term of ``query``."""
        ...

    def keys(self) -> Keys:
        """All visible keys, ascending."""
        ...

    def __len__(self) -> int:
        """How many chunks are visible."""
        ...
