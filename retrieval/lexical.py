"""The lexical index: chunks by key, searched by BM25; the only file that knows tantivy."""

from __future__ import annotations

import math
import re
import threading
from collections import Counter, OrderedDict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import tantivy
from numpy.typing import NDArray
from tantivy import Filter, Index, Occur, Query, SchemaBuilder, TextAnalyzer, TextAnalyzerBuilder, Tokenizer

from retrieval.terms import utf8

Keys = NDArray[np.int64]

_MAX_QUERY_CHARS = 8_000
_MAX_QUERY_TERMS = 256
_FILTERS_KEPT = 64
_WRITER_BYTES = 64_000_000
_LONGEST_TOKEN = 80

# Letters and digits joined by signs within one word: "EX-104", "Zeta-7", "v2.1", "10.5281/zenodo", "1,500".
_JOINED = re.compile(r"\w+(?:[-./:,_]\w+)*")
_SIGNS = re.compile(r"[-./:,_]")


@dataclass(frozen=True, slots=True)
class LexicalEntry:
    """One chunk: ``context`` is its document's title and heading path, ``text`` its own words.

    ``surroundings`` is ``text`` with what stands before and after it; empty means that nothing does.
    """

    key: int
    context: str
    text: str
    surroundings: str = ""


@dataclass(frozen=True, slots=True)
class FieldWeights:
    """What a match counts: in context and text, in context and surroundings, and as a whole identifier."""

    body: float = 0.5
    surroundings: float = 0.5
    identifiers: float = 0.5


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

    def search(self, query: str, k: int, allowed: Keys | None = None) -> list[tuple[int, float]]:
        """The ``k`` best keys by BM25, best first, with their score (> 0); chunks that share no term are left
        out.

        ``query`` is any text and never raises: it has no syntax. With ``allowed`` nothing else is scored.
        """
        ...

    def full_match(self, query: str) -> float:
        """About the score of a chunk of average length that holds each term of ``query`` once: the sum of the
        terms' inverse document frequencies. 0 for a query without terms.
        """
        ...

    def keys(self) -> Keys:
        """All visible keys, ascending."""
        ...

    def __len__(self) -> int:
        """How many chunks are visible."""
        ...


