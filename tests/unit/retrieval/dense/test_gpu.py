"""Building and searching with a GPU: its arithmetic with a stand-in, and with a real one where there is one."""

import contextlib
import threading

import faiss
import numpy as np
import pytest
from unit_vectors import brute, clustered, questions

from retrieval.dense import build as dense_build
from retrieval.dense import file as dense_file
from retrieval.dense.build import build_dense
from retrieval.dense.file import DenseFile
from retrieval.dense.gpu import Gpu
from retrieval.dense.report import RecallTarget

HAS_GPU = hasattr(faiss, "StandardGpuResources") and faiss.get_num_gpus() > 0
TARGET = RecallTarget(kind="ivf_rabitq", sample=20)


class FakeFaiss:
    """FAISS's GPU interface over indexes in main memory; counts what it was asked."""

    def __init__(self, gpus=1, room=10**9):
        self.gpus, self.room, self.log = gpus, room, []

    def StandardGpuResources(self):  # noqa: N802
        return "resources"

    def get_num_gpus(self):
        return self.gpus

    def GpuIndexFlatIP(self, resources, dim):  # noqa: N802
        assert resources == "resources"
        self.log.append("flat")
        return crowded(dim, self.room)

    def index_cpu_to_gpu(self, resources, device, index):
        assert (resources, device) == ("resources", 0)
        self.log.append("copy")
        return faiss.clone_index(index)


def crowded(dim, room):
    """An exact index with room for so many vectors."""
    index = faiss.IndexFlatIP(dim)
    add = index.add

    def add_if_it_fits(vectors):
        if index.ntotal + len(vectors) > room:
            raise RuntimeError("out of memory")
        add(vectors)

    index.__dict__["add"] = add_if_it_fits
    return index


def test_without_a_gpu_it_says_what_is_missing(tmp_path):
    for module in (FakeFaiss(gpus=0), object()):
        with pytest.raises(RuntimeError, match="needs the package faiss-gpu and a GPU"):
            Gpu(module)
    if not HAS_GPU:
        with pytest.raises(RuntimeError, match="needs the package faiss-gpu and a GPU"):
            build_dense(tmp_path, clustered(10), gpu=True)


def test_a_gpu_builds_the_same_index(tmp_path, monkeypatch):
    vectors = clustered(1500)
    plain = build_dense(tmp_path / "plain", vectors, TARGET, threads=1)
    module = FakeFaiss()
    monkeypatch.setattr(dense_build, "Gpu", lambda: Gpu(module))
    helped = build_dense(tmp_path / "helped", vectors, TARGET, threads=1, gpu=True)
    assert module.log[:2] == ["flat", "copy"]  # training, then filling; then exact answers to measure against
    assert module.log.count("flat") > 1
    assert helped.efforts == plain.efforts
    assert (tmp_path / "helped/index.faiss").read_bytes() == (tmp_path / "plain/index.faiss").read_bytes()


def test_batches_without_a_filter_are_searched_on_the_gpu_and_nothing_else(tmp_path, monkeypatch):
    vectors = clustered(1500)
    vectors[3] = 0
    vectors[200:260] = vectors[199]
    build_dense(tmp_path, vectors, TARGET, threads=1)
    index = DenseFile.open(tmp_path, gpu=True, load=lambda: Gpu(FakeFaiss()))
    queries = np.concatenate([questions(vectors[300:], 6), vectors[199:200]])
    on_cpu = []
    candidates = dense_file.candidates
    monkeypatch.setattr(dense_file, "candidates", lambda *given: on_cpu.append(1) or candidates(*given))
    found, cosines = index.search(queries, 10)
    assert on_cpu == []
    for query, positions, scores in zip(queries, found, cosines, strict=True):
        expected, exact = brute(vectors, query, 10)
        assert positions.tolist() == expected.tolist()  # exact, of equal ones the first, never the one without a vector
        assert scores == pytest.approx(exact.tolist(), abs=1e-7)
    index.search(queries[:1], 10)
    assert on_cpu == [1]
    allowed = np.ones(1500, dtype=bool)
    allowed[found[0, 0]] = False
    assert found[0, 0] not in index.search(queries, 10, allowed)[0]


def test_the_gpu_is_asked_by_one_thread_at_a_time(tmp_path):
    """FAISS's GPU resources are not thread-safe."""
    vectors = clustered(1500)
    build_dense(tmp_path, vectors, TARGET, threads=1)
    index = DenseFile.open(tmp_path, gpu=True, load=lambda: Gpu(FakeFaiss()))
    search, both, together = index._on_gpu.search, threading.Barrier(2), []

    def watched(queries, depth):
        with contextlib.suppress(threading.BrokenBarrierError):  # where the other does not come in meanwhile
            both.wait(0.3)
            together.append(True)
        return search(queries, depth)

    index._on_gpu.__dict__["search"] = watched
    queries = questions(vectors, 6)
    threads = [threading.Thread(target=index.search, args=(queries, 5)) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert together == []


def test_vectors_that_do_not_fit_are_refused_with_their_size(tmp_path):
    build_dense(tmp_path, clustered(1500), TARGET, threads=1)
    with pytest.raises(RuntimeError, match=r"could not hold 1500 vectors of 0\.0 GiB in all: out of memory"):
        DenseFile.open(tmp_path, gpu=True, load=lambda: Gpu(FakeFaiss(room=1000)))


@pytest.mark.skipif(not HAS_GPU, reason="needs the package faiss-gpu and a GPU")
def test_a_real_gpu_builds_files_that_are_searched_without_one(tmp_path):
    vectors = clustered(50_000, dim=64)
    report = build_dense(tmp_path, vectors, RecallTarget(kind="ivf_rabitq"), gpu=True)
    assert report.recall >= 0.99
    queries = questions(vectors, 50)
    plain, _ = DenseFile.open(tmp_path).search(queries, 10)
    helped, cosines = DenseFile.open(tmp_path, gpu=True).search(queries, 10)
    for query, positions, scores in zip(queries, helped, cosines, strict=True):
        expected, exact = brute(vectors, query, 10)
        assert scores == pytest.approx(exact.tolist(), abs=1e-6)
        assert len(set(positions.tolist()) & set(expected.tolist())) >= 9
    assert np.mean([len(set(a) & set(b)) / 10 for a, b in zip(plain.tolist(), helped.tolist(), strict=True)]) > 0.97
