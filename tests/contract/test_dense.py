"""What every dense index does, checked against plain numpy."""

import threading

import numpy as np
import pytest

from retrieval.dense.memory import FaissDense

DIM = 16
INDEXES = {"faiss": FaissDense}


@pytest.fixture(params=INDEXES)
def index(request):
    return INDEXES[request.param](DIM)


def unit(rows, seed=0):
    vectors = np.random.default_rng(seed).normal(size=(rows, DIM)).astype(np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def brute(keys, vectors, query, k, allowed=None):
    inside = np.ones(len(keys), dtype=bool) if allowed is None else np.isin(keys, allowed)
    scores = vectors[inside] @ query
    order = np.argsort(-scores)[:k]
    return keys[inside][order], scores[order]


@pytest.mark.parametrize("share", [None, 0.01, 0.5, 0.99])
@pytest.mark.parametrize("frozen", [False, True])
def test_search_is_exact_with_and_without_a_filter(index, share, frozen):
    vectors, queries = unit(500), unit(7, seed=1)
    keys = np.random.default_rng(2).permutation(10_000)[:500].astype(np.int64)
    index.add(keys, vectors)
    allowed = None if share is None else np.sort(keys[: int(500 * share)])
    if allowed is not None:
        allowed.flags.writeable = not frozen
    for _ in range(2):  # what is kept of a filter gives the same again
        found, scores = index.search(queries, 10, allowed)
        assert found.shape == scores.shape == (7, 10)
        for row, query in enumerate(queries):
            expected, cosines = brute(keys, vectors, query, 10, allowed)
            assert found[row][: len(expected)].tolist() == expected.tolist()
            assert scores[row][: len(expected)] == pytest.approx(cosines, abs=1e-6)
            assert (found[row][len(expected) :] == -1).all()
            assert np.isneginf(scores[row][len(expected) :]).all()


def test_scores_are_cosines(index):
    first = np.zeros(DIM, dtype=np.float32)
    first[0] = 1
    slanted = np.zeros(DIM, dtype=np.float32)
    slanted[:2] = 0.6, 0.8
    index.add(np.array([5, 6, 7]), np.stack([first, slanted, -first]))
    found, scores = index.search(first.reshape(1, -1), 3)
    assert found.tolist() == [[5, 6, 7]]
    assert scores[0] == pytest.approx([1.0, 0.6, -1.0])


def test_adding_a_key_again_replaces_it(index):
    vectors = unit(3)
    index.add(np.array([1, 2]), vectors[:2])
    index.add(np.array([2, 3]), vectors[[2, 0]])
    assert len(index) == 3
    assert index.keys().tolist() == [1, 2, 3]
    found, scores = index.search(vectors[2:3], 1)
    assert (found.tolist(), scores[0][0]) == ([[2]], pytest.approx(1.0))


def test_removing(index):
    vectors = unit(50)
    index.add(np.arange(50), vectors)
    assert index.remove(np.array([3, 4, 1000])) == 2
    assert index.remove(np.array([], dtype=np.int64)) == 0
    assert len(index) == 48
    assert index.search(vectors[3:4], 50)[0][0][:48].tolist() == [
        key for key in np.argsort(-(vectors @ vectors[3])).tolist() if key not in (3, 4)
    ]
    assert index.search(vectors[3:4], 1, np.array([3]))[0].tolist() == [[-1]]
    index.remove(np.arange(50))
    assert len(index) == 0
    assert index.keys().tolist() == []


def test_a_filter_that_is_changed_in_place_is_read_anew(index):
    vectors = unit(2)
    index.add(np.array([1, 2]), vectors)
    allowed = np.array([1])
    assert index.search(vectors[:1], 1, allowed)[0].tolist() == [[1]]
    allowed[0] = 2
    assert index.search(vectors[:1], 1, allowed)[0].tolist() == [[2]]


def test_empty(index):
    assert index.search(unit(2), 3)[0].tolist() == [[-1, -1, -1]] * 2
    assert index.search(unit(1), 0)[0].shape == (1, 0)
    index.add(np.array([1]), unit(1))
    assert index.search(unit(1), 3, np.array([], dtype=np.int64))[0].tolist() == [[-1, -1, -1]]


@pytest.mark.parametrize(
    ("keys", "vectors", "says"),
    [
        ([1, 2], unit(1), "one of each"),
        ([1, 1], unit(2), "twice"),
        ([-1], unit(1), "negative"),
        ([1], unit(1) * 2, "length 1"),
        ([1], np.full((1, DIM), np.nan, dtype=np.float32), "finite"),
        ([1], np.ones((1, DIM + 1), dtype=np.float32), "shape"),
    ],
)
def test_what_does_not_fit_is_refused(index, keys, vectors, says):
    with pytest.raises(ValueError, match=says):
        index.add(np.array(keys), vectors)
    assert len(index) == 0


def test_searching_while_changing(index):
    vectors = unit(400)
    index.add(np.arange(200), vectors[:200])
    wrong = []

    def search():
        for _ in range(200):
            found, scores = index.search(vectors[:1], 5)
            if found[0][0] != 0 or abs(scores[0][0] - 1) > 1e-5:
                wrong.append(found)

    threads = [threading.Thread(target=search) for _ in range(3)]
    for thread in threads:
        thread.start()
    for key in range(200, 400):
        index.add(np.array([key]), vectors[key : key + 1])
        index.remove(np.array([key - 100]))
    for thread in threads:
        thread.join()
    assert wrong == []


def test_a_gpu_that_is_not_there_is_refused():
    with pytest.raises(RuntimeError, match="faiss-gpu"):
        FaissDense(DIM, gpu=True)
