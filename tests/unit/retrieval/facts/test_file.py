import itertools
import tempfile
import threading
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from infra.errors import Unavailable
from retrieval.access import EVERYTHING, Access
from retrieval.facts.build import write_facts
from retrieval.facts.file import FactsFile
from retrieval.filters import OPERATORS, Condition, DocumentFacts, Filter, parse_filter
from tests.documents import SCALARS, accesses, documents, filters

# Hundreds of small sets of files: on a disk each would take as long as all of them.
IN_MEMORY = "/dev/shm" if Path("/dev/shm").is_dir() else None


def facts(id_, groups=None, title=None, **metadata):
    return DocumentFacts(id_, f"{id_}.md", title, None, "text/markdown", 1, metadata, groups)


FEW = [
    facts("a", year=2024, owner={"name": "Ada"}),
    facts("b", ("hr", "eng"), year=2025, tags=["x", "y"]),
    facts("c", (), year=True),
]


def opened(folder, documents=FEW):
    assert write_facts(folder, iter(documents)) == len(documents)
    return FactsFile.open(folder)


def ids(file, raw=None, groups=None, collection="handbook"):
    access = Access(None if groups is None else frozenset(groups))
    mask = file.allowed(access, None if raw is None else parse_filter(raw), collection)
    return [id_ for ordinal, id_ in enumerate(file.ids()) if mask is None or mask[ordinal]]


@settings(max_examples=100, deadline=None)
@given(documents(), st.lists(st.tuples(accesses, filters), max_size=12), st.sampled_from(["a", "2025-06-30"]))
def test_masks_are_what_a_loop_over_the_documents_gives(written, questions, collection):
    with tempfile.TemporaryDirectory(dir=IN_MEMORY) as folder:
        file = opened(Path(folder), written)
        for access, filter_ in questions:
            expected = [
                access.may_read(f.allowed_groups) and (filter_ is None or filter_.matches(f, collection))
                for f in written
            ]
            mask = file.allowed(access, filter_, collection)
            assert (mask is None) == all(expected)
            if mask is not None:
                assert mask.tolist() == expected


def test_every_value_with_every_operator(tmp_path):
    written = [facts(f"{number:03}", a=value) for number, value in enumerate(SCALARS)]
    file = opened(tmp_path, written)
    for wanted, operator in itertools.product(SCALARS, OPERATORS):
        filter_ = Filter((Condition("a", operator, (wanted,)),))
        mask = file.allowed(EVERYTHING, filter_)
        assert [mask is None or mask[ordinal] for ordinal in range(len(file))] == [filter_.matches(f) for f in written]


@settings(max_examples=50, deadline=None)
@given(documents())
def test_facts_come_back_as_they_were_written(written):
    with tempfile.TemporaryDirectory(dir=IN_MEMORY) as folder:
        file = opened(Path(folder), written)
        found = [file.facts(ordinal) for ordinal in range(len(file))]
        # Their text tells 1 from 1.0 and True, and holds for what is not a number.
        assert [repr(f.metadata) for f in found] == [repr(f.metadata) for f in written]
        for attribute in (
            "id",
            "external_id",
            "title",
            "url",
            "mime",
            "version",
            "allowed_groups",
            "created_at",
            "updated_at",
        ):
            assert [getattr(f, attribute) for f in found] == [getattr(f, attribute) for f in written]
        assert [file.ordinal_of(f.id) for f in written] == list(range(len(written)))
        assert list(file.ids()) == [f.id for f in written]


def test_a_filter_and_permissions(tmp_path):
    file = opened(tmp_path)
    assert ids(file) == ["a", "b", "c"]
    assert ids(file, groups=[]) == ["a"]
    assert ids(file, groups=["eng", "other"]) == ["a", "b"]
    assert ids(file, {"year": {"$gte": 2024}}) == ["a", "b"]
    assert ids(file, {"year": {"$ne": 2025}}) == ["a", "c"]
    assert ids(file, {"year": {"$ne": 2025}}, groups=["hr"]) == ["a"]
    assert ids(file, {"owner.name": "Ada"}) == ["a"]
    assert ids(file, {"tags": None}) == ["a", "c"]
    assert ids(file, {"tags": {"$in": ["y", None]}, "year": 2025}) == ["b"]
    assert ids(file, {"collection": "handbook"}) == ["a", "b", "c"]
    assert ids(file, {"collection": {"$ne": "handbook"}}) == []
    assert ids(file, {"id": "b"}) == ["b"]


def test_the_first_of_two_places_counts(tmp_path):
    written = [
        facts("1", **{"metadata.a": 1, "a": 2}),
        facts("2", a=2),
        facts("3", **{"a.b": 1, "a": {"b": 2}}),
        facts("4", a={"b": 2}),
        facts("5", **{"metadata.a": None, "a": 2}),
    ]
    file = opened(tmp_path, written)
    assert ids(file, {"metadata.a": 1}) == ["1"]
    assert ids(file, {"metadata.a": 2}) == ["2"]
    assert ids(file, {"metadata.a": None}) == ["5"]
    assert ids(file, {"a.b": 1}) == ["3"]
    assert ids(file, {"metadata.a.b": {"$gt": 0}}) == ["3", "4"]
    assert ids(file, {"a.b": 2}) == ["4"]


def test_a_name_with_a_dot_is_no_step_of_a_path(tmp_path):
    file = opened(tmp_path, [facts("1", **{"a.b": {"c": 1}}), facts("2", a={"b.c": 1}), facts("3", a={"b": {"c": 1}})])
    assert ids(file, {"a.b.c": 1}) == ["3"]


