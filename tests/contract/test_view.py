"""Every implementation of a view gives, after any operations, the answers of a model that looks at everything.

Dense: the same chunks with the same cosines. Lexical: the same chunks, as long as not more match than are asked for, and an order
in which no chunk comes before one that holds at least as much of every term in no more words; the scores themselves are each
engine's own, for they count documents differently. What may not be read, or a filter keeps out, is in neither.
"""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime

import numpy as np
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from views import IMPLEMENTATIONS

from retrieval.access import EVERYTHING, Access
from retrieval.filters import DocumentFacts, parse_filter
from retrieval.lexical.analysis import Analysis
from retrieval.ranking.views import search_views
from retrieval.surroundings import places, surrounded_vectors, surrounding_texts
from retrieval.view import IndexedChunk

DIM = 8
WORDS = ["runs", "running", "holiday", "EX-104", "EX", "104", "Größe", "привет", "東京", "the", "v2.1", "alpha", "beta"]
IDS = ["a", "b", "c", "d", "e"]
GROUPS = [None, (), ("hr",), ("eng",), ("hr", "eng")]
METADATA = [
    {},
    {"dept": "hr", "day": "2026-01-31"},
    {"dept": ["hr", "it"], "day": "2026-02-01T12:00:00+02:00"},
    {"dept": 3, "level": 1},
    {"dept": "3", "level": True, "title": "own"},
    {"dept": {"inner": "deep"}, "level": None, "day": "soon"},
    {"dept.inner": "flat", "level": 2.5},
]
FILTERS = [
    {"dept": "hr"},
    {"dept": {"$ne": "hr"}},
    {"dept": None},
    {"dept": {"$in": ["hr", 3, None]}},
    {"dept": {"$nin": ["hr", 3]}},
    {"dept": 3.0},
    {"dept.inner": {"$in": ["deep", "flat"]}},
    {"metadata.dept": "hr"},
    {"metadata.title": "own"},
    {"title": "c"},
    {"level": 1},
    {"level": True},
    {"level": {"$gte": 1}},
    {"day": "2026-02-01T10:00:00Z"},
    {"day": {"$gt": "2026-01-31"}, "dept": {"$ne": None}},
    {"version": {"$lt": 2}},
    {"created_at": {"$lte": "2026-01-02"}},
    {"collection": "things", "dept": {"$in": []}},
    {"collection": {"$ne": "things"}},
]
ANALYSIS = Analysis()
ACCESSES = [EVERYTHING, Access(frozenset()), Access(frozenset({"hr"})), Access(frozenset({"eng", "none"}))]

texts = st.lists(st.sampled_from(WORDS), min_size=1, max_size=6).map(" ".join)
documents = st.fixed_dictionaries(
    {
        "texts": st.lists(texts, max_size=4),
        "groups": st.sampled_from(GROUPS),
        "metadata": st.sampled_from(METADATA),
        "pages": st.booleans(),
        "bare": st.integers(0, 4),  # the chunk that has no vector
        "seed": st.integers(0, 2**16),
    }
)


