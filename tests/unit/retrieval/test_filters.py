from datetime import UTC, datetime

import pytest

from infra.errors import InvalidInput
from retrieval.filters import OPERATORS, DocumentFacts, parse_filter

FACTS = DocumentFacts(
    id="doc_1",
    external_id="hr/leave.md",
    title="Leave",
    url=None,
    mime="text/markdown",
    version=3,
    metadata={
        "department": "hr",
        "year": 2025,
        "ratio": 0.5,
        "draft": False,
        "tags": ["policy", "people"],
        "none": [],
        "reviewed": "2025-06-30",
        "owner": {"name": "Ada", "floor": 4},
        "title": "metadata's own title",
        "dotted.name": "x",
        "nothing": None,
    },
    created_at=datetime(2025, 1, 15, 9, 0, tzinfo=UTC),
    updated_at=datetime(2025, 3, 1, tzinfo=UTC),
)


def matches(raw):
    return parse_filter(raw).matches(FACTS, "handbook")


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        ({}, True),
        ({"department": "hr"}, True),
        ({"department": "HR"}, False),
        ({"metadata.department": "hr"}, True),
        ({"department": "hr", "year": 2024}, False),
        ({"department": {"$eq": "hr"}}, True),
        ({"department": {"$in": ["it", "hr"]}}, True),
        ({"department": {"$in": []}}, False),
        ({"department": {"$nin": ["it", "hr"]}}, False),
        ({"department": {"$nin": []}}, True),
        ({"department": {"$ne": "it"}}, True),
        ({"department": {"$ne": "hr"}}, False),
        ({"department": {"$gte": "h", "$lt": "i"}}, True),
        # document fields, and metadata that is named like one
        ({"title": "Leave"}, True),
        ({"title": "metadata's own title"}, False),
        ({"metadata.title": "metadata's own title"}, True),
        ({"external_id": "hr/leave.md", "id": "doc_1", "mime": "text/markdown"}, True),
        ({"collection": "handbook"}, True),
        ({"collection": {"$in": ["a", "b"]}}, False),
        ({"version": {"$gt": 2}}, True),
        ({"version": {"$gt": 3}}, False),
        ({"url": None}, True),
        ({"url": {"$ne": None}}, False),
        # kinds do not mix
        ({"year": 2025}, True),
        ({"year": 2025.0}, True),
        ({"year": "2025"}, False),
        ({"year": {"$lt": "3000"}}, False),
        ({"year": {"$ne": "2025"}}, True),
        ({"draft": False}, True),
        ({"draft": 0}, False),
        ({"ratio": {"$gt": 0}}, True),
        ({"ratio": {"$gt": 0, "$lte": 0.5}}, True),
        ({"year": {"$lt": 10**400}}, True),
        # lists match by an item, and differ when no item is equal
        ({"tags": "policy"}, True),
        ({"tags": "pol"}, False),
        ({"tags": {"$in": ["x", "people"]}}, True),
        ({"tags": {"$ne": "policy"}}, False),
        ({"tags": {"$ne": "x"}}, True),
        ({"none": None}, True),
        # fields that are not there
        ({"absent": "x"}, False),
        ({"absent": {"$gt": 1}}, False),
        ({"absent": {"$ne": "x"}}, True),
        ({"absent": {"$nin": ["x"]}}, True),
        ({"absent": None}, True),
        ({"nothing": None}, True),
        ({"absent": {"$in": [None, "x"]}}, True),
        ({"allowed_groups": None}, True),  # as any field that no document has: groups cannot be asked after
        # objects within the metadata
        ({"owner.name": "Ada"}, True),
        ({"metadata.owner.floor": {"$gte": 4}}, True),
        ({"owner.name.first": "A"}, False),
        ({"owner": "Ada"}, False),
        ({"dotted.name": "x"}, True),
        # moments
        ({"created_at": {"$gte": "2025-01-15"}}, True),
        ({"created_at": {"$gte": "2025-01-15T10:00:00+02:00"}}, True),
        ({"created_at": {"$gt": "2025-01-15T09:00:00Z"}}, False),
        ({"created_at": "2025-01-15T10:00:00+01:00"}, True),
        ({"updated_at": {"$lt": "2025-03-01"}}, False),
        ({"reviewed": {"$lt": "2025-06-30T00:00:01Z"}}, True),
        ({"reviewed": "2025-06-30T00:00:00"}, True),
        ({"reviewed": {"$lt": "later"}}, True),  # as texts: "2025-06-30" < "later"
        ({"reviewed": {"$lt": "2025"}}, False),  # as texts
    ],
)
def test_matches(raw, expected):
    assert matches(raw) is expected


def test_a_date_without_a_zone_is_utc():
    facts = DocumentFacts("d", "d", None, None, None, 1, created_at=datetime(2025, 1, 1))  # noqa: DTZ001
    assert parse_filter({"created_at": "2025-01-01T00:00:00Z"}).matches(facts)


@pytest.mark.parametrize(
    ("raw", "field", "says"),
    [
        ([], "filter", "object"),
        ("x", "filter", "object"),
        (None, "filter", "object"),
        ({"": 1}, "filter", "not empty"),
        ({"$or": [{"a": 1}]}, "filter.$or", "within a field"),
        ({"a": {}}, "filter.a", "$gte"),
        ({"a": {"$regex": "x"}}, "filter.a.$regex", ", ".join(OPERATORS)),
        ({"a": {"b": 1}}, "filter.a.b", "unknown operator"),
        ({"a": ["x"]}, "filter.a", "$in"),
        ({"a": {"$in": "x"}}, "filter.a.$in", "list"),
        ({"a": {"$in": [["x"]]}}, "filter.a.$in", "$in"),
        ({"a": {"$in": [{}]}}, "filter.a.$in", "text"),
        ({"a": {"$in": [0] * 10_001}}, "filter.a.$in", "10000"),
        ({"a": {"$gt": None}}, "filter.a.$gt", "number"),
        ({"a": {"$gt": True}}, "filter.a.$gt", "number"),
        ({"a": float("nan")}, "filter.a", "finite"),
        ({"created_at": "yesterday"}, "filter.created_at", "ISO 8601"),
        ({"created_at": {"$gt": 5}}, "filter.created_at.$gt", "ISO 8601"),
        ({"updated_at": {"$in": ["2025-13-01"]}}, "filter.updated_at.$in", "ISO 8601"),
        ({"version": "3"}, "filter.version", "number"),
        ({"version": True}, "filter.version", "number"),
        ({f"f{i}": 1 for i in range(65)}, "filter", "64"),
    ],
)
def test_a_bad_filter_names_the_field_and_what_is_allowed(raw, field, says):
    with pytest.raises(InvalidInput) as caught:
        parse_filter(raw)
    assert caught.value.code == "invalid_filter"
    assert [error.field for error in caught.value.errors] == [field]
    assert says in caught.value.errors[0].message
    assert field in caught.value.detail
