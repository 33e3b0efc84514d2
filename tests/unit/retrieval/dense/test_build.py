"""Which index is built, that it is built alike each time, and what is said of it."""

import numpy as np
import pytest
from unit_vectors import clustered

from retrieval.dense import build as dense_build
from retrieval.dense import kinds as dense_kinds
from retrieval.dense import tuning as dense_tuning
from retrieval.dense.build import build_dense
from retrieval.dense.file import DenseFile
from retrieval.dense.report import RecallTarget

SMALL = RecallTarget(sample=40, exact_below=500)


def test_few_vectors_are_searched_exactly_without_an_index(tmp_path):
    report = build_dense(tmp_path, clustered(499), SMALL, threads=1)
    assert (report.kind, report.factory, report.recall, report.efforts, report.queries) == ("exact", "Flat", 1.0, (), 0)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["dense.json", "vectors.npy"]
    assert report.bytes == (tmp_path / "vectors.npy").stat().st_size


def test_many_get_the_first_type_that_reaches_the_target_and_pays(tmp_path):
    report = build_dense(tmp_path, clustered(3000), SMALL, threads=1)
    assert (report.kind, report.factory, report.lists) == ("ivf_rabitq", "IVF110,RaBitQ2", 110)
    assert report.recall >= 0.99
    assert report.queries == 20
    assert report.rejected == {}
    assert report.files == {name: (tmp_path / name).stat().st_size for name in ("vectors.npy", "index.faiss")}
    assert report.bytes == sum(report.files.values())
    assert DenseFile.open(tmp_path).report == report


def test_a_type_that_misses_the_target_gives_way_to_the_next(tmp_path, monkeypatch):
    candidates = dense_tuning.candidates

    def blind(kind, index, queries, probes, depth, allowed):
        found = candidates(kind, index, queries, probes, depth, allowed)
        return found if kind.name == "ivf_sq8" else np.full_like(found, -1)

    monkeypatch.setattr(dense_tuning, "candidates", blind)
    monkeypatch.setattr(dense_build, "exact_cost", lambda _rows, _dim: float("inf"))
    report = build_dense(tmp_path, clustered(1000), SMALL, threads=1)
    assert report.kind == "ivf_sq8"
    assert report.rejected == {"ivf_rabitq": 0.0}


def test_at_last_the_search_is_exact(tmp_path, monkeypatch):
    monkeypatch.setattr(
        dense_tuning, "candidates", lambda _k, _i, queries, _p, depth, _a: np.full((len(queries), depth), -1)
    )
    report = build_dense(tmp_path, clustered(1000), SMALL, threads=1)
    assert report.kind == "exact"
    assert report.rejected == {"ivf_rabitq": 0.0, "ivf_sq8": 0.0}
    assert not (tmp_path / "index.faiss").exists()
    assert DenseFile.open(tmp_path).search(clustered(1000)[5:6], 1)[0].tolist() == [[5]]


def test_an_index_that_costs_more_than_a_scan_is_not_kept(tmp_path, monkeypatch):
    monkeypatch.setattr(dense_build, "index_cost", lambda *_: float("inf"))
    report = build_dense(tmp_path, clustered(1000), SMALL, threads=1)
    assert report.kind == "exact"
    assert set(report.rejected) == {"ivf_rabitq", "ivf_sq8"}
    assert min(report.rejected.values()) > 0.9  # they reached a recall, at a price


@pytest.mark.parametrize("kind", ["exact", "ivf_rabitq", "ivf_sq8", "hnsw_sq8"])
def test_the_same_vectors_give_the_same_files(kind, tmp_path):
    vectors = clustered(1200)
    vectors[5] = 0
    target = RecallTarget(kind=kind, sample=20)
    reports = [build_dense(tmp_path / name, vectors, target, threads=2) for name in ("one", "two")]
    for name in reports[0].files:
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes(), name
    assert reports[0].efforts == reports[1].efforts
    assert reports[0].recall == reports[1].recall


def test_another_seed_trains_another_index(tmp_path):
    vectors = clustered(6000)
    for seed in (1, 2):
        target = RecallTarget(kind="ivf_sq8", sample=20, seed=seed, recall=0.5)
        build_dense(tmp_path / str(seed), vectors, target, threads=1)
    assert (tmp_path / "1/index.faiss").read_bytes() != (tmp_path / "2/index.faiss").read_bytes()


def test_a_mapped_file_is_read_in_blocks_and_progress_is_told(tmp_path, monkeypatch):
    monkeypatch.setattr(dense_kinds, "BLOCK", 400)
    np.save(tmp_path / "given.npy", clustered(1000))
    told = []
    target = RecallTarget(kind="ivf_sq8", sample=20)
    given = np.load(tmp_path / "given.npy", mmap_mode="r")
    build_dense(tmp_path / "index", given, target, threads=1, progress=lambda *step: told.append(step))
    assert told == [
        ("copy", 0, 1000),
        ("copy", 1000, 1000),
        ("train", 0, 1),
        ("train", 1, 1),
        ("add", 400, 1000),
        ("add", 800, 1000),
        ("add", 1000, 1000),
        ("tune", 0, 1),
        ("tune", 1, 1),
    ]


@pytest.mark.parametrize("rows", [0, 3])
def test_no_vectors_at_all(rows, tmp_path):
    report = build_dense(tmp_path, np.zeros((rows, 8), dtype=np.float32))
    assert (report.kind, report.count, report.empty) == ("exact", rows, rows)
    index = DenseFile.open(tmp_path)
    found, cosines = index.search(clustered(2, dim=8), 3)
    assert found.tolist() == [[-1] * 3] * 2
    assert np.isneginf(cosines).all()
    assert index.effort() is None


@pytest.mark.parametrize("kind", ["ivf_rabitq", "ivf_sq8", "hnsw_sq8"])
@pytest.mark.parametrize("rows", [1, 2, 30])
def test_an_index_over_very_few(kind, rows, tmp_path):
    vectors = clustered(rows)
    build_dense(tmp_path, vectors, RecallTarget(kind=kind, sample=4), threads=1)
    found, cosines = DenseFile.open(tmp_path).search(vectors, 1)
    assert found[:, 0].tolist() == list(range(rows))
    assert cosines[:, 0] == pytest.approx(1.0)


@pytest.mark.parametrize("shape", [(10,), (2, 3, 4), (5, 0)])
def test_a_wrong_shape_is_refused(shape, tmp_path):
    with pytest.raises(ValueError, match=r"must have \(n, dim\)"):
        build_dense(tmp_path, np.zeros(shape, dtype=np.float32))


def test_the_number_of_threads_is_put_back(tmp_path):
    before = dense_build.faiss.omp_get_max_threads()
    build_dense(tmp_path / "one", clustered(50), threads=1)
    assert dense_build.faiss.omp_get_max_threads() == before
    with pytest.raises(ValueError, match="of length 1"):
        build_dense(tmp_path / "two", 2 * clustered(50), threads=1)
    assert dense_build.faiss.omp_get_max_threads() == before
