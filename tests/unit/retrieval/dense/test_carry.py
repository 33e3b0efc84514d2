"""An index that takes over an earlier one's lists: the same codes, the recall measured again, and when it is trained anew."""

from dataclasses import replace

import faiss
import numpy as np
import pytest
from unit_vectors import brute, clustered, questions, recall

from retrieval.dense import build as dense_build
from retrieval.dense.build import build_dense
from retrieval.dense.carry import Carried
from retrieval.dense.file import DenseFile
from retrieval.dense.report import RecallTarget, write_report

TARGET = RecallTarget(sample=40, exact_below=500)


def changed(before, gone=0.05, added=300, seed=2):
    """Vectors in which some of ``before`` are gone and others new, all mixed; and where each of ``before`` is."""
    rng = np.random.default_rng(seed)
    kept = np.flatnonzero(rng.random(len(before)) >= gone)
    fresh = clustered(len(before) + added)[len(before) :]  # of the same clusters
    place = rng.permutation(len(kept) + len(fresh))
    vectors = np.empty((len(place), before.shape[1]), dtype=np.float32)
    vectors[place[: len(kept)]], vectors[place[len(kept) :]] = before[kept], fresh
    positions = np.full(len(before), -1, dtype=np.int64)
    positions[kept] = place[: len(kept)]
    return vectors, positions


@pytest.fixture
def whatever_it_costs(monkeypatch):
    """Few vectors and queries make costs jump."""
    monkeypatch.setattr(dense_build, "DEARER", float("inf"))


def lists_of(index):
    found = []
    for number in range(index.nlist):
        size = index.invlists.list_size(number)
        ids = faiss.rev_swig_ptr(index.invlists.get_ids(number), size).tolist() if size else []
        codes = faiss.rev_swig_ptr(index.invlists.get_codes(number), size * index.code_size).tobytes() if size else b""
        found.append((ids, codes))
    return found


@pytest.mark.usefixtures("whatever_it_costs")
@pytest.mark.parametrize("kind", ["ivf_rabitq", "ivf_sq8"])
def test_lists_and_codes_are_those_of_adding_all_to_the_same_centres(kind, tmp_path):
    target = RecallTarget(sample=40, kind=kind)
    before = clustered(2000)
    before[[7, 900]] = 0
    first = build_dense(tmp_path / "one", before, target, threads=1)
    vectors, positions = changed(before)
    vectors[positions[3]] = 0  # its vector is gone, and the chunk is not
    positions[3] = -1
    report = build_dense(tmp_path / "two", vectors, target, threads=1, carried=Carried(tmp_path / "one", positions))
    assert (report.trained_rows, report.lists, report.factory) == (1998, first.lists, first.factory)
    carried = faiss.read_index(str(tmp_path / "two/index.faiss"))
    added = faiss.read_index(str(tmp_path / "one/index.faiss"))
    added.reset()
    added.add(vectors[vectors.any(axis=1)])
    assert carried.ntotal == added.ntotal == len(vectors) - report.empty
    assert lists_of(carried) == lists_of(added)
    index = DenseFile.open(tmp_path / "two")
    assert index.vectors(np.arange(len(vectors))).tobytes() == vectors.tobytes()
    found, cosines = index.search(vectors[:5], 3)
    assert [row.tolist() for row in found] == [brute(vectors, query, 3)[0].tolist() for query in vectors[:5]]
    assert cosines[:, 0] == pytest.approx(1.0)


@pytest.mark.usefixtures("whatever_it_costs")
def test_the_recall_is_that_of_the_new_vectors(tmp_path):
    before = clustered(3000)
    build_dense(tmp_path / "one", before, TARGET, threads=1)
    vectors, positions = changed(before)
    report = build_dense(tmp_path / "two", vectors, TARGET, threads=1, carried=Carried(tmp_path / "one", positions))
    assert (report.kind, report.trained_rows, report.count) == ("ivf_rabitq", 3000, len(vectors))
    assert report.recall >= 0.99
    index = DenseFile.open(tmp_path / "two")
    half = np.random.default_rng(1).random(len(vectors)) < 0.5
    for mask in (None, half):
        assert recall(index, vectors, questions(vectors, 40), 10, mask) >= 0.98
    # A merge of the merge still knows what the centres were found for.
    again, positions = changed(vectors, seed=3)
    report = build_dense(tmp_path / "three", again, TARGET, threads=1, carried=Carried(tmp_path / "two", positions))
    assert report.trained_rows == 3000


