"""The rows of an index in Milvus: one for each chunk, with its vector, its terms, and what permissions and filters look at.

The text is analysed here, by the analyzer of the lexical index in this process, and Milvus counts the terms that it is given:
stemming is then the same on every Milvus, and milvus-lite has none of its own.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from retrieval.facts.value_keys import moment_key
from retrieval.filters import DOCUMENT_FIELDS, DocumentFacts, comparable, field_values
from retrieval.lexical.analysis import Analysis
from retrieval.milvus.connection import Row
from retrieval.surroundings import places, surrounded_vectors, surrounding_texts
from retrieval.terms import utf8
from retrieval.view import IndexedChunk

# A row that is not replaced yet is seen until this publication.
LIVE = 2**62
# Milvus takes texts of 65,535 bytes; only the repeats and then the rarest places of a very long chunk are cut.
TERMS_BYTES = 65_000
MAX_TAGS = 1_000
MAX_GROUPS = 1_000
# The chunk number of the row that stands for a document without chunks.
NO_CHUNK = -1

MAX_QUERY_CHARS = 8_000
MAX_QUERY_TERMS = 256


def document_rows(
    facts: DocumentFacts, chunks: Sequence[IndexedChunk], dim: int, stamp: int, analysis: Analysis
) -> tuple[list[Row], bool]:
    """A document's rows as publication ``stamp`` shows them, and whether all that filters look at is in them.

    Raises ``ValueError`` for a vector that is not of length 1 (within .001) or not of ``dim`` numbers.
    """
    tags, complete = document_tags(facts)
    shared: Row = {
        "document": facts.id,
        "since": stamp,
        "until": LIVE,
        "everyone": facts.allowed_groups is None,
        "groups": sorted({group_tag(group) for group in facts.allowed_groups or ()})[:MAX_GROUPS],
        "tags": tags,
    }
    nowhere = np.zeros(dim, dtype=np.float32)
    nowhere[0] = 1.0
    if not chunks:
        row = {"id": f"{facts.id}.{stamp}", "chunk": NO_CHUNK, "place": 0, "embedded": False, "terms": ""}
        return [{**shared, **row, "dense": nowhere}], complete
    for chunk in chunks:
        _check(chunk.vector, dim)
    vectors = surrounded_vectors([chunk.vector for chunk in chunks])
    around = surrounding_texts([chunk.text for chunk in chunks], [chunk.repeated for chunk in chunks])
    numbers = places([chunk.page for chunk in chunks], [len(chunk.text) - chunk.repeated for chunk in chunks])
    rows = []
    for chunk, vector, surroundings, place in zip(chunks, vectors, around, numbers, strict=True):
        row = {
            "id": f"{chunk.key}.{stamp}",
            "chunk": chunk.key,
            "place": place,
            "embedded": vector is not None,
            "terms": " ".join(_within_limit(chunk_terms(chunk.context, chunk.text, surroundings, analysis))),
            "dense": nowhere if vector is None else np.asarray(vector, dtype=np.float32),
        }
        rows.append({**shared, **row})
    return rows, complete


def _check(vector: Any, dim: int) -> None:
    if vector is None:
        return
    if np.shape(vector) != (dim,):
        raise ValueError(f"a vector has the shape {np.shape(vector)} and must have ({dim},)")
    if not abs(float(np.linalg.norm(vector)) - 1.0) <= 1e-3:
        raise ValueError("vectors must be finite and of length 1")


def chunk_terms(context: str, text: str, surroundings: str, analysis: Analysis) -> list[str]:
    """What a chunk is found by: the terms of its context and text, again with what stands around it, and its identifiers.

    Its own terms so count twice and its neighbours' once, as in the two fields of the index in this process.
    """
    body = f"{context}\n{text}"
    own = [_safe(term) for term in analysis.words(body)]
    with_neighbours = [_safe(term) for term in analysis.words(f"{context}\n{surroundings}")]
    return own + with_neighbours + [_identifier(word) for word in analysis.identifiers(utf8(body))]


def query_terms(query: str, analysis: Analysis) -> tuple[Counter[str], list[str]]:
    """The terms that a query asks for, each with how often, and the identifiers in it."""
    text = utf8(query[:MAX_QUERY_CHARS])
    counted = Counter(_safe(term) for term in analysis.asked(text))
    whole = list(dict.fromkeys(_identifier(word) for word in analysis.identifiers(text)))
    return Counter(dict(list(counted.items())[:MAX_QUERY_TERMS])), whole[:MAX_QUERY_TERMS]


def _safe(term: str) -> str:
    """A term in letters and digits of ASCII, which no tokenizer of any Milvus splits or changes."""
    return term if term.isascii() and term.isalnum() and len(term) <= 32 else "q" + _hashed(term, 8)


def _identifier(word: str) -> str:
    return "i" + _hashed(word, 8)


def _within_limit(terms: Sequence[str]) -> list[str]:
    if sum(len(term) + 1 for term in terms) <= TERMS_BYTES:
        return list(terms)
    first = list(dict.fromkeys(terms))
    repeats = (Counter(terms) - Counter(first)).elements()
    kept, size = [], 0
    for term in (*first, *repeats):
        size += len(term) + 1
        if size > TERMS_BYTES:
            break
        kept.append(term)
    return kept


def group_tag(group: str) -> str:
    """A group's name as the rows have it: 128 bits of its hash, so that no name can be read as part of an expression."""
    return _hashed(group, 16)


def value_tag(name: str, value: Any) -> str | None:
    """What stands for "field ``name`` has this value"; equal for two values exactly when a filter takes them as equal.

    ``None`` for a value that equals nothing, such as an object.
    """
    if value is None:
        return _hashed(f"{name}\0none", 12)
    kind, compared = comparable(value)
    if kind == "other":
        return None
    if kind == "moment":
        compared = moment_key(compared).hex()  # the same in every zone
    elif kind == "number" and isinstance(compared, float) and compared.is_integer():
        compared = int(compared)
    return _hashed(f"{name}\0{kind}\0{compared!r}", 12)


def field_tag(name: str) -> str:
    """What stands for "the document has a field ``name``"."""
    return _hashed(f"{name}\0", 12)


def document_tags(facts: DocumentFacts) -> tuple[list[str], bool]:
    """The tags of all of a document's fields; not complete where there are more than ``MAX_TAGS``, and then empty."""
    tags: set[str] = set()
    for name in _field_names(facts.metadata):
        tags.add(field_tag(name))
        for value in field_values(facts, "", name):
            tag = value_tag(name, value)
            if tag is not None:
                tags.add(tag)
        if len(tags) > MAX_TAGS:
            return [], False
    return sorted(tags), True


def _field_names(metadata: Mapping[str, Any]) -> Iterator[str]:
    yield from sorted(DOCUMENT_FIELDS - {"collection"})
    for name in dict.fromkeys(_paths(metadata, "")):
        if name not in DOCUMENT_FIELDS:
            yield name


def _paths(values: Mapping[str, Any], prefix: str) -> Iterable[str]:
    for name, value in values.items():
        yield prefix + name
        if isinstance(value, Mapping):
            yield from _paths(value, f"{prefix}{name}.")


def _hashed(text: str, size: int) -> str:
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=size).hexdigest()
