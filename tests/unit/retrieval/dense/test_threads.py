"""Threads of a search: one for one query, and as before when it is over."""

import faiss
import numpy as np
import pytest
from unit_vectors import clustered

from retrieval.dense import file as dense_file
from retrieval.dense import memory as dense_memory
from retrieval.dense.build import build_dense
from retrieval.dense.file import DenseFile
from retrieval.dense.memory import FaissDense
from retrieval.dense.threads import threads_for


@pytest.fixture(autouse=True)
def four_threads():
    before = faiss.omp_get_max_threads()
    faiss.omp_set_num_threads(4)
    yield
    faiss.omp_set_num_threads(before)


def test_a_search_gets_as_many_threads_as_it_has_queries_and_no_more_than_there_are():
    for queries, wanted in ((1, 1), (3, 3), (9, 4), (0, 1)):
        with threads_for(queries):
            assert faiss.omp_get_max_threads() == wanted
        assert faiss.omp_get_max_threads() == 4
    with pytest.raises(KeyError), threads_for(1):
        raise KeyError
    assert faiss.omp_get_max_threads() == 4


def test_both_indexes_search_one_query_with_one_thread(tmp_path, monkeypatch):
    seen = []

    def noted(queries):
        seen.append(queries)
        return threads_for(queries)

    monkeypatch.setattr(dense_file, "threads_for", noted)
    monkeypatch.setattr(dense_memory, "threads_for", noted)
    vectors = clustered(60)
    build_dense(tmp_path / "index", vectors)
    memory = FaissDense(vectors.shape[1])
    memory.add(np.arange(60), vectors)
    for index in (DenseFile.open(tmp_path / "index"), memory):
        assert index.search(vectors[7:8], 1)[0].tolist() == [[7]]
        assert index.search(vectors[:3], 1)[0].tolist() == [[0], [1], [2]]
    assert seen == [1, 3, 1, 3]
    assert faiss.omp_get_max_threads() == 4
