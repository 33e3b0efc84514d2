"""Ballast: chunks without words that hold the average length of a field where it should be.

BM25 compares a chunk's length with the average of its index. The library works that average out by itself, from all that was
ever added and not yet merged away, so two things would shift it: chunks that were removed, and being one part of several (a few
short notes beside a million long chunks would each count as of average length). A field is brought to its average by adding
some empty chunks and one that is as long as needed. No query can ask for what it holds.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import tantivy
from tantivy import Document, IndexWriter, Query, Schema

from retrieval.lexical.scoring import FIELDS, FieldLengths

# No analysis leaves a sign.
_WORD = "."
BALLAST_KEY = -1

# How far an average may be off: a score is then off by less than half of it.
_TOLERANCE = 1e-4
# More empty chunks than that are not added for the sake of the rounding to whole terms.
_MOST_FOR_ROUNDING = 2_000


@dataclass(frozen=True, slots=True)
class RawCounts:
    """What the library scores by: the chunks it counts, and the average number of terms of each field."""

    chunks: int
    lengths: FieldLengths


def raw_counts(searcher: tantivy.Searcher, schema: Schema) -> RawCounts:
    """Read from the library's explanation of a match with ballast; no chunks where there is no ballast yet."""
    hits = searcher.search(Query.term_query(schema, FIELDS[0], _WORD, "freq"), 1, count=False).hits
    if not hits:
        return RawCounts(0, FieldLengths(0, 0, 0))
    averages = []
    chunks = 0
    for name in FIELDS:
        explained = Query.term_query(schema, name, _WORD, "freq").explain(searcher, hits[0][1])
        numbers = dict(_numbers(json.loads(explained.to_json())))
        chunks = round(numbers["N"])
        averages.append(numbers["avgdl"])
    return RawCounts(chunks, FieldLengths(*averages))


def add_ballast(writer: IndexWriter, raw: RawCounts, wanted: FieldLengths) -> bool:
    """Add what brings the averages to ``wanted``; false when they are there already."""
    pairs = list(zip(raw.lengths.as_tuple(), wanted.as_tuple(), strict=True))
    if raw.chunks and all(_close(average, target, raw.chunks) for average, target in pairs):
        return False
    terms = [average * raw.chunks for average, _ in pairs]
    # The least number of chunks with which no field has too many terms already, and rounding does not matter.
    chunks = raw.chunks + 1
    for total, (_, target) in zip(terms, pairs, strict=True):
        if target > 0:
            rounding = min(1 / (_TOLERANCE * target), raw.chunks + _MOST_FOR_ROUNDING)
            chunks = max(chunks, math.ceil((total + 1) / target), math.ceil(rounding))
    lacking = [max(1, round(target * chunks - total)) for total, (_, target) in zip(terms, pairs, strict=True)]
    writer.add_document(ballast_chunk(lacking))
    for _ in range(chunks - raw.chunks - 1):
        writer.add_document(ballast_chunk([0] * len(FIELDS)))
    return True


def _close(average: float, target: float, chunks: int) -> bool:
    # Where no chunk has a term in a field, its length is never looked at.
    return target == 0 or abs(average - target) * chunks <= max(_TOLERANCE * target * chunks, 0.6)


def ballast_chunk(lengths: list[int]) -> Document:
    """A chunk with so many terms in each field, none of which can be asked for."""
    document = Document()
    document.add_integer("key", BALLAST_KEY)
    for name, length in zip(FIELDS, lengths, strict=True):
        if length:
            document.add_text(name, " ".join([_WORD] * length))
    return document


def _numbers(explanation: dict[str, Any]) -> Iterator[tuple[str, float]]:
    """The named numbers of an explanation: "N, total number of docs" -> ("N", ...)."""
    yield explanation["description"].split(",")[0], explanation["value"]
    for part in explanation.get("details") or ():
        yield from _numbers(part)
