"""Stored vectors: what is written, and exact answers from it."""

import numpy as np
import pytest
from unit_vectors import brute, clustered, questions

from retrieval.dense import stored as dense_stored
from retrieval.dense.allowed import Allowed
from retrieval.dense.stored import best, open_stored, scan, write_stored


@pytest.fixture
def stored(tmp_path, monkeypatch):
    monkeypatch.setattr(dense_stored, "BLOCK", 64)  # several blocks, the last one short
    return write_stored(tmp_path, clustered(500))


def test_rows_of_zeros_are_left_out(tmp_path, monkeypatch):
    monkeypatch.setattr(dense_stored, "BLOCK", 7)
    vectors = clustered(40)
    vectors[[0, 6, 7, 39]] = 0
    written = write_stored(tmp_path, vectors)
    kept = [number for number in range(40) if number not in {0, 6, 7, 39}]
    for found in (written, open_stored(tmp_path, 36, 32, True)):
        assert found.positions.tolist() == kept
        assert np.array_equal(found.rows, vectors[kept])


def test_vectors_that_are_no_unit_vectors_are_refused(tmp_path):
    for wrong in (2.0, np.nan, np.inf):
        vectors = clustered(10)
        vectors[4] *= np.float32(wrong)
        with pytest.raises(ValueError, match="must be finite and of length 1, or zeros"):
            write_stored(tmp_path, vectors)


def test_a_file_of_another_shape_is_refused(tmp_path, stored):
    with pytest.raises(ValueError, match=r"vectors\.npy is not \(499, 32\) of float32"):
        open_stored(tmp_path, 499, 32, False)
    np.save(tmp_path / "vectors.npy", np.zeros((500, 32), dtype=np.float64))
    with pytest.raises(ValueError, match=r"vectors\.npy is not"):
        open_stored(tmp_path, 500, 32, False)
    (tmp_path / "vectors.npy").write_bytes(b"\x00" * 200)
    with pytest.raises(ValueError, match=r"vectors\.npy cannot be read"):
        open_stored(tmp_path, 500, 32, False)


def test_the_map_cannot_be_written(stored):
    with pytest.raises(ValueError, match="read-only"):
        stored.rows[0, 0] = 1


@pytest.mark.parametrize("share", [None, 0.002, 0.2, 0.9])
@pytest.mark.parametrize("k", [1, 10, 100])
@pytest.mark.parametrize("few", [0, 1024], ids=["by FAISS", "one by one"])
def test_a_scan_gives_the_exact_best(stored, share, k, few, monkeypatch):
    monkeypatch.setattr(dense_stored, "_FEW", few)
    allowed = None if share is None else np.random.default_rng(1).random(500) < share
    total = 500 if allowed is None else int(allowed.sum())
    for query in questions(stored.rows, 5):
        rows, cosines = scan(stored, query, min(k, total), None if allowed is None else Allowed(allowed))
        positions, scores = brute(np.asarray(stored.rows), query, k, allowed)
        assert rows.tolist() == positions.tolist()
        assert cosines == pytest.approx(scores.tolist(), abs=1e-7)


def test_more_equal_vectors_than_are_looked_at_still_come_in_order(tmp_path, monkeypatch):
    vectors = np.repeat(clustered(2), 300, axis=0)
    stored = write_stored(tmp_path, vectors)
    rows, cosines = scan(stored, vectors[400], 5, None)
    assert rows.tolist() == [300, 301, 302, 303, 304]
    assert (cosines == cosines[0]).all()
    allowed = Allowed(np.arange(600) >= 350)
    for few in (0, 1024):
        monkeypatch.setattr(dense_stored, "_FEW", few)
        assert scan(stored, vectors[400], 3, allowed)[0].tolist() == [350, 351, 352]


def test_vectors_that_differ_by_less_than_float32_sums_tell_come_in_their_true_order(tmp_path):
    noise = np.random.default_rng(0).normal(scale=6e-8, size=(600, 32))
    vectors = (clustered(1) + noise).astype(np.float32)
    stored = write_stored(tmp_path, vectors)
    rows, cosines = scan(stored, vectors[0], 5, None)
    expected, exact = brute(vectors, vectors[0], 5)
    assert rows.tolist() == expected.tolist()
    assert cosines.tolist() == exact.tolist()


def test_the_best_of_candidates_are_by_cosine_then_row(stored):
    query = np.asarray(stored.rows[17])
    candidates = np.array([40, 17, 300, 2, 8])
    rows, cosines = best(stored, query, candidates, 3)
    exact = {row: float(stored.rows[row] @ query) for row in candidates.tolist()}
    assert rows.tolist() == sorted(exact, key=lambda row: -exact[row])[:3]
    assert cosines[0] == pytest.approx(1.0)


def test_a_file_of_the_same_vectors_is_linked_and_not_copied(tmp_path):
    vectors = clustered(60)
    source = tmp_path / "given.npy"
    np.save(source, vectors)
    folder = tmp_path / "index"
    folder.mkdir()
    written = write_stored(folder, np.load(source, mmap_mode="r"), source)
    assert (folder / "vectors.npy").samefile(source)
    source.unlink()
    assert np.array_equal(written.rows, vectors)


def test_a_file_with_rows_of_zeros_or_that_cannot_be_linked_is_copied(tmp_path):
    for name, zeros in (("zeros", [3]), ("no file", [])):
        vectors = clustered(60)
        vectors[zeros] = 0
        folder = tmp_path / name
        folder.mkdir()
        source = folder / "given.npy"
        if zeros:
            np.save(source, vectors)
        written = write_stored(folder, vectors, source)
        assert len(written) == 60 - len(zeros)
        assert not source.exists() or not (folder / "vectors.npy").samefile(source)
        assert np.array_equal(written.rows, np.delete(vectors, zeros, axis=0))
