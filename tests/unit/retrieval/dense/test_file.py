"""Opening a dense index: what is mapped and shared, and what damage is seen."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from unit_vectors import clustered, questions

import retrieval
from retrieval.dense.build import build_dense
from retrieval.dense.file import DenseFile
from retrieval.dense.report import RecallTarget

KINDS = ("exact", "ivf_rabitq", "ivf_sq8", "hnsw_sq8")


@pytest.fixture(params=KINDS)
def folder(request, tmp_path):
    vectors = clustered(600)
    vectors[7] = 0
    build_dense(tmp_path / "index", vectors, RecallTarget(kind=request.param, sample=10), threads=1)
    return tmp_path / "index"


def files(folder):
    return sorted(path for path in folder.iterdir() if path.name != "dense.json")


def test_a_missing_or_cut_file_is_named(folder):
    for path in files(folder):
        whole = path.read_bytes()
        for part in (whole[:-1], whole[: len(whole) // 2], b"", whole + b"x"):
            path.write_bytes(part)
            with pytest.raises(ValueError, match=rf"is damaged: {re.escape(path.name)} has {len(part)} bytes"):
                DenseFile.open(folder)
        path.unlink()
        with pytest.raises(ValueError, match=rf"is damaged: {re.escape(path.name)} is missing"):
            DenseFile.open(folder)
        path.write_bytes(whole)
    assert DenseFile.open(folder).count == 600


def test_a_file_of_the_right_length_with_another_head_is_refused(folder):
    for path in files(folder):
        whole = path.read_bytes()
        for head in (b"\x00" * 64, b"\xff" * 64, b"IxFI" + b"\x01" * 60):
            path.write_bytes(head + whole[64:])
            with pytest.raises(ValueError, match=rf"the dense index is damaged: {re.escape(path.name)}"):
                DenseFile.open(folder)
        path.write_bytes(whole)


def test_the_file_of_another_index_is_refused(folder, tmp_path):
    if not (folder / "index.faiss").is_file():
        pytest.skip("an exact index has no file of FAISS's")
    other = "ivf_sq8" if "RaBitQ" in DenseFile.open(folder).report.factory else "ivf_rabitq"
    build_dense(tmp_path / "other", clustered(599), RecallTarget(kind=other, sample=10), threads=1)
    data = (tmp_path / "other/index.faiss").read_bytes()
    size = (folder / "index.faiss").stat().st_size
    (folder / "index.faiss").write_bytes(data[:size].ljust(size, b"\x00"))
    with pytest.raises(ValueError, match=r"the dense index is damaged: index\.faiss"):
        DenseFile.open(folder)


def test_a_folder_without_an_index_is_refused(tmp_path):
    with pytest.raises(ValueError, match="holds no dense index"):
        DenseFile.open(tmp_path)


@pytest.mark.parametrize("kind", KINDS[:3])  # a graph need not lead to all of many equal vectors
def test_of_more_equal_vectors_than_candidates_the_first_come(kind, tmp_path):
    vectors = clustered(1000)
    same = np.random.default_rng(0).choice(1000, 400, replace=False)
    vectors[same] = vectors[same[0]]
    build_dense(tmp_path, vectors, RecallTarget(kind=kind, sample=20, recall=0.5), threads=1)
    index = DenseFile.open(tmp_path)
    for k in (12, 120):
        assert index.search(vectors[same[:1]], k)[0][0].tolist() == sorted(same.tolist())[:k]


ANSWER = """
import json, re, sys
from pathlib import Path
import numpy as np
from retrieval.dense.file import DenseFile

folder, queries = Path(sys.argv[1]), np.load(sys.argv[2])


def touched():
    pages, own, inside = 0, 0, False
    for line in Path("/proc/self/smaps").read_text(encoding="utf-8").splitlines():
        if re.match(r"[0-9a-f]+-[0-9a-f]+ ", line):
            inside = str(folder) in line
        elif inside and line.startswith("Rss:"):
            pages += int(line.split()[1])
        elif inside and line.startswith("Anonymous:"):
            own += int(line.split()[1])
    return pages, own


index = DenseFile.open(folder)
opened = touched()
allowed = np.arange(index.count) % 2 == 0
found = [index.search(queries, 5)[0].tolist(), index.search(queries, 5, allowed)[0].tolist()]
print(json.dumps({"opened": opened, "found": found}), flush=True)
sys.stdin.readline()
print(json.dumps(touched()), flush=True)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="reads Linux's /proc")
@pytest.mark.parametrize("kind", KINDS)
def test_processes_map_the_same_pages_and_opening_touches_few(kind, tmp_path):
    """``opened`` and what comes last: KiB of the folder's files that were touched, and of copies made."""
    vectors = clustered(2000 if kind == "hnsw_sq8" else 20_000)
    folder = tmp_path / "index"
    report = build_dense(folder, vectors, RecallTarget(kind=kind, sample=4, recall=0.5), threads=1)
    np.save(tmp_path / "queries.npy", questions(vectors, 3))
    command = [sys.executable, "-c", ANSWER, str(folder), str(tmp_path / "queries.npy")]
    environment = {**os.environ, "PYTHONPATH": str(Path(retrieval.__file__).parents[1]), "OMP_NUM_THREADS": "1"}
    two = [
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment)
        for _ in range(2)
    ]
    try:
        first = [json.loads(process.stdout.readline()) for process in two]
        last = [json.loads(process.communicate("go\n", timeout=60)[0]) for process in two]
    finally:
        for process in two:
            process.kill()
            process.wait()
    assert first[0]["found"] == first[1]["found"]
    for answers, (pages, own) in zip(first, last, strict=True):
        if kind != "hnsw_sq8":  # FAISS walks through a graph's links to check them
            assert answers["opened"][0] * 1024 < 0.4 * report.bytes
        assert pages > 0
        assert own == 0  # nothing that the other does not see too