def test_an_empty_file(tmp_path):
    file = opened(tmp_path, [])
    assert len(file) == 0
    assert file.ordinal_of("a") is None
    assert file.allowed(Access(frozenset()), parse_filter({"a": 1}), "c") is None  # all of none
    with pytest.raises(IndexError):
        file.facts(0)


def test_one_document(tmp_path):
    only = DocumentFacts("d", "e", "T", "u", "m", 3, {"a": [1]}, ("hr",), datetime(2025, 1, 1, tzinfo=UTC), None)
    file = opened(tmp_path, [only])
    assert file.facts(0) == only
    assert file.id(0) == "d"
    assert ids(file, {"a": 1, "created_at": {"$lt": "2025-01-01T00:00:00.000001Z"}}, groups=["hr"]) == ["d"]
    assert ids(file, {"a": 1}, groups=["eng"]) == []


def test_documents_by_id(tmp_path):
    file = opened(tmp_path)
    assert [file.ordinal_of(id_) for id_ in ("", "a", "aa", "c", "d")] == [None, 0, None, 2, None]
    with pytest.raises(IndexError):
        file.id(3)


@pytest.mark.parametrize("order", [["b", "a"], ["a", "a"], ["\U0001f600", "\uffff"]])
def test_ids_must_ascend(tmp_path, order):
    with pytest.raises(ValueError, match="ids must ascend"):
        write_facts(tmp_path, [facts(id_) for id_ in order])
    with pytest.raises(Unavailable, match=r"facts\.bin is missing"):
        FactsFile.open(tmp_path)


@pytest.mark.parametrize("bad", [{1: "x"}, {"a": {1: "x"}}, {"a": {1, 2}}, {"a": datetime(2025, 1, 1, tzinfo=UTC)}])
def test_metadata_that_is_not_json_is_refused(tmp_path, bad):
    with pytest.raises(ValueError, match="document a: "):
        write_facts(tmp_path, [DocumentFacts("a", "a", None, None, None, 1, bad)])


def test_masks_are_kept_and_cannot_be_written_to(tmp_path):
    file = opened(tmp_path)
    readers = Access(frozenset({"hr"}))
    first = file.allowed(readers, None, "c")
    assert file.allowed(Access(frozenset({"hr"})), None, "c") is first
    assert file.allowed(readers, parse_filter({}), "c") is not first
    with pytest.raises(ValueError, match="read-only"):
        first[0] = False
    # Equal to Python, and not the same filter.
    one, true = (file.allowed(EVERYTHING, Filter((Condition("year", "$eq", (v,)),)), "c") for v in (1, True))
    assert (one.tolist(), true.tolist()) == ([False, False, False], [False, False, True])
    # The collection's name is part of the question.
    named = parse_filter({"collection": "c"})
    assert file.allowed(EVERYTHING, named, "c") is None
    assert not file.allowed(EVERYTHING, named, "d").any()


def test_only_so_many_masks_are_kept(tmp_path):
    file = opened(tmp_path)
    asked = [parse_filter({"year": year}) for year in range(300)]
    first = file.allowed(EVERYTHING, asked[0])
    second = file.allowed(EVERYTHING, asked[1])
    for filter_ in asked[2:256]:
        file.allowed(EVERYTHING, filter_)
    assert file.allowed(EVERYTHING, asked[0]) is first
    file.allowed(EVERYTHING, asked[256])  # the 257th: the one that was not asked for the longest goes
    assert file.allowed(EVERYTHING, asked[0]) is first
    assert file.allowed(EVERYTHING, asked[1]) is not second


def test_several_threads_get_the_same_masks(tmp_path):
    file = opened(tmp_path)
    found, start = [], threading.Barrier(8)

    def ask():
        start.wait()
        found.append([file.allowed(EVERYTHING, parse_filter({"year": year})) for year in (2024, 2025)])

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({tuple(map(id, masks)) for masks in found}) == 1
    assert np.array_equal(found[0][0], [True, False, False])


def test_one_file_is_written(tmp_path):
    opened(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["facts.bin"]


def test_a_failed_writing_leaves_what_was_there(tmp_path):
    opened(tmp_path)
    with pytest.raises(ValueError, match="ids must ascend"):
        write_facts(tmp_path, [FEW[1], FEW[0]])
    assert [path.name for path in tmp_path.iterdir()] == ["facts.bin"]
    assert len(FactsFile.open(tmp_path)) == 3


def test_a_cut_or_missing_file_is_an_error_at_the_start(tmp_path):
    opened(tmp_path)
    path = tmp_path / "facts.bin"
    whole = path.read_bytes()
    for damaged in (whole[:-1], whole[: len(whole) // 2], whole[:10], b"", whole + b"\0"):
        path.write_bytes(damaged)
        with pytest.raises(Unavailable, match=r"facts\.bin") as caught:
            FactsFile.open(tmp_path)
        assert caught.value.code == "index_damaged"
    path.unlink()
    with pytest.raises(Unavailable, match=r"facts\.bin is missing"):
        FactsFile.open(tmp_path)


def test_another_version_is_an_error(tmp_path):
    opened(tmp_path)
    path = tmp_path / "facts.bin"
    path.write_bytes(b"FNFACTS\2" + path.read_bytes()[8:])
    with pytest.raises(Unavailable, match="does not begin with"):
        FactsFile.open(tmp_path)
