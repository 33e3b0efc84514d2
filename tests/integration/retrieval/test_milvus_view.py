"""A view on a file of milvus-lite: strict and wide filters, long texts, and what is asked of Milvus."""

from datetime import UTC, datetime

import numpy as np
import pytest
from views import MilvusLite

from retrieval.access import EVERYTHING, Access
from retrieval.filters import DocumentFacts, parse_filter
from retrieval.view import IndexedChunk

milvus_filter = pytest.importorskip("retrieval.milvus.filter", reason="needs pymilvus", exc_type=ImportError)

DIM, DOCUMENTS = 16, 400
FILTERS = [
    {"n": 7},
    {"n": {"$lt": 1}},
    {"n": {"$gte": 3}},
    {"n": {"$lt": 200}},
    {"kind": "rare"},
    {"kind": {"$ne": "rare"}, "n": {"$gte": 250}},
    {"day": {"$gt": "2026-01-15"}},
    {"tags": "t3"},
    {"tags": {"$nin": ["t3", "t5"]}},
    {"missing": None},
    {"quote": 'say "no"] or chunk > 0'},
]
ACCESSES = [EVERYTHING, Access(frozenset()), Access(frozenset({"few"})), Access(frozenset({"many", "few"}))]


def unit(seed):
    vector = np.random.default_rng(seed).standard_normal(DIM).astype(np.float32)
    return vector / np.linalg.norm(vector)


def facts(n):
    metadata = {"n": n, "tags": [f"t{n % 7}", "all"], "day": f"2026-01-{n % 28 + 1:02}"}
    metadata |= {"kind": "rare"} if n == 123 else {"quote": 'say "no"] or chunk > 0'} if n % 50 == 0 else {}
    groups = ("few",) if n % 100 == 5 else ("many",) if n % 3 else None
    return DocumentFacts(f"d{n}", f"x{n}", f"T{n}", None, None, 1, metadata, groups, datetime(2026, 1, 1, tzinfo=UTC))


@pytest.fixture(scope="module")
def opened():
    stored = {f"d{n}": (facts(n), (IndexedChunk(n + 1, "", f"word number{n}", unit(n)),)) for n in range(DOCUMENTS)}
    lite = MilvusLite(stored, DIM)
    lite.view.put_documents(stored.values())
    yield lite.view, stored
    lite.close()


def test_the_best_that_pass_are_found_however_few_pass(opened, monkeypatch):
    view, stored = opened
    monkeypatch.setattr(milvus_filter, "MAX_LISTED", 60)
    query, checked = unit(9999), 0
    for filter_ in map(parse_filter, FILTERS):
        for access in ACCESSES:
            allowed = [
                chunks[0]
                for one, chunks in stored.values()
                if access.may_read(one.allowed_groups) and filter_.matches(one, "things")
            ]
            best = sorted(((float(chunk.vector @ query), chunk.key) for chunk in allowed), reverse=True)[:10]
            found = view.candidates("word", query, 10, access, filter_)
            assert sorted(found.dense, key=found.dense.get, reverse=True) == [key for _, key in best]
            assert found.lexical.keys() <= {chunk.key for chunk in allowed}
            assert len(found.lexical) == min(10, len(allowed))
            checked += bool(allowed)
    assert checked > 30


def test_the_share_of_a_full_match(opened):
    view, _ = opened
    assert view.candidates("word number17", None, 10, EVERYTHING, None).share > 0.7
    assert view.candidates("word and plenty of others that nothing says", None, 10, EVERYTHING, None).share < 0.2
    assert view.candidates("unheard", None, 10, EVERYTHING, None).share == 0.0


@pytest.fixture
def empty():
    stored = {}
    lite = MilvusLite(stored, DIM)
    yield lite.view, stored
    lite.close()


def put(view, stored, made, chunks):
    stored[made.id] = (made, chunks)
    view.put_documents([(made, chunks)])


def test_a_document_with_more_values_than_a_row_lists_is_filtered_all_the_same(empty):
    view, stored = empty
    many = DocumentFacts("many", "many", None, None, None, 1, {"ids": list(range(2000))})
    put(view, stored, many, (IndexedChunk(1, "", "word", unit(1)),))
    put(
        view,
        stored,
        DocumentFacts("few", "few", None, None, None, 1, {"ids": [3]}),
        (IndexedChunk(2, "", "word", unit(2)),),
    )
    for raw, keys in (({"ids": 1999}, {1}), ({"ids": 3}, {1, 2}), ({"ids": {"$ne": 1999}}, {2})):
        found = view.candidates("word", unit(1), 10, EVERYTHING, parse_filter(raw))
        assert found.dense.keys() == found.lexical.keys() == keys


def test_a_long_chunk_is_found_by_each_of_its_words(empty):
    view, stored = empty
    words = [f"слово{n}" for n in range(1500)]
    put(view, stored, facts(1), (IndexedChunk(1, "", " ".join(words * 4), unit(1)),))
    for word in (words[0], words[-1]):
        assert view.candidates(word, None, 10, EVERYTHING, None).lexical.keys() == {1}


@pytest.mark.parametrize(
    ("vector", "reason"),
    [
        (np.ones(DIM, np.float32), "length 1"),
        (np.ones(3, np.float32) / 3**0.5, "shape"),
        (np.full(DIM, np.nan, np.float32), "length 1"),
    ],
)
def test_a_vector_that_does_not_fit_changes_nothing(empty, vector, reason):
    view, stored = empty
    put(view, stored, facts(1), (IndexedChunk(1, "", "word", unit(1)),))
    with pytest.raises(ValueError, match=reason):
        view.put_documents([(facts(2), [IndexedChunk(2, "", "word", unit(2)), IndexedChunk(3, "", "word", vector)])])
    with pytest.raises(ValueError, match="given twice"):
        view.put_documents([(facts(2), [IndexedChunk(2, "", "word", None)] * 2)])
    assert view.lexical_keys().tolist() == [1]
