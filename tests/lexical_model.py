"""BM25 in plain Python, as the lexical indexes are meant to score, and a way to make each kind of index."""

from __future__ import annotations

import itertools
import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace
from operator import itemgetter
from pathlib import Path

import numpy as np

from retrieval.lexical.build import LexicalBuilder
from retrieval.lexical.file import LexicalFile
from retrieval.lexical.memory import FieldWeights, LexicalEntry, TantivyLexical
from retrieval.lexical.merge import LexicalMerger


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


def merged_files(
    folder: Path,
    entries: Sequence[LexicalEntry],
    language: str | None = None,
    weights: FieldWeights | None = None,
) -> LexicalFile:
    """A file that holds ``entries``, merged twice: of each four one was added by each merge, and others are gone."""
    strange = [(-1, LexicalEntry(0, "", f"gone strange {entry.text}")) for entry in entries[::3]]
    of_round = [[(at, entry) for at, entry in enumerate(entries) if at % 4 in rest] for rest in ((0, 1), (2,), (3,))]
    # What goes stands between what stays.
    held = [each for pair in itertools.zip_longest(of_round[0], strange) for each in pair if each is not None]
    in_files(folder / "0", [replace(entry, key=at) for at, (_, entry) in enumerate(held)], language, parts=3)
    for round_, added in ((1, [*of_round[1], *strange[:5]]), (2, of_round[2])):
        merger = LexicalMerger(folder / str(round_ - 1), folder / str(round_), language)
        merger.add(entry for _, entry in added)
        now = sorted((each for each in [*held, *added] if each[0] >= 0), key=itemgetter(0)) + (
            added[-5:] if round_ == 1 else []
        )
        place = {id(entry): number for number, (_, entry) in enumerate(now)}
        carried = [place.get(id(entry), -1) for _, entry in held]
        merger.finish(np.array(carried), np.array([place[id(entry)] for _, entry in added]))
        held = now
    return LexicalFile.open(folder / "2", weights)


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
