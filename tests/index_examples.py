"""Documents and questions, few enough to meet and odd enough to tell one rule from another."""

from __future__ import annotations

from fakes import FakeEncoder
from hypothesis import strategies as st
from index_model import COLLECTION

from ingest.chunking import ChunkingSettings
from retrieval.access import EVERYTHING, Access

WORDS = ["runs", "running", "holiday", "EX-104", "EX", "104", "Größe", "привет", "東京", "the", "v2.1", "alpha", "beta"]
IDS = ["a", "b", "c", "d", "e", "f"]
GROUPS = [None, (), ("hr",), ("eng",), ("hr", "eng")]
METADATA = [{}, {"dept": "hr", "level": 1}, {"dept": ["hr", "it"], "level": 2.5}, {"dept": 3, "day": "2026-01-31"}]
FILTERS = [
    None,
    {"dept": "hr"},
    {"dept": {"$ne": "hr"}},
    {"dept": {"$in": ["it", 3, None]}},
    {"level": {"$gte": 1}},
    {"day": {"$gt": "2026-01-30"}},
    {"external_id": "b"},
    {"title": {"$nin": ["Title a", "Title b"]}},
    {"version": {"$lt": 2}},
    {"collection": {"$ne": COLLECTION}},
]
ACCESSES = [EVERYTHING, Access(frozenset()), Access(frozenset({"hr"})), Access(frozenset({"eng", "none"}))]
MODES = ("hybrid", "dense", "lexical")
# As it is by default, and into the smallest pieces.
CHUNKINGS = [ChunkingSettings(), ChunkingSettings(target_tokens=32, minimum_tokens=0)]
LANGUAGES = [None, "none", "german"]

# The first one's vectors are as long as the second's, which only their values tell apart, and not as long as the third's. Their
# windows are of few words, so that documents have several chunks.
ENCODERS = [
    FakeEncoder("first@1", max_tokens=24),
    FakeEncoder("second@1", max_tokens=24, salt="second"),
    FakeEncoder("third@1", max_tokens=32, dim=96, salt="third"),
]

words = st.lists(st.sampled_from(WORDS), min_size=1, max_size=9).map(" ".join)
documents = st.fixed_dictionaries(
    {
        "parts": st.lists(words, min_size=1, max_size=3),
        "groups": st.sampled_from(GROUPS),
        "metadata": st.sampled_from(METADATA),
    }
)