class ViewMachine(RuleBasedStateMachine):
    """Random operations on a view and on the model, which is the dictionary ``stored``."""

    implementation_name = "memory"

    def __init__(self):
        super().__init__()
        self.stored = {}
        self.next_key = 1
        self.implementation = IMPLEMENTATIONS[self.implementation_name](self.stored, DIM)

    def teardown(self):
        self.implementation.close()

    @property
    def view(self):
        return self.implementation.view

    def _document(self, id_, made):
        version = self.stored[id_][0].version + 1 if id_ in self.stored else 1
        created = datetime(2026, 1, 1 + IDS.index(id_), tzinfo=UTC)
        facts = DocumentFacts(
            id_, f"x/{id_}", id_, None, "text/plain", version, made["metadata"], made["groups"], created
        )
        random = np.random.default_rng(made["seed"])
        chunks = []
        for at, text in enumerate(made["texts"]):
            vector = random.standard_normal(DIM).astype(np.float32)
            vector /= np.linalg.norm(vector)
            page = at // 2 + 1 if made["pages"] else None
            chunks.append(
                IndexedChunk(self.next_key, f"Title {id_}", text, None if at == made["bare"] else vector, page)
            )
            self.next_key += 1
        return facts, tuple(chunks)

    @initialize(made=st.lists(documents, min_size=2, max_size=2))
    def begin(self, made):
        self.put(dict(zip(IDS, made, strict=False)))

    @rule(made=st.dictionaries(st.sampled_from(IDS), documents, min_size=1, max_size=3))
    def put(self, made):
        new = {id_: self._document(id_, one) for id_, one in made.items()}
        self.view.put_documents(new.values())
        self.stored.update(new)

    @rule(ids=st.lists(st.sampled_from(IDS), max_size=2))
    def remove(self, ids):
        assert self.view.remove_documents(ids) == len(set(ids) & self.stored.keys())
        for id_ in ids:
            self.stored.pop(id_, None)

    @rule(id_=st.sampled_from(IDS), groups=st.sampled_from(GROUPS), metadata=st.sampled_from(METADATA))
    def change_facts(self, id_, groups, metadata):
        old = self.stored.get(id_)
        created = datetime(2026, 1, 1, tzinfo=UTC)
        facts = DocumentFacts(id_, f"x/{id_}", id_, None, "text/plain", 1, metadata, groups, created)
        if old is not None:
            # As an update of a document's attributes does it: the same chunks, put once more.
            self.view.put_documents([(facts, old[1])])
            self.stored[id_] = (facts, old[1])
            for raw in FILTERS[:5]:
                condition = parse_filter(raw)
                found = self.view.candidates("", np.eye(DIM, dtype=np.float32)[0], 100, EVERYTHING, condition)
                passing = [chunks for facts, chunks in self.stored.values() if condition.matches(facts, "things")]
                assert found.dense.keys() == {c.key for chunks in passing for c in chunks if c.vector is not None}

    @precondition(lambda self: any(chunks for _, chunks in self.stored.values()))
    @rule(made=documents)
    def refuse_a_key_of_another(self, made):
        owner, key = next((id_, chunks[0].key) for id_, (_, chunks) in self.stored.items() if chunks)
        other = next(id_ for id_ in IDS if id_ != owner)
        facts, _ = self._document(other, made)
        with pytest.raises(ValueError, match=f"chunk key {key} belongs to document {owner}"):
            self.view.put_documents([(facts, [IndexedChunk(key, "", "stolen", None)])])

    @rule()
    def reopen(self):
        self.implementation.reopen()

    @rule(made=documents, id_=st.sampled_from(IDS))
    def crash(self, made, id_):
        self.implementation.crash(lambda view: view.put_documents([self._document(id_, made)]))

    @rule(
        query=texts,
        seed=st.integers(0, 2**16),
        access=st.sampled_from(ACCESSES),
        filter_=st.none() | st.sampled_from(FILTERS),
        depth=st.sampled_from([2, 100]),
    )
    def search(self, query, seed, access, filter_, depth):
        condition = None if filter_ is None else parse_filter(filter_)
        vector = np.random.default_rng(seed).standard_normal(DIM).astype(np.float32)
        vector /= np.linalg.norm(vector)
        allowed = {
            id_: chunks
            for id_, (facts, chunks) in self.stored.items()
            if access.may_read(facts.allowed_groups) and (condition is None or condition.matches(facts, "things"))
        }
        found = self.view.candidates(query, vector, depth, access, condition)
        self._check_dense(found.dense, allowed, vector, depth)
        self._check_lexical(found.lexical, allowed, query, depth)
        assert found.place == {key: _places(allowed)[key] for key in found.dense.keys() | found.lexical.keys()}
        assert (found.share > 0) == bool(found.lexical)
        readable = {chunk.key for chunks in allowed.values() for chunk in chunks}
        for mode in ("hybrid", "dense", "lexical"):
            hits = search_views([self.view], query, vector, mode=mode, k=3, access=access, filter_=condition)
            assert {hit.key for hit in hits} <= readable
            best = found.dense.keys() | found.lexical.keys() if mode == "hybrid" else getattr(found, mode)
            assert len(hits) >= min(3, len(best))
            assert [hit.score for hit in hits] == sorted((hit.score for hit in hits), reverse=True)

    @staticmethod
    def _check_dense(found, allowed, vector, depth):
        cosines = {}
        for chunks in allowed.values():
            mixed = surrounded_vectors([chunk.vector for chunk in chunks])
            cosines |= {c.key: float(v @ vector) for c, v in zip(chunks, mixed, strict=True) if v is not None}
        assert len(found) == min(depth, len(cosines))
        assert all(found[key] == pytest.approx(cosines[key], abs=1e-5) for key in found)
        assert sorted(found.values(), reverse=True) == pytest.approx(
            sorted(cosines.values(), reverse=True)[:depth], abs=1e-5
        )

    @staticmethod
    def _check_lexical(found, allowed, query, depth):
        asked = set(ANALYSIS.asked(query))
        whole = set(ANALYSIS.identifiers(query))
        counted = {}
        for chunks in allowed.values():
            around = surrounding_texts([c.text for c in chunks], [c.repeated for c in chunks])
            for chunk, text in zip(chunks, around, strict=True):
                body, wide = (
                    ANALYSIS.words(f"{chunk.context}\n{chunk.text}"),
                    ANALYSIS.words(f"{chunk.context}\n{text}"),
                )
                own = ANALYSIS.identifiers(f"{chunk.context}\n{chunk.text}")
                if asked & (set(body) | set(wide)) or whole & set(own):
                    counted[chunk.key] = (Counter(body), Counter(wide), Counter(own))
        assert found.keys() <= counted.keys()
        assert len(found) == min(depth, len(counted))
        assert all(score > 0 for score in found.values())
        for better in found:
            for worse in found:
                if _dominates(counted[better], counted[worse], asked, whole):
                    assert found[better] >= found[worse] - 1e-4

    @invariant()
    def holds_exactly_what_is_stored(self):
        chunks = [chunk for _, chunks in self.stored.values() for chunk in chunks]
        assert self.view.documents == len(self.stored)
        assert self.view.document_ids() == sorted(self.stored)
        assert self.view.lexical_keys().tolist() == sorted(chunk.key for chunk in chunks)
        assert self.view.vector_keys().tolist() == sorted(chunk.key for chunk in chunks if chunk.vector is not None)


def _places(documents):
    found = {}
    for id_, chunks in documents.items():
        lengths = [len(chunk.text) - chunk.repeated for chunk in chunks]
        numbers = places([chunk.page for chunk in chunks], lengths)
        found |= {chunk.key: (id_, number) for chunk, number in zip(chunks, numbers, strict=True)}
    return found


def _dominates(better, worse, asked, whole):
    fields = zip(better, worse, (asked, asked, whole), strict=True)
    return all(
        all(one[term] >= other[term] for term in terms) and one.total() <= other.total() for one, other, terms in fields
    )


# Operations: 10 x 50 in memory, 3 x 20 where each takes some calls to another thread's server.
@pytest.mark.parametrize(("name", "examples", "steps"), [("memory", 10, 50), ("files", 10, 50), ("milvus-lite", 3, 20)])
def test_the_same_answers_as_the_model(name, examples, steps):
    machine = type(f"{name}Machine", (ViewMachine,), {"implementation_name": name})
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=examples,
            stateful_step_count=steps,
            derandomize=True,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
