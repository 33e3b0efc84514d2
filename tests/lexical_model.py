"""BM25 in plain Python, as the lexical indexes are meant to score, and a way to make each kind of index."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from retrieval.lexical.build import LexicalBuilder
from retrieval.lexical.file import LexicalFile
from retrieval.lexical.memory import FieldWeights, LexicalEntry, TantivyLexical


class Memory:
    """The index in memory, asked with a mask over positions as the file is."""

    def __init__(self, index: TantivyLexical) -> None:
        self.index = index
        self.full_match = index.full_match
        self.statistics = index.statistics

    def search(self, query, k, allowed=None, statistics=None):
        keys = None if allowed is None else np.flatnonzero(allowed).astype(np.int64)
        return self.index.search(query, k, keys, statistics)


def in_memory(
    entries: Iterable[LexicalEntry], language: str | None = None, weights: FieldWeights | None = None
) -> Memory:
    """An index in memory that holds ``entries``."""
    index = TantivyLexical(language, weights=weights)
    index.add(entries)
    index.commit()
    return Memory(index)


def in_files(
    folder: Path,
    entries: Sequence[LexicalEntry],
    language: str | None = None,
    weights: FieldWeights | None = None,
    parts: int = 1,
) -> LexicalFile:
    """A file that holds ``entries``, built in ``parts`` parts."""
    builder = LexicalBuilder(folder, language)
    size = max(1, math.ceil(len(entries) / parts))
    for start in range(0, len(entries), size):
        builder.add(entries[start : start + size])
        builder.commit()
    builder.finish()
    return LexicalFile.open(folder, weights)


class Bm25:
    """Scores of texts by BM25 with k1 = 1.2 and b = .75; words are split at spaces and are none too long to be counted exactly.

    ``lengths`` takes the place of the texts' own average.
    """

    def __init__(self, texts: Sequence[str], average: float | None = None) -> None:
        self.words = [Counter(text.split()) for text in texts]
        self.lengths = [len(text.split()) for text in texts]
        self.holding = Counter(term for words in self.words for term in words)
        self.average = average or sum(self.lengths) / max(1, len(texts))

    def score(self, at: int, query: str) -> float:
        norm = 1.2 * (0.25 + 0.75 * self.lengths[at] / self.average)
        total = 0.0
        for term in query.split():
            if count := self.words[at][term]:
                idf = math.log(1 + (len(self.words) - self.holding[term] + 0.5) / (self.holding[term] + 0.5))
                total += idf * count * 2.2 / (count + norm)
        return total

    def search(self, query: str, k: int, allowed: np.ndarray | None = None) -> list[tuple[int, float]]:
        scored = [(at, self.score(at, query)) for at in range(len(self.words)) if allowed is None or allowed[at]]
        found = [(at, score) for at, score in scored if score > 0]
        # Scores that differ by less than a 32-bit number shows are equal.
        return sorted(found, key=lambda item: (-round(item[1], 5), item[0]))[:k]
