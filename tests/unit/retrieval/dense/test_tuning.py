"""Made-up queries, the scores that count as found, masks, and efforts under filters."""

from dataclasses import replace

import numpy as np
import pytest
from unit_vectors import brute, clustered, questions, recall

from retrieval.dense import file as dense_file
from retrieval.dense import tuning as dense_tuning
from retrieval.dense.build import build_dense
from retrieval.dense.file import DenseFile
from retrieval.dense.kinds import build as build_index
from retrieval.dense.kinds import kind_of
from retrieval.dense.report import RecallTarget
from retrieval.dense.tuning import kth_scores, made_queries, masks


def test_made_queries_lie_beside_a_vector_and_are_repeatable():
    vectors = clustered(400, dim=384, clusters=400)
    queries = made_queries(vectors, 300, 3)
    assert np.linalg.norm(queries, axis=1) == pytest.approx(1.0)
    nearest = (queries @ vectors.T).max(axis=1)
    assert 0.5 < np.median(nearest) < 0.8  # .6 of a vector, and .8 of a direction that has little to do with it
    assert np.array_equal(queries, made_queries(vectors, 300, 3))
    assert not np.array_equal(queries, made_queries(vectors, 300, 4))


def test_made_queries_of_one_vector_are_that_vector():
    vectors = clustered(1)
    assert made_queries(vectors, 3, 0) == pytest.approx(np.repeat(vectors, 3, axis=0), abs=1e-6)


@pytest.mark.parametrize("share", [None, 0.3, 0.01])
def test_the_bar_is_the_exact_score_of_the_kth_best(share, monkeypatch):
    monkeypatch.setattr(dense_tuning, "BLOCK", 64)
    vectors = clustered(500)
    allowed = None if share is None else np.random.default_rng(0).random(500) < share
    queries = questions(vectors, 6)
    bars = kth_scores(vectors, queries, (1, 10), allowed, None)
    for number, query in enumerate(queries):
        scores = brute(vectors, query, 10, allowed)[1]
        assert bars[:, number] == pytest.approx([scores[0], scores[-1]], abs=1e-6)


@pytest.mark.parametrize("share", [0.5, 0.125, 0.01])
def test_masks_allow_their_share_and_one_takes_whole_topics(share):
    vectors = clustered(2000, clusters=80)
    at_random, by_topic = masks(vectors, share, 1)
    assert at_random.sum() == by_topic.sum() == round(share * 2000)

    def alike(mask):
        inside = vectors[mask]
        return float((inside @ inside.T).mean())

    assert alike(by_topic) > 1.3 * alike(at_random)


@pytest.mark.parametrize("kind", ["ivf_rabitq", "ivf_sq8", "hnsw_sq8"])
def test_the_index_itself_holds_the_target_under_filters(kind, tmp_path, monkeypatch):
    """With scans made out to be dear, so that a small index is searched where a large one would be."""
    for module in (dense_tuning, dense_file):
        monkeypatch.setattr(module, "exact_cost", lambda _rows, _dim: float("inf"))
    vectors = clustered(2000)
    report = build_dense(tmp_path, vectors, RecallTarget(kind=kind, sample=80), threads=1)
    index = DenseFile.open(tmp_path)
    monkeypatch.setattr(dense_file, "scan", None)  # a scan would fail the test
    assert [effort.share for effort in report.efforts][:3] == [1.0, 0.5, 0.125]
    assert all(effort.recall >= 0.99 for effort in report.efforts)
    queries = questions(vectors, 50, seed=8)
    for share in (0.9, 0.3, 0.13):
        for allowed in masks(vectors, share, 77):
            assert index.effort(int(allowed.sum())) is not None
            found, cosines = index.search(queries, 10, allowed)
            assert allowed[found].all()
            assert np.isfinite(cosines).all()
            assert recall(index, vectors, queries, 10, allowed) >= 0.97


def test_what_the_lists_visited_do_not_hold_is_looked_for_further_away(tmp_path, monkeypatch):
    """A filter that allows only what is far from the query: the first lists hold none of it."""
    for module in (dense_tuning, dense_file):
        monkeypatch.setattr(module, "exact_cost", lambda _rows, _dim: float("inf"))
    vectors = clustered(2000)
    build_dense(tmp_path, vectors, RecallTarget(recall=0.3, kind="ivf_sq8", sample=40), threads=1)
    index = DenseFile.open(tmp_path)
    for query in questions(vectors, 20):
        allowed = vectors @ query < 0.1
        found, _ = index.search(query[None], 10, allowed)
        assert (found >= 0).all()
        assert allowed[found[0]].all()


def test_a_recall_is_measured_as_it_is(tmp_path):
    """Against queries of its own: the report's number is within what 200 queries can tell."""
    vectors = clustered(4000)
    report = build_dense(tmp_path, vectors, RecallTarget(recall=0.8, kind="ivf_sq8", sample=400), threads=1)
    index = DenseFile.open(tmp_path)
    assert 0.8 <= report.recall < 0.99
    assert recall(index, vectors, made_queries(vectors, 200, 123), 10) == pytest.approx(report.recall, abs=0.04)
    deep = recall(index, vectors, made_queries(vectors, 100, 123), report.deep)
    assert deep > report.recall_deep - 0.05  # and more, as a search that finds too few looks further


def test_efforts_of_before_are_taken_after_one_look_where_they_reach_the_target(monkeypatch):
    vectors = clustered(2000)
    kind = kind_of("ivf_sq8")
    index = build_index(kind, vectors, 0, None, lambda *_: None)
    target = RecallTarget(sample=60, kind="ivf_sq8")
    looks = []
    recall = dense_tuning._recall
    monkeypatch.setattr(
        dense_tuning, "_recall", lambda *given, **more: looks.append(given[4]) or recall(*given, **more)
    )
    first = dense_tuning.tune(kind, index, vectors, target, None)
    counted = len(looks)
    looks.clear()
    again = dense_tuning.tune(kind, index, vectors, target, None, first.efforts)
    assert [effort.probes for effort in again.efforts] == [effort.probes for effort in first.efforts]
    assert again.recall >= 0.99
    assert looks[:2] == [first.efforts[0].probes] * 2
    assert len(looks) < counted
    # What does not reach the target any more is looked for as if there had been nothing.
    short = (replace(first.efforts[0], probes=dense_tuning._grid(kind, index, 2000)[0]), *first.efforts[1:])
    assert dense_tuning.tune(kind, index, vectors, target, None, short).efforts[0] == first.efforts[0]
