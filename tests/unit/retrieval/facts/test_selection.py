from hypothesis import given, settings

from retrieval.access import EVERYTHING, Access
from retrieval.facts.selection import passing_documents
from retrieval.filters import Condition, DocumentFacts, Filter, parse_filter
from tests.documents import accesses, documents, filters


def facts(id_, groups=None, **metadata):
    return DocumentFacts(id_, id_, None, None, None, 1, metadata, groups)


def ids(documents, access=EVERYTHING, filter_=None):
    return [f.id for f in passing_documents(documents, access, filter_, "handbook")]


@settings(max_examples=200, deadline=None)
@given(documents(), accesses, filters)
def test_the_same_documents_as_one_by_one(written, access, filter_):
    expected = [
        f.id
        for f in written
        if access.may_read(f.allowed_groups) and (filter_ is None or filter_.matches(f, "handbook"))
    ]
    assert ids(written, access, filter_) == expected


def test_what_may_be_read_and_passes_in_the_order_given():
    written = [facts("c", year=2025), facts("a", ("hr",), year=2025), facts("b", ("hr",), year=2024), facts("d", ())]
    assert ids(written) == ["c", "a", "b", "d"]
    assert ids(written, Access(frozenset({"hr"}))) == ["c", "a", "b"]
    assert ids(written, Access(frozenset({"hr"})), parse_filter({"year": 2025})) == ["c", "a"]


def test_values_that_python_takes_for_equal_are_decided_apart():
    written = [facts("one", n=1), facts("true", n=True), facts("float", n=1.0)]
    assert ids(written, filter_=Filter((Condition("n", "$eq", (True,)),))) == ["true"]
    assert ids(written[::-1], filter_=Filter((Condition("n", "$eq", (1,)),))) == ["float", "one"]
