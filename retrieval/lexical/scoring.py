"""BM25 over several parts: what a query's terms weigh when the chunks are in more than one index.

The library scores each part by that part's own statistics. A term's inverse document frequency is a factor of its score, so a
term's weight times idf(all) / idf(part) gives what one index over everything would, but for the average length of a field.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TypeAlias

from tantivy import Index, Occur, Query, Schema, SchemaBuilder, TextAnalyzerBuilder, Tokenizer

from retrieval.lexical.analysis import Analysis

# A field's name and a term in it.
Term: TypeAlias = tuple[str, str]

BODY, SURROUNDINGS, IDENTIFIERS = FIELDS = ("body", "surroundings", "identifiers")

_MAX_QUERY_CHARS = 8_000
_MAX_QUERY_TERMS = 256


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


@dataclass(frozen=True, slots=True)
class FieldLengths:
    """The average number of terms of a chunk in each field."""

    body: float
    surroundings: float
    identifiers: float

    def as_tuple(self) -> tuple[float, float, float]:
        """The averages in the order of ``FIELDS``."""
        return self.body, self.surroundings, self.identifiers


@dataclass(frozen=True, slots=True)
class CorpusStatistics:
    """How many chunks there are, and how many of them hold each term of one query; those of several parts are added.

    A number need not be whole: some are estimates.
    """

    chunks: float = 0
    frequencies: Mapping[Term, float] = field(default_factory=lambda: MappingProxyType({}))

    def __add__(self, other: CorpusStatistics) -> CorpusStatistics:
        """The statistics of both parts together, for the same query."""
        terms = self.frequencies.keys() | other.frequencies.keys()
        return CorpusStatistics(
            self.chunks + other.chunks,
            {term: self.frequencies.get(term, 0) + other.frequencies.get(term, 0) for term in terms},
        )

    def idf(self, term: Term) -> float:
        """A term's inverse document frequency as BM25 has it, ln(1 + (N - n + .5) / (n + .5))."""
        holding = self.frequencies.get(term, 0)
        chunks = max(self.chunks, holding)
        return math.log1p((chunks - holding + 0.5) / (holding + 0.5))


@dataclass(frozen=True, slots=True)
class QueryTerm:
    """A term that a query asks for, and what it weighs before its inverse document frequency."""

    field: str
    text: str
    weight: float

    @property
    def term(self) -> Term:
        """The field and the term."""
        return self.field, self.text


def query_terms(analysis: Analysis, weights: FieldWeights, query: str) -> list[QueryTerm]:
    """What a query asks for: of a long one the first 8,000 characters and 256 distinct words.

    A word that is asked twice counts twice, as in BM25's sum over the query's terms.
    """
    query = query[:_MAX_QUERY_CHARS]
    found = []
    for word, count in list(Counter(analysis.asked(query)).items())[:_MAX_QUERY_TERMS]:
        for name, weight in ((BODY, weights.body), (SURROUNDINGS, weights.surroundings)):
            if weight:
                found.append(QueryTerm(name, word, weight * count))
    if weights.identifiers:
        whole = list(dict.fromkeys(analysis.identifiers(query)))[:_MAX_QUERY_TERMS]
        found += [QueryTerm(IDENTIFIERS, word, weights.identifiers) for word in whole]
    return found


def scoring_query(
    schema: Schema, terms: Sequence[QueryTerm], raw: CorpusStatistics, statistics: CorpusStatistics
) -> Query | None:
    """The query whose scores in a part are as ``statistics`` say, where the library counts as in ``raw``.

    ``None`` when the part holds none of the terms.
    """
    clauses = []
    for each in terms:
        if not raw.frequencies.get(each.term):
            continue
        query = Query.term_query(schema, each.field, each.text, "freq")
        boost = each.weight
        if statistics is not raw:
            boost *= statistics.idf(each.term) / raw.idf(each.term)
        clauses.append((Occur.Should, query if boost == 1.0 else Query.boost_query(query, boost)))
    return Query.boolean_query(clauses) if clauses else None


def full_match(terms: Sequence[QueryTerm], statistics: CorpusStatistics) -> float:
    """About the score of a chunk of average length that holds each term once, whole identifiers left out."""
    return sum(each.weight * statistics.idf(each.term) for each in terms if each.field != IDENTIFIERS)


def text_fields(builder: SchemaBuilder) -> SchemaBuilder:
    """The fields of terms, which come analysed, with spaces between."""
    for name in FIELDS:
        builder = builder.add_text_field(name, tokenizer_name="whitespace", index_option="freq")
    return builder


def register_tokenizer(index: Index) -> None:
    """Make an index split its text fields at spaces and do nothing else."""
    index.register_tokenizer("whitespace", TextAnalyzerBuilder(Tokenizer.whitespace()).build())