def trained_anew(tmp_path, vectors, positions, target=TARGET):
    carried = Carried(tmp_path / "one", positions)
    report = build_dense(tmp_path / "two", vectors, target, threads=1, carried=carried)
    plain = build_dense(tmp_path / "plain", vectors, target, threads=1)
    assert (tmp_path / "two/index.faiss").read_bytes() == (tmp_path / "plain/index.faiss").read_bytes()
    assert report.efforts == plain.efforts
    return report.trained_rows == len(vectors)


@pytest.mark.parametrize(("count", "anew"), [(1990, False), (2010, True), (510, False), (490, True)])
@pytest.mark.usefixtures("whatever_it_costs")
def test_lists_serve_for_half_to_twice_the_vectors_they_were_found_for(tmp_path, count, anew):
    target = replace(TARGET, kind="ivf_sq8")
    vectors = clustered(2500)
    build_dense(tmp_path / "one", vectors[:1000], target, threads=1)
    carried = Carried(tmp_path / "one", np.where(np.arange(1000) < count, np.arange(1000), -1))
    report = build_dense(tmp_path / "two", vectors[:count], target, threads=1, carried=carried)
    assert report.trained_rows == (count if anew else 1000)


def test_another_target_trains_anew(tmp_path):
    before = clustered(1500)
    build_dense(tmp_path / "one", before, TARGET, threads=1)
    assert trained_anew(tmp_path, *changed(before), replace(TARGET, recall=0.95))


def test_a_search_that_became_dearer_trains_anew(tmp_path, monkeypatch):
    before = clustered(1500)
    build_dense(tmp_path / "one", before, TARGET, threads=1)
    monkeypatch.setattr(dense_build, "DEARER", 0.5)
    assert trained_anew(tmp_path, *changed(before))


def test_a_recall_that_is_missed_trains_anew(tmp_path, monkeypatch):
    before = clustered(1500)
    build_dense(tmp_path / "one", before, TARGET, threads=1)
    tune = dense_build.tune

    def missed(kind, index, rows, target, gpu, before=()):
        tuned = tune(kind, index, rows, target, gpu, before)
        return replace(tuned, efforts=()) if before else tuned

    monkeypatch.setattr(dense_build, "tune", missed)
    assert trained_anew(tmp_path, *changed(before))


@pytest.mark.usefixtures("whatever_it_costs")
def test_an_index_built_before_that_was_noted_is_taken_over(tmp_path):
    before = clustered(1500)
    report = build_dense(tmp_path / "one", before, TARGET, threads=1)
    assert report.trained_cost > 0
    write_report(tmp_path / "one", replace(report, trained_rows=0, trained_cost=0.0))
    vectors, positions = changed(before)
    again = build_dense(tmp_path / "two", vectors, TARGET, threads=1, carried=Carried(tmp_path / "one", positions))
    assert again.trained_rows == 1500
    assert again.trained_cost == pytest.approx(report.trained_cost, abs=1e-3)


def test_there_are_no_lists_of_few_vectors(tmp_path):
    build_dense(tmp_path / "one", clustered(400), TARGET, threads=1)
    carried = Carried(tmp_path / "one", np.arange(400))
    assert build_dense(tmp_path / "two", clustered(450), TARGET, threads=1, carried=carried).kind == "exact"
    report = build_dense(tmp_path / "three", clustered(700), TARGET, threads=1, carried=carried)
    assert (report.kind, report.trained_rows) == ("ivf_rabitq", 700)
