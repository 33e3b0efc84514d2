"""Expressions for Milvus let pass exactly what filters and permissions do: evaluated here, for they read as Python."""

from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

pytest.importorskip("pymilvus", reason="needs pymilvus")
from retrieval.access import EVERYTHING, Access
from retrieval.filters import DocumentFacts, parse_filter
from retrieval.milvus import filter as milvus_filter
from retrieval.milvus import rows as milvus_rows
from retrieval.milvus.filter import access_expression, filter_expressions
from retrieval.milvus.rows import document_tags, group_tag, value_tag

NAMES = ["a", "b", "a.b", "title", "collection", "version", "metadata", "metadata.a", "metadata.title"]
TEXTS = [
    "",
    "x",
    "3",
    "true",
    "2026-01-31",
    "2026-01-31T00:00:00Z",
    "2026-01-30T23:00:00-01:00",
    "c",
    'a"]) or 1 == 1 or (["',
]
scalars = st.none() | st.booleans() | st.sampled_from([0, 1, 3, 2**60 + 1, 1.0, 3.0, -0.0, 2.5, *TEXTS])
ORDERS = ["$gt", "$gte", "$lt", "$lte"]
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["a", "b", "a.b"]), inner),
    max_leaves=4,
)
metadata = st.dictionaries(st.sampled_from([name for name in NAMES if name != "collection"]), values, max_size=4)
equalities = st.one_of(
    scalars,
    st.fixed_dictionaries({"$ne": scalars}),
    st.fixed_dictionaries({"$in": st.lists(scalars, max_size=3)}),
    st.fixed_dictionaries({"$nin": st.lists(scalars, max_size=3)}),
)
orders = st.builds(
    lambda operator, value: {operator: value},
    st.sampled_from(ORDERS),
    st.sampled_from([1, 2.5, *TEXTS]),
)
filters = st.dictionaries(
    st.sampled_from([name for name in NAMES if name != "version"]), equalities | orders, max_size=3
)


def passes(expression, facts, tags):
    names = {
        "array_contains": lambda held, tag: tag in held,
        "array_contains_any": lambda held, any_of: bool(set(held) & set(any_of)),
        "tags": tags,
        "groups": [group_tag(group) for group in facts.allowed_groups or ()],
        "everyone": facts.allowed_groups is None,
        "true": True,
        "chunk": 7,
        "document": facts.id,
    }
    return bool(eval(expression or "True", {"__builtins__": {}}, names))


def document(id_, values, groups=None, **own):
    created = datetime(2026, 1, 31, tzinfo=UTC)
    return DocumentFacts(id_, f"x/{id_}", own.get("title"), None, "text/plain", 3, values, groups, created, created)


@settings(max_examples=500, deadline=None, derandomize=True)
@given(st.lists(metadata, min_size=1, max_size=5), filters, st.booleans())
def test_each_document_is_in_one_expression_if_it_passes_and_else_in_none(many, raw, tagged):
    documents = {f"d{n}": document(f"d{n}", values, title="c" if n % 2 else None) for n, values in enumerate(many)}
    filter_ = parse_filter(raw)
    expressions = filter_expressions(filter_, "c", lambda: documents, tagged=tagged)
    for facts in documents.values():
        tags, complete = document_tags(facts)
        assert complete
        hits = [expression for expression in expressions if passes(expression, facts, tags)]
        assert len(hits) == filter_.matches(facts, "c"), (raw, facts.metadata, expressions)


def test_equality_asks_for_no_documents_and_order_does():
    def facts():
        raise AssertionError("the documents were asked for")

    for raw in (
        {"a": 1},
        {"a": {"$nin": ["x", None]}},
        {"title": "c", "collection": "c"},
        {"created_at": "2026-01-31"},
    ):
        assert len(filter_expressions(parse_filter(raw), "c", facts)) == 1
    with pytest.raises(AssertionError):
        filter_expressions(parse_filter({"a": {"$gt": 1}}), "c", facts)
    assert filter_expressions(parse_filter({"collection": "other"}), "c", facts) == []
    assert filter_expressions(None, "c", facts) == [""]


def test_long_lists_are_split_and_short_complements_are_excluded(monkeypatch):
    monkeypatch.setattr(milvus_filter, "MAX_LISTED", 3)
    documents = {f"d{n:02}": document(f"d{n:02}", {"n": n}) for n in range(20)}

    def expressions(raw):
        return filter_expressions(parse_filter(raw), "c", lambda: documents)

    assert expressions({"n": {"$gte": 2}}) == ['document not in ["d00", "d01"]']
    assert expressions({"n": {"$lt": 4}}) == ['document in ["d00", "d01", "d02"]', 'document in ["d03"]']
    assert expressions({"n": {"$gte": 0}}) == [""]
    assert expressions({"n": {"$gt": 99}}) == []


def test_too_many_values_for_a_row_are_told():
    values = {"many": [f"value {n}" for n in range(milvus_rows.MAX_TAGS)]}
    assert document_tags(document("d", values)) == ([], False)


@pytest.mark.parametrize("groups", [None, (), ("hr",), ("hr", 'e"]) or true or (["')])
def test_permissions(groups):
    facts = document("d", {}, groups)
    for access in (
        EVERYTHING,
        Access(frozenset()),
        Access(frozenset({"hr"})),
        Access(frozenset({"x", 'e"]) or true or (["'})),
    ):
        assert passes(access_expression(access), facts, []) == access.may_read(groups)


def test_values_have_one_tag_exactly_when_they_are_equal():
    assert value_tag("a", 1) == value_tag("a", 1.0) != value_tag("a", True)
    assert value_tag("a", "2026-01-31") == value_tag("a", datetime(2026, 1, 31, tzinfo=UTC))
    # the same moment in other zones, and moments that no year of UTC has
    assert value_tag("a", "2026-01-31") == value_tag("a", "2026-01-30T23:00:00-01:00")
    assert value_tag("a", "0001-01-01T00:00:00+05:00") != value_tag("a", "9999-12-31T23:59:59-05:00")
    assert len({value_tag("a", value) for value in (None, "None", "3", 3, 2.5, 2**60 + 1, float(2**60))}) == 7
    assert value_tag("a", 1) != value_tag("b", 1)
    assert value_tag("a", {"b": 1}) is None
