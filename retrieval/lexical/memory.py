"""The lexical index in memory: chunks by key, searched by BM25."""

from __future__ import annotations

import threading
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import tantivy
from tantivy import Index, Occur, Query, SchemaBuilder

from retrieval.array_cache import ArrayCache
from retrieval.lexical.analysis import Analysis
from retrieval.lexical.ballast import BALLAST_KEY, RawCounts, add_ballast, raw_counts
from retrieval.lexical.best import Ids, Mask, Scores, best
from retrieval.lexical.index import Keys, LexicalIndex
from retrieval.lexical.scoring import (
    FIELDS,
    CorpusStatistics,
    FieldLengths,
    FieldWeights,
    LexicalEntry,
    QueryTerm,
    Term,
    full_match,
    query_terms,
    register_tokenizer,
    scoring_query,
    text_fields,
)

__all__ = [
    "CorpusStatistics",
    "FieldLengths",
    "FieldWeights",
    "LexicalEntry",
    "LexicalIndex",
    "TantivyLexical",
    "document_of",
]

_FILTERS_KEPT = 64
_WRITER_BYTES = 64_000_000
# Looks at whether the averages are where they should be; one or two are enough unless segments are merged at that moment.
_LEVELLINGS = 8
# A filter that lets more than this share pass is applied to a ranking's top instead of being part of the query.
_WEAK = 1 / 8


@dataclass(frozen=True, slots=True)
class _Allowed:
    """A filter, ready for use: its keys, ascending, and the clause where it is part of the query."""

    keys: Keys
    clause: Query | None

    def accept(self, keys: Ids) -> Mask:
        at = np.minimum(np.searchsorted(self.keys, keys), len(self.keys) - 1)
        found: Mask = self.keys[at] == keys
        return found


