import numpy as np
import pytest

from retrieval.access import Access
from retrieval.encoders.encoder import HashingEncoder
from retrieval.filters import DocumentFacts, parse_filter
from retrieval.ranking.views import search_views
from retrieval.view import IndexedChunk, new_view

ENCODER = HashingEncoder(dim=128)


def facts(id_, groups=None, **metadata):
    return DocumentFacts(id_, id_, id_, None, None, 1, metadata, groups)


def chunk(key, text, context=""):
    return IndexedChunk(key, context, text, ENCODER.encode([text])[0])


def vector(query):
    return ENCODER.encode([query], kind="query")[0]


def found(view, query, **options):
    return [hit.key for hit in view.search(query, vector(query), **options)]


@pytest.fixture
def view():
    view = new_view("company", ENCODER.dim)
    view.put_documents(
        [
            (
                facts("leave", year=2025),
                [chunk(1, "holiday allowance is thirty days"), chunk(2, "sick leave rules")],
            ),
            (facts("pay", ("hr",), year=2024), [chunk(3, "holiday bonus is paid in june")]),
            (facts("secret", ()), [chunk(4, "holiday plan of the board")]),
        ]
    )
    return view


def counts(view):
    return view.documents, view.vector_keys().tolist(), view.lexical_keys().tolist()


def test_hybrid_adds_what_the_legs_find(view):
    hits = view.search("holiday bonus", vector("holiday bonus"))
    assert hits[0].key == 3
    assert hits[0].score == pytest.approx(1.0)
    assert hits[0].dense == pytest.approx(2 / np.sqrt(2 * 6))
    assert hits[0].lexical > 0
    assert [hit.score for hit in hits] == sorted((hit.score for hit in hits), reverse=True)


def test_modes_give_the_legs_own_order_and_scores(view):
    dense = view.search("sick leave", vector("sick leave"), mode="dense")
    assert len(dense) == 4
    assert dense[0].key == 2
    # the second of two chunks: (v2 + .3 v1) / |v2 + .3 v1|, and the query shares words with v2 only
    v1, v2 = ENCODER.encode(["holiday allowance is thirty days", "sick leave rules"])
    mixed = v2 + 0.3 * v1
    expected = vector("sick leave") @ mixed / np.linalg.norm(mixed)
    assert dense[0].score == dense[0].dense == pytest.approx(float(expected))
    assert expected == pytest.approx(0.78, abs=0.05)
    lexical = view.search("sick leave", vector("sick leave"), mode="lexical")
    assert [(hit.key, hit.dense) for hit in lexical] == [(2, None), (1, None)]  # 1 stands beside it
    assert lexical[0].score == lexical[0].lexical > 0


def test_without_a_vector(view):
    assert [hit.key for hit in view.search("sick leave", None)] == [2, 1]
    with pytest.raises(ValueError, match="vector"):
        view.search("sick leave", None, mode="dense")


@pytest.mark.parametrize("mode", ["hybrid", "dense", "lexical"])
@pytest.mark.parametrize(
    ("groups", "readable"),
    [
        (None, {1, 2, 3, 4}),
        (frozenset(), {1, 2}),
        (frozenset({"it"}), {1, 2}),
        (frozenset({"hr", "it"}), {1, 2, 3}),
    ],
)
def test_only_what_may_be_read_is_found(view, mode, groups, readable):
    query = "holiday sick board bonus"
    assert set(found(view, query, mode=mode, access=Access(groups))) == readable


def test_what_may_not_be_read_takes_no_place_among_the_candidates(view):
    # BM25's document frequencies count all chunks, so lexical scores may shift a little; nothing else does.
    caller = Access(frozenset())
    before = view.search("holiday", vector("holiday"), access=caller)
    many = [chunk(key, "holiday holiday") for key in range(100, 400)]
    view.put_document(facts("secret", ()), many)
    after = view.search("holiday", vector("holiday"), access=caller)
    assert [(hit.key, hit.dense) for hit in before] == [(hit.key, hit.dense) for hit in after]


def test_filters_apply_to_both_legs(view):
    for mode in ("hybrid", "dense", "lexical"):
        assert found(view, "holiday", mode=mode, filter_=parse_filter({"year": {"$lt": 2025}})) == [3]
    assert found(view, "holiday", filter_=parse_filter({"year": 1})) == []
    assert found(view, "holiday", filter_=parse_filter({"collection": "other"})) == []


