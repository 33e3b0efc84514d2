"""Vectors alone, as many as a disk holds: the dense file's build, size, memory and searches at some ten million.

    python -m bench.dense_large [--data FOLDER] [--count 10000000] [--sample 100] [--queries 50] [--work FOLDER] [--out FILE]

Vectors are made up with the statistics of real ones, ten to a document (``bench/whole_collection.py``), and written once: the
build links this file into place instead of copying it, so that 15 GB are needed for ten million and not 30. ``--sample`` is how
many made-up questions the recall is measured with while it is built (400 by default in the product; 100 here take a quarter of
the time). The build and the worker are processes of their own, the first search comes with the files in no cache, and the
truth is computed by an exact search in blocks. ``faiss`` is the same index asked by FAISS itself for the same candidates,
without scoring them again, so the ratio to it is an upper bound.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import shutil
import sys
import tempfile
import time
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import faiss
import msgspec
import numpy as np
from numpy.typing import NDArray

from bench.dense_index import exact_best, found_share
from bench.dense_vectors import calibrated, fit, real_vectors
from bench.measuring import Peak, Steps, evict, memory, quantile
from bench.whole_collection import made_vectors
from retrieval.dense.build import build_dense
from retrieval.dense.file import DenseFile
from retrieval.dense.kinds import INDEX_FILE
from retrieval.dense.report import RecallTarget
from retrieval.dense.tuning import made_queries

_K = 10
Rows = dict[str, Any]
Mask = NDArray[np.bool_]


def build_process(folder: str, file: str, sample: int, pipe: Connection) -> None:
    """Build, and say what it took by stage."""
    steps = Steps()
    stages: dict[str, dict[str, float]] = {}
    begun, busy = time.perf_counter(), time.process_time()

    def tell(stage: str, done: int, of: int) -> None:
        # What a stage ended at; the one before it began there.
        stages[stage] = {
            "until_s": round(time.perf_counter() - begun, 1),
            "until_cpu_s": round(time.process_time() - busy, 1),
        }
        if done == of:
            print(f"  {stage} {stages[stage]}", file=sys.stderr, flush=True)

    with Peak() as peak, steps.step("all"):
        vectors = np.load(file, mmap_mode="r")
        target = RecallTarget(sample=sample)
        report = build_dense(Path(folder), vectors, target, progress=tell, source=Path(file))
    found = {"stages": stages, "all": steps.told()["all"], "peak_mib": peak.most}
    pipe.send({**found, "report": msgspec.to_builtins(report)})


def worker_process(folder: str, queries: NDArray[np.float32], pipe: Connection) -> None:
    """Open the evicted files, search, and say what it took and what is held."""
    faiss.omp_set_num_threads(1)
    before = memory()
    begun = time.perf_counter()
    index = DenseFile.open(Path(folder))
    mapped = time.perf_counter()
    index.search(queries[:1], _K)
    first = time.perf_counter()
    found: Rows = {
        "open_ms": round((mapped - begun) * 1e3, 2),
        "first_search_cold_ms": round((first - mapped) * 1e3, 2),
        "memory_before_mib": before,
        "memory_after_first_mib": memory(),
    }
    for query in queries:
        index.search(query[None], _K)
    pipe.send({**found, "memory_after_searches_mib": memory()})


def searches(folder: Path, vectors: NDArray[np.float32], queries: NDArray[np.float32]) -> Rows:
    """Filters of any strictness: recall, times, and FAISS's proposals of the same candidates in turns."""
    faiss.omp_set_num_threads(1)
    index = DenseFile.open(folder)
    raw = faiss.read_index(str(folder / INDEX_FILE), faiss.IO_FLAG_MMAP_IFC)
    random = np.random.default_rng(5)
    count = len(vectors)
    one = np.zeros(count, dtype=np.bool_)
    one[count // 2 : count // 2 + 10] = True
    allowed: dict[str, Mask | None] = {
        "none": None,
        "1 %": random.random(count) < 0.01,
        ".01 %": random.random(count) < 0.0001,
        "one document": one,
    }
    found: Rows = {}
    for name, mask in allowed.items():
        total = count if mask is None else int(np.count_nonzero(mask))
        effort = index.effort(total)
        truth = exact_best(vectors, queries, mask)
        mine = np.concatenate([index.search(query[None], _K, mask)[0] for query in queries])
        times: dict[str, list[list[float]]] = {"file": [[], []], "faiss": [[], []]}
        for query in queries:
            _timed(times["file"], lambda query=query, mask=mask: index.search(query[None], _K, mask))
            if effort is not None and mask is None:
                parameters = faiss.SearchParametersIVF(nprobe=effort.probes)
                depth = max(effort.candidates, 3 * _K)
                _timed(times["faiss"], lambda query=query, p=parameters, d=depth: raw.search(query[None], d, params=p))
        row: Rows = {"allowed": total, "recall": round(found_share(mine, truth), 4)}
        row["effort"] = None if effort is None else msgspec.to_builtins(effort)
        for each, (ms, cpu) in times.items():
            if ms:
                row[each] = {
                    "min_ms": quantile(ms, 0),
                    "p50_ms": quantile(ms, 0.5),
                    "p95_ms": quantile(ms, 0.95),
                    "cpu_p50_ms": quantile(cpu, 0.5),
                }
        if "faiss" in row:
            row["ratio_cpu"] = round(row["file"]["cpu_p50_ms"] / row["faiss"]["cpu_p50_ms"], 2)
        found[name] = row
        print(f"  {name}: {row}", file=sys.stderr, flush=True)
    return found


def _timed(into: list[list[float]], call: Any) -> None:
    begun, busy = time.perf_counter(), time.thread_time()
    call()
    into[1].append((time.thread_time() - busy) * 1e3)
    into[0].append((time.perf_counter() - begun) * 1e3)


def _in_a_process(target: Any, *given: Any) -> Rows:
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=target, args=(*given, theirs))
    process.start()
    found: Rows = ours.recv()
    process.join()
    return found


def main() -> None:
    """Read the command line, measure, print, write JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path)
    parser.add_argument("--count", type=int, default=10_000_000)
    parser.add_argument("--sample", type=int, default=100)
    parser.add_argument("--queries", type=int, default=50)
    parser.add_argument("--work", type=Path)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    work = options.work or Path(tempfile.mkdtemp())
    work.mkdir(parents=True, exist_ok=True)
    real = real_vectors(options.data, work / "real.npz")
    file = work / f"made-{options.count}.npy"
    made_vectors(calibrated(fit(real), real), file, options.count)
    load = os.getloadavg()
    folder = work / "dense"
    shutil.rmtree(folder, ignore_errors=True)
    built = _in_a_process(build_process, str(folder), str(file), options.sample)
    print(json.dumps(built, indent=1), flush=True)
    vectors = np.load(file, mmap_mode="r")
    queries = made_queries(vectors, options.queries, 1234)
    evict(path for path in folder.iterdir() if path.is_file())
    measured = {
        "count": options.count,
        "load": load,
        "build": built,
        "worker": _in_a_process(worker_process, str(folder), queries),
        "searches": searches(folder, vectors, queries),
    }
    out = options.out or Path(__file__).with_name(f"dense_large-{options.count}.json")
    out.write_text(json.dumps(measured, indent=1) + "\n", encoding="utf-8")
    print(json.dumps(measured, indent=1))
    if options.work is None:
        shutil.rmtree(work)


if __name__ == "__main__":
    main()
