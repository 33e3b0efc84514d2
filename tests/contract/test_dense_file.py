"""What a built dense index does, whatever its type, checked against plain numpy."""

import threading

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from unit_vectors import DIM, brute, clustered, questions, recall

from retrieval.dense.build import build_dense
from retrieval.dense.file import DenseFile
from retrieval.dense.report import RecallTarget

KINDS = ("exact", "ivf_rabitq", "ivf_sq8", "hnsw_sq8")
COUNT = 3000


def with_holes():
    """Vectors of which some are zeros, and one stands at many places."""
    vectors = clustered(COUNT)
    vectors[np.random.default_rng(3).choice(COUNT, 100, replace=False)] = 0
    vectors[100:1300:40] = vectors[2999] = clustered(1, seed=9)[0]
    return vectors


@pytest.fixture(scope="module", params=KINDS)
def built(request, tmp_path_factory):
    vectors = with_holes()
    folder = tmp_path_factory.mktemp(request.param)
    report = build_dense(folder, vectors, RecallTarget(kind=request.param, sample=60), threads=1)
    assert report.kind == request.param
    return vectors, DenseFile.open(folder)


def test_it_is_as_large_as_what_was_given(built):
    vectors, index = built
    assert index.count == COUNT
    assert index.dim == DIM
    assert index.report.empty == int((~vectors.any(axis=1)).sum()) > 90


@pytest.mark.parametrize("share", [None, 0.95, 0.5, 0.1])
def test_the_target_is_reached_at_any_share(built, share):
    vectors, index = built
    allowed = None if share is None else np.random.default_rng(4).random(COUNT) < share
    assert recall(index, vectors, questions(vectors, 100, seed=5), 10, allowed) >= 0.98


@pytest.mark.parametrize("k", [1, 10, 150])
@pytest.mark.parametrize("share", [None, 0.6])
def test_every_cosine_is_the_exact_one_and_they_fall(built, k, share):
    vectors, index = built
    allowed = None if share is None else np.random.default_rng(4).random(COUNT) < share
    queries = questions(vectors, 9)
    found, cosines = index.search(queries, k, allowed)
    assert found.shape == cosines.shape == (9, k)
    assert found.dtype == np.int64
    assert cosines.dtype == np.float32
    for query, positions, scores in zip(queries, found, cosines, strict=True):
        assert len(set(positions.tolist())) == k
        assert (positions >= 0).all()
        assert scores == pytest.approx((vectors[positions] @ query).tolist(), abs=2e-7)
        assert (np.diff(scores) <= 0).all()
        assert vectors[positions].any(axis=1).all()
        assert allowed is None or allowed[positions].all()


@pytest.mark.parametrize("size", [1, 3, 10, 40])
def test_a_strict_filter_is_exact(built, size):
    vectors, index = built
    allowed = np.zeros(COUNT, dtype=bool)
    allowed[np.random.default_rng(size).choice(np.flatnonzero(vectors.any(axis=1)), size, replace=False)] = True
    query = questions(vectors, 1)[0]
    found, cosines = index.search(query[None], 10, allowed)
    positions, scores = brute(vectors, query, 10, allowed)
    assert found[0].tolist() == positions.tolist() + [-1] * (10 - len(positions))
    assert cosines[0, : len(scores)] == pytest.approx(scores.tolist(), abs=1e-7)
    assert np.isneginf(cosines[0, len(scores) :]).all()


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seed=st.integers(0, 2**31), share=st.floats(0, 1), runs=st.booleans(), k=st.integers(1, 40))
def test_under_any_mask_nothing_else_is_found_and_the_rest_is_complete(built, seed, share, runs, k):
    vectors, index = built
    rng = np.random.default_rng(seed)
    allowed = np.repeat(rng.random(COUNT // 20) < share, 20) if runs else rng.random(COUNT) < share
    query = questions(vectors, 1, seed)[0]
    found, cosines = index.search(query[None], k, allowed)
    positions, scores = brute(vectors, query, k, allowed)
    there = found[0] >= 0
    assert int(there.sum()) == len(positions)
    assert allowed[found[0][there]].all()
    assert (np.diff(cosines[0][there]) <= 0).all()
    # No result is better than the true one at its place, and a scan, or an exact index, gives exactly those.
    assert (cosines[0][there] <= scores + 1e-6).all()
    total = int((allowed & vectors.any(axis=1)).sum())
    if index.effort(total) is None:
        assert found[0][there].tolist() == positions.tolist()


def test_equal_vectors_come_by_position(built):
    vectors, index = built
    same = [*range(100, 1300, 40), 2999]
    query = vectors[2999]
    found, cosines = index.search(query[None], 12)
    assert (cosines[0] == cosines[0, 0]).all()
    if index.report.kind == "hnsw_sq8":  # a graph need not lead to all of them
        assert found[0].tolist() == sorted(set(found[0].tolist()) & set(same))
        return
    assert found[0].tolist() == same[:12]
    allowed = np.ones(COUNT, dtype=bool)
    allowed[same[::2]] = False
    assert index.search(query[None], 15, allowed)[0][0].tolist() == same[1::2]
    assert index.search(query[None], 31)[0][0].tolist() == same


def test_an_empty_mask_no_query_and_more_than_there_is(built):
    vectors, index = built
    query = questions(vectors, 1)
    found, cosines = index.search(query, 4, np.zeros(COUNT, dtype=bool))
    assert found.tolist() == [[-1] * 4]
    assert np.isneginf(cosines).all()
    only_empty = ~vectors.any(axis=1)
    assert index.search(query, 4, only_empty)[0].tolist() == [[-1] * 4]
    assert index.search(query[:0], 4)[0].shape == (0, 4)
    found, _ = index.search(query, COUNT)
    assert int((found >= 0).sum()) == COUNT - index.report.empty
    assert sorted(found[0][found[0] >= 0].tolist()) == np.flatnonzero(vectors.any(axis=1)).tolist()


def test_a_batch_gives_what_single_queries_give(built):
    vectors, index = built
    queries = questions(vectors, 40, seed=11)
    together, scores = index.search(queries, 10)
    for number, query in enumerate(queries):
        alone, score = index.search(query[None], 10)
        assert alone[0].tolist() == together[number].tolist()
        assert score[0].tolist() == scores[number].tolist()


def test_wrong_shapes_are_refused(built):
    _, index = built
    with pytest.raises(ValueError, match=r"queries have the shape \(1, 5\) and must have \(q, 32\)"):
        index.search(np.zeros((1, 5), dtype=np.float32), 1)
    with pytest.raises(ValueError, match=r"must be bool of \(3000,\)"):
        index.search(np.zeros((1, DIM), dtype=np.float32), 1, np.ones(7, dtype=bool))
    with pytest.raises(ValueError, match=r"allowed is int64"):
        index.search(np.zeros((1, DIM), dtype=np.float32), 1, np.ones(COUNT, dtype=np.int64))


def test_threads_get_what_one_gets(built):
    vectors, index = built
    queries = questions(vectors, 24, seed=12)
    masks = [None, np.random.default_rng(1).random(COUNT) < 0.7, np.random.default_rng(2).random(COUNT) < 0.01]
    expected = [[index.search(query[None], 10, mask)[0].tolist() for query in queries] for mask in masks]
    wrong = []

    def work(number):
        for turn in range(5):
            which = (number + turn) % len(masks)
            got = [index.search(query[None], 10, masks[which])[0].tolist() for query in queries]
            if got != expected[which]:
                wrong.append((number, turn))

    threads = [threading.Thread(target=work, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