def test_allowed_keys_follow_changes_and_tell_true_from_one(view):
    caller = Access(frozenset())
    assert view.allowed_keys(caller).tolist() == [1, 2]
    view.put_document(facts("new", flag=True), [chunk(7, "x")])
    assert view.allowed_keys(caller).tolist() == [1, 2, 7]
    assert view.allowed_keys(caller, parse_filter({"flag": True})).tolist() == [7]
    assert view.allowed_keys(caller, parse_filter({"flag": 1})).tolist() == []
    view.put_document(facts("pay"), [chunk(3, "pay")])
    assert view.allowed_keys(caller).tolist() == [1, 2, 3, 7]
    view.remove_document("secret")
    assert view.allowed_keys(caller) is None


def test_replacing_removes_the_old_chunks_everywhere(view):
    view.put_document(facts("leave"), [chunk(2, "parking places"), chunk(5, "bicycle places")])
    assert counts(view) == (3, [2, 3, 4, 5], [2, 3, 4, 5])
    assert found(view, "sick thirty", mode="lexical") == []
    assert found(view, "parking", mode="lexical") == [2, 5]


def test_a_chunk_that_loses_its_vector_is_found_by_words_only(view):
    view.put_document(facts("leave"), [IndexedChunk(1, "", "holiday", None)])
    assert counts(view) == (3, [3, 4], [1, 3, 4])
    assert 1 in found(view, "holiday", mode="lexical")
    assert 1 not in found(view, "holiday", mode="dense")


def test_removing(view):
    assert view.remove_document("leave")
    assert not view.remove_document("leave")
    assert counts(view) == (2, [3, 4], [3, 4])
    assert view.remove_documents(["pay", "secret", "nobody"]) == 2
    assert counts(view) == (0, [], [])
    assert found(view, "holiday") == []


def test_a_document_without_chunks_replaces_one_that_had_some(view):
    view.put_document(facts("leave"), [])
    assert counts(view) == (3, [3, 4], [3, 4])


@pytest.mark.parametrize(
    ("chunks", "says"),
    [
        ([chunk(3, "of another document")], "belongs to document pay"),
        ([chunk(8, "a"), chunk(8, "b")], "twice"),
        ([IndexedChunk(8, "", "x", np.zeros(ENCODER.dim, dtype=np.float32))], "length 1"),
        ([IndexedChunk(8, "", "x", np.ones(3, dtype=np.float32))], "shape"),
    ],
)
def test_what_does_not_fit_changes_nothing(view, chunks, says):
    with pytest.raises(ValueError, match=says):
        view.put_document(facts("leave"), chunks)
    assert counts(view) == (3, [1, 2, 3, 4], [1, 2, 3, 4])
    view.put_document(facts("later"), [chunk(6, "afterwards")])
    assert counts(view) == (4, [1, 2, 3, 4, 6], [1, 2, 3, 4, 6])


def test_several_views_are_ranked_together(view):
    other = new_view("other", ENCODER.dim)
    other.put_document(facts("calendar"), [chunk(11, "holiday bonus holiday bonus"), chunk(12, "nothing")])
    hits = search_views([view, other], "holiday bonus", vector("holiday bonus"), k=2)
    assert [hit.key for hit in hits] == [11, 3]
    filtered = search_views(
        [view, other],
        "holiday bonus",
        vector("holiday bonus"),
        filter_=parse_filter({"collection": "company"}),
    )
    assert {hit.key for hit in filtered} == {1, 2, 3, 4}
    assert search_views([], "holiday", vector("holiday")) == []


def test_results_are_spread_over_pages():
    view = new_view("c", ENCODER.dim)
    same = ENCODER.encode(["rain and snow"])[0]
    chunks = [IndexedChunk(key, "", "rain and snow", same, page) for key, page in ((1, 1), (2, 1), (3, 2))]
    view.put_document(facts("weather"), chunks)
    view.put_document(facts("other"), [chunk(9, "sun")])
    hits = view.search("rain and snow", same)
    assert hits[2].score == pytest.approx(0.85 * hits[0].score, rel=0.02)
    assert {hit.key for hit in hits[:2]} in ({1, 3}, {2, 3})


def test_it_counts_the_chunks_that_hold_a_querys_terms(view):
    assert view.statistics("holiday").chunks == 4
    assert view.statistics("holiday bonus").frequencies["body", "holiday"] == 3
    view.remove_document("pay")
    assert view.statistics("holiday").chunks == 3
    assert view.statistics("holiday").frequencies["body", "holiday"] == 2