class TantivyLexical:
    """A tantivy index in main memory.

    BM25 with tantivy's k1 = 1.2 and b = .75. Words are analysed in ``language`` (``retrieval.lexical.analysis``). No stop
    words are dropped: inverse document frequency makes them weigh next to nothing, and "The Who" or "IT" can be found. Words
    that hold a digit are also indexed whole in a field of their own, so that "EX-104" ranks before a text with "EX" here and
    "104" there; the signs within do not count ("EX104" finds "EX-104").

    Scores are those of an index made anew of what is visible: what was removed counts no longer (lengths within .01 %). With
    ``lengths``, those of another part, chunks are compared with these averages instead of their own.
    """

    def __init__(
        self,
        language: str | None = None,
        *,
        weights: FieldWeights | None = None,
        lengths: FieldLengths | None = None,
    ) -> None:
        self._analysis = Analysis(language)
        self._weights = weights or FieldWeights()
        self._wanted = lengths
        builder = SchemaBuilder().add_integer_field("key", stored=False, indexed=True, fast=True)
        self._schema = text_fields(builder).build()
        self._lock = threading.Lock()
        # The number of terms in each field of each visible chunk, and of those to come; None = to be removed.
        self._lengths: dict[int, tuple[int, ...]] = {}
        self._pending: dict[int, tuple[int, ...] | None] = {}
        self._totals = [0] * len(FIELDS)
        # What the library counts where that is not what is visible.
        self._raw: RawCounts | None = None
        self._start()
        self._counted: dict[Term, int] = {}
        self._filters: ArrayCache[_Allowed] = ArrayCache(_FILTERS_KEPT)

    def _start(self) -> None:
        """An index without anything in it, nor any memory of what was."""
        self._index = Index(self._schema)
        register_tokenizer(self._index)
        # One thread: segments are the same each time.
        self._writer = self._index.writer(_WRITER_BYTES, 1)
        self._searcher = self._index.searcher()
        self._removed = False

    def add(self, entries: Iterable[LexicalEntry]) -> None:
        """See ``LexicalIndex``."""
        with self._lock:
            for entry in entries:
                self._delete(entry.key)
                document, lengths = document_of(entry, self._analysis)
                self._writer.add_document(document)
                self._pending[entry.key] = lengths

    def remove(self, keys: Iterable[int]) -> None:
        """See ``LexicalIndex``."""
        with self._lock:
            for key in map(int, keys):
                self._delete(key)

    def _delete(self, key: int) -> None:
        there = self._pending[key] is not None if key in self._pending else key in self._lengths
        if there:
            self._writer.delete_documents_by_term("key", key)
            self._pending[key] = None
            self._removed = True

    def commit(self) -> None:
        """See ``LexicalIndex``."""
        with self._lock:
            if not self._pending:
                return
            for key, lengths in self._pending.items():
                self._count(self._lengths.pop(key, None), -1)
                if lengths is not None:
                    self._lengths[key] = lengths
                    self._count(lengths, 1)
            self._pending = {}
            if not self._lengths:
                self._start()
            self._show()
            self._level()

    def _count(self, lengths: tuple[int, ...] | None, sign: int) -> None:
        for at, length in enumerate(lengths or ()):
            self._totals[at] += sign * length

    def _show(self) -> None:
        self._writer.commit()
        self._index.reload()
        self._searcher = self._index.searcher()
        self._counted.clear()
        self._filters.clear()

    def _level(self) -> None:
        """Bring the averages to where they should be, if the library's own are not there by themselves."""
        self._raw = None
        if not self._lengths or not (self._removed or self._wanted):
            return
        chunks = len(self._lengths)
        own = FieldLengths(*(total / chunks for total in self._totals))
        wanted = self._wanted or own
        raw = raw_counts(self._searcher, self._schema)
        if raw.chunks > 4 * (chunks + 2_000):
            # Gone before new ballast is weighed: that would make up for what may vanish with the same commit.
            self._writer.delete_documents_by_term("key", BALLAST_KEY)
            self._show()
            raw = raw_counts(self._searcher, self._schema)
        for _ in range(_LEVELLINGS):
            if not add_ballast(self._writer, raw, wanted):
                break
            self._show()
            # What the library merges meanwhile takes removed chunks out of its counts.
            raw = raw_counts(self._searcher, self._schema)
        self._raw = raw

    def search(
        self, query: str, k: int, allowed: Keys | None = None, statistics: CorpusStatistics | None = None
    ) -> list[tuple[int, float]]:
        """See ``LexicalIndex``."""
        terms = query_terms(self._analysis, self._weights, query)
        if not terms or k < 1 or (allowed is not None and not len(allowed)):
            return []
        with self._lock:
            searcher, everything = self._searcher, len(self._lengths)
            raw = self._raw_statistics(terms)
            if statistics is None:
                statistics = raw if self._raw is None else self._statistics(terms)
            filter_ = None if allowed is None else self._filters.derived(allowed, lambda: self._filter(allowed))
        matching = scoring_query(self._schema, terms, raw, statistics)
        if matching is None:
            return []
        if filter_ is not None and filter_.clause is not None:
            matching = Query.boolean_query([(Occur.Must, matching), (Occur.Must, filter_.clause)])
            filter_ = None

        def fetch(limit: int) -> tuple[Ids, Scores]:
            hits = searcher.search(matching, min(limit, everything), count=False).hits
            keys = searcher.fast_field_values("key", [at for _, at in hits])
            return np.array(keys, dtype=np.int64), np.array([score for score, _ in hits], dtype=np.float64)

        if filter_ is None:
            return best(fetch, k)
        return best(fetch, k, filter_.accept, share=min(1.0, len(filter_.keys) / max(1, everything)))

    def full_match(self, query: str, statistics: CorpusStatistics | None = None) -> float:
        """See ``LexicalIndex``."""
        terms = query_terms(self._analysis, self._weights, query)
        return full_match(terms, self.statistics(query) if statistics is None else statistics)

    def statistics(self, query: str) -> CorpusStatistics:
        """See ``LexicalIndex``."""
        with self._lock:
            return self._statistics(query_terms(self._analysis, self._weights, query))

    def _raw_statistics(self, terms: list[QueryTerm]) -> CorpusStatistics:
        """As the library counts: with what was removed and not merged away yet, and with ballast."""
        chunks = len(self._lengths) if self._raw is None else self._raw.chunks
        return CorpusStatistics(chunks, {each.term: self._searcher.doc_freq(*each.term) for each in terms})

    def _statistics(self, terms: list[QueryTerm]) -> CorpusStatistics:
        return CorpusStatistics(len(self._lengths), {each.term: self._holding(each.term) for each in terms})

    def _holding(self, term: Term) -> int:
        """How many visible chunks hold a term."""
        among: int = self._searcher.doc_freq(*term)
        if not among or self._raw is None:
            return among
        if term not in self._counted:
            query = Query.term_query(self._schema, *term, "freq")
            found = self._searcher.aggregate(query, {"chunks": {"value_count": {"field": "key"}}})
            self._counted[term] = int(found["chunks"]["value"])
        return self._counted[term]

    def _filter(self, allowed: Keys) -> _Allowed:
        keys = np.unique(allowed)
        clause = None
        if len(keys) <= _WEAK * len(self._lengths):
            clause = Query.const_score_query(Query.term_set_query(self._schema, "key", keys.tolist()), 0.0)
        return _Allowed(keys, clause)

    def keys(self) -> Keys:
        """See ``LexicalIndex``."""
        with self._lock:
            return np.array(sorted(self._lengths), dtype=np.int64)

    def __len__(self) -> int:
        """See ``LexicalIndex``."""
        with self._lock:
            return len(self._lengths)


def document_of(entry: LexicalEntry, analysis: Analysis) -> tuple[tantivy.Document, tuple[int, ...]]:
    """A chunk as the library takes it in, and the number of terms in each of its ``FIELDS``."""
    body = f"{entry.context}\n{entry.text}"
    around = f"{entry.context}\n{entry.surroundings or entry.text}"
    words = analysis.words(body)
    terms = (words, words if around == body else analysis.words(around), analysis.identifiers(body))
    document = tantivy.Document()
    document.add_integer("key", entry.key)
    for name, found in zip(FIELDS, terms, strict=True):
        if found:
            document.add_text(name, " ".join(found))
    return document, tuple(map(len, terms))