class TantivyLexical:
    """A tantivy index in main memory, or in ``directory`` (one process at a time: tantivy locks it).

    BM25 with tantivy's k1 = 1.2 and b = .75. Words are split at everything that is no letter or digit,
    lower-cased, freed of accents and stemmed (English). No stop words are dropped: inverse document frequency
    makes them weigh next to nothing, and "The Who" or "IT" can be found. Words that hold a digit are also
    indexed whole in a field of their own, so that "EX-104" ranks before a text with "EX" here and "104"
    there; the signs within do not count ("EX104" finds "EX-104").

    Of a long query the first 8,000 characters and 256 distinct terms are used.
    """

    def __init__(self, directory: Path | None = None, weights: FieldWeights | None = None) -> None:
        self._weights = weights or FieldWeights()
        self._analyzer = _analyzer()
        builder = SchemaBuilder().add_integer_field("key", stored=False, indexed=True, fast=True)
        for field in ("body", "surroundings"):
            builder = builder.add_text_field(field, tokenizer_name="english", index_option="freq")
        builder = builder.add_text_field("identifiers", tokenizer_name="whitespace", index_option="freq")
        self._schema = builder.build()
        if directory is not None:
            directory.mkdir(parents=True, exist_ok=True)
        self._index = Index(self._schema, path=None if directory is None else str(directory))
        self._index.register_tokenizer("english", self._analyzer)
        self._index.register_tokenizer("whitespace", TextAnalyzerBuilder(Tokenizer.whitespace()).build())
        # One thread: segments, and so the order of equal scores, are the same each time.
        self._writer = self._index.writer(_WRITER_BYTES, 1)
        self._lock = threading.Lock()
        self._pending: dict[int, bool] = {}
        self._searcher = self._index.searcher()
        self._keys: set[int] = self._stored_keys()
        self._filters: OrderedDict[int, tuple[Keys, tuple[Occur, Query]]] = OrderedDict()

    def _stored_keys(self) -> set[int]:
        total = self._searcher.num_docs
        if not total:
            return set()
        hits = self._searcher.search(Query.all_query(), total, count=False).hits
        return {int(key) for key in self._searcher.fast_field_values("key", [at for _, at in hits]) if key is not None}

    def add(self, entries: Iterable[LexicalEntry]) -> None:
        """See ``LexicalIndex``."""
        with self._lock:
            for entry in entries:
                if self._pending.get(entry.key, entry.key in self._keys):
                    self._writer.delete_documents_by_term("key", entry.key)
                document = tantivy.Document()
                document.add_integer("key", entry.key)
                context = utf8(entry.context)
                body = f"{context}\n{utf8(entry.text)}"
                document.add_text("body", body)
                around = utf8(entry.surroundings or entry.text)
                document.add_text("surroundings", f"{context}\n{around}")
                document.add_text("identifiers", " ".join(identifiers(body)))
                self._writer.add_document(document)
                self._pending[entry.key] = True

    def remove(self, keys: Iterable[int]) -> None:
        """See ``LexicalIndex``."""
        with self._lock:
            for key in map(int, keys):
                if self._pending.get(key, key in self._keys):
                    self._writer.delete_documents_by_term("key", key)
                    self._pending[key] = False

    def commit(self) -> None:
        """See ``LexicalIndex``."""
        with self._lock:
            if not self._pending:
                return
            self._writer.commit()
            self._index.reload()
            self._searcher = self._index.searcher()
            self._keys = (self._keys - self._pending.keys()) | {key for key, there in self._pending.items() if there}
            self._pending = {}
            self._filters.clear()

    def search(self, query: str, k: int, allowed: Keys | None = None) -> list[tuple[int, float]]:
        """See ``LexicalIndex``."""
        matching = self._query(query)
        if matching is None or k < 1 or (allowed is not None and not len(allowed)):
            return []
        with self._lock:
            searcher = self._searcher
            if allowed is not None:
                matching = Query.boolean_query([(Occur.Must, matching), self._filter(allowed)])
        hits = searcher.search(matching, k, count=False).hits
        keys = searcher.fast_field_values("key", [at for _, at in hits])
        return [(int(key), float(score)) for key, (score, _) in zip(keys, hits, strict=True) if key is not None]

    def full_match(self, query: str) -> float:
        """See ``LexicalIndex``; idf as BM25 has it, ln(1 + (N - n + .5) / (n + .5))."""
        with self._lock:
            searcher = self._searcher
        total = 0.0
        for field, term, weight in self._weighted_terms(utf8(query[:_MAX_QUERY_CHARS])):
            holding = searcher.doc_freq(field, term)
            # A deleted chunk is counted in ``doc_freq`` until its segment is merged.
            chunks = max(searcher.num_docs, holding)
            total += weight * math.log(1.0 + (chunks - holding + 0.5) / (holding + 0.5))
        return total

    def _weighted_terms(self, text: str) -> Iterator[tuple[str, str, float]]:
        # A term that is asked twice counts twice, as in BM25's sum over the query's terms.
        for term, count in list(Counter(self._analyzer.analyze(text)).items())[:_MAX_QUERY_TERMS]:
            for field, weight in (("body", self._weights.body), ("surroundings", self._weights.surroundings)):
                if weight:
                    yield field, term, weight * count

    def _query(self, text: str) -> Query | None:
        text = utf8(text[:_MAX_QUERY_CHARS])
        weights = self._weights
        clauses = [(Occur.Should, self._term(*weighted)) for weighted in self._weighted_terms(text)]
        if weights.identifiers:
            clauses += [
                (Occur.Should, self._term("identifiers", term, weights.identifiers))
                for term in list(dict.fromkeys(identifiers(text)))[:_MAX_QUERY_TERMS]
            ]
        return Query.boolean_query(clauses) if clauses else None

    def _term(self, field: str, term: str, boost: float) -> Query:
        query = Query.term_query(self._schema, field, term, "freq")
        return query if boost == 1.0 else Query.boost_query(query, boost)

    def _filter(self, allowed: Keys) -> tuple[Occur, Query]:
        """The clause that keeps to ``allowed``: what must match or, if that is less, what must not."""
        kept = self._filters.get(id(allowed))
        if kept is not None and kept[0] is allowed:
            self._filters.move_to_end(id(allowed))
            return kept[1]
        inside = set(allowed.tolist())
        outside = self._keys - inside if 2 * len(inside) > len(self._keys) else None
        listed, occur = (inside, Occur.Must) if outside is None else (outside, Occur.MustNot)
        terms = Query.term_set_query(self._schema, "key", sorted(listed)) if listed else Query.empty_query()
        clause = (occur, Query.const_score_query(terms, 0.0))
        if not allowed.flags.writeable:  # an array that may change must be read anew each time
            self._filters[id(allowed)] = (allowed, clause)
            if len(self._filters) > _FILTERS_KEPT:
                self._filters.popitem(last=False)
        return clause

    def keys(self) -> Keys:
        """See ``LexicalIndex``."""
        with self._lock:
            return np.array(sorted(self._keys), dtype=np.int64)

    def __len__(self) -> int:
        """See ``LexicalIndex``."""
        with self._lock:
            return len(self._keys)


def identifiers(text: str) -> list[str]:
    """Words that hold a digit, whole, lower-cased and without the signs within: "EX-104" -> "ex104"."""
    found = []
    for word in _JOINED.findall(text):
        # The first question takes no time, and answers for most words.
        if not word.isalpha() and any(character.isdigit() for character in word):
            bare = _SIGNS.sub("", word).lower()
            if len(bare) <= _LONGEST_TOKEN:
                found.append(bare)
    return found


def _analyzer() -> TextAnalyzer:
    builder = TextAnalyzerBuilder(Tokenizer.simple())
    for step in (
        Filter.remove_long(_LONGEST_TOKEN),
        Filter.lowercase(),
        Filter.ascii_fold(),
        Filter.stemmer("english"),
    ):
        builder = builder.filter(step)
    return builder.build()
