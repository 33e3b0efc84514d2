"""A dense index over many chunks: its build, its size, its memory, and its searches with and without filters.

    python -m bench.dense_index [--data FOLDER] [--count 1000000] [--queries 100] [--work FOLDER] [--out FILE]

Vectors are synthetic with the statistics of real ones (``bench/dense_vectors.py``): those of the sample company's texts
and of the Markdown and text files below FOLDER. First the two are compared (``statistics``): cosines to the nearest
neighbours, and the recall@10 of an IVF index by the share of lists visited, for real questions on real vectors, for
made-up questions on real vectors, and for made-up questions on synthetic ones. The bench fails where real and synthetic
recall differ by more than .03 with a quarter of the lists visited or more.

``build``: seconds and peak memory of a process that builds the index from a mapped file. ``worker``: a fresh process that
opens it and searches; ``start_ms`` is opening and the first search, memory is measured after the unfiltered searches (``uss``:
what only this process holds; ``pss``: with its part of what several share), then again with a second one beside it.

``searches``: each query alternately by ``DenseFile.search`` and by FAISS itself, called with the same files, lists
visited and candidates (``IndexRefine`` over the index, or ``IndexFlat`` where the file scans), one thread; milliseconds by
the clock and of processor time (``cpu``, which a busy machine changes less), recall@10 against an exact search. Filters:
``half``, ``1 %`` and ``.01 %`` of the chunks at random, ``topic`` a tenth by topic, and ``document`` one document's 20
chunks. ``work`` keeps the real vectors and the generated file for the next run.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import resource
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import faiss
import msgspec
import numpy as np
import psutil
from numpy.lib.format import open_memmap
from numpy.typing import NDArray

from bench.dense_vectors import RealVectors, Vectors, calibrated, fit, neighbour_cosines, real_vectors, sample
from retrieval.dense.build import build_dense
from retrieval.dense.file import DenseFile
from retrieval.dense.report import RecallTarget
from retrieval.dense.tuning import made_queries, masks

_K = 10
_SHARES = (1 / 16, 1 / 8, 1 / 4, 1 / 2)
_BOUND = 0.03
_MIB = 2**20
Mask = NDArray[np.bool_]
Rows = dict[str, Any]


def recall_by_share(vectors: Vectors, queries: Vectors) -> list[float]:
    """Recall@10 of an IVF index of uncompressed vectors, for each of ``_SHARES`` of its lists visited."""
    lists = round(2 * len(vectors) ** 0.5 / 2)
    _, truth = faiss.knn(queries, vectors, _K, metric=faiss.METRIC_INNER_PRODUCT)
    index = faiss.index_factory(vectors.shape[1], f"IVF{lists},Flat", faiss.METRIC_INNER_PRODUCT)
    index.cp.min_points_per_centroid = 1
    index.train(vectors)
    index.add(vectors)
    found = []
    for share in _SHARES:
        index.nprobe = max(1, round(share * lists))
        found.append(found_share(index.search(queries, _K)[1], truth))
    return found


def found_share(found: NDArray[np.int64], truth: NDArray[np.int64]) -> float:
    """The share of what is in ``truth`` (q, k; -1: nothing) that is in ``found``."""
    shared = [len(set(mine[mine >= 0]) & set(true[true >= 0])) for mine, true in zip(found, truth, strict=True)]
    return float(np.sum(shared) / max(1, np.count_nonzero(truth >= 0)))


def statistics(real: RealVectors, synthetic: Vectors) -> Rows:
    """Real and synthetic vectors side by side, as many of each."""
    return {
        "vectors": len(real.vectors),
        "cosine to 1st and 10th neighbour, real": list(neighbour_cosines(real.vectors).values()),
        "cosine to 1st and 10th neighbour, synthetic": list(neighbour_cosines(synthetic).values()),
        "share of lists": _SHARES,
        "recall, real questions, real vectors": recall_by_share(real.vectors, real.queries),
        "recall, made questions, real vectors": recall_by_share(real.vectors, made_queries(real.vectors, 600, 1)),
        "recall, made questions, synthetic vectors": recall_by_share(synthetic, made_queries(synthetic, 600, 1)),
    }


def _memory() -> dict[str, float]:
    full = psutil.Process().memory_full_info()
    return {name: round(getattr(full, name) / _MIB, 1) for name in ("rss", "pss", "uss")}


def _build(folder: str, file: str, pipe: Connection) -> None:
    """In a process of its own: build, and say what it took."""
    before = _memory()["rss"]

    def tell(stage: str, done: int, of: int) -> None:
        if done == of:
            print(f"  {stage} {time.perf_counter() - started:.0f} s", file=sys.stderr, flush=True)

    started, cpu = time.perf_counter(), time.process_time()
    report = build_dense(Path(folder), np.load(file, mmap_mode="r"), RecallTarget(), progress=tell)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    found = {"seconds": report.seconds, "cpu_s": round(time.process_time() - cpu, 1), "peak_rss_mib": round(peak, 1)}
    pipe.send({**found, "rss_before_mib": before, "report": msgspec.to_builtins(report)})


def _worker(folder: str, queries: Vectors, pipe: Connection) -> None:
    """In a process of its own: open, search each query alone, say what it took; stay until told to go."""
    faiss.omp_set_num_threads(1)
    before = _memory()
    started = time.perf_counter()
    index = DenseFile.open(Path(folder))
    opened = time.perf_counter()
    index.search(queries[:1], _K)
    first = time.perf_counter()
    after_first = _memory()
    for query in queries:
        index.search(query[None], _K)
    pipe.send(
        {
            "open_ms": round((opened - started) * 1e3, 2),
            "start_ms": round((first - started) * 1e3, 2),
            "before": before,
            "after_first": after_first,
            "after_all": _memory(),
        }
    )
    pipe.recv()
    pipe.send(_memory())
    pipe.recv()


def workers(folder: Path, queries: Vectors) -> Rows:
    """What one worker takes, and both when two map the same files."""
    context = multiprocessing.get_context("spawn")
    started = []
    for _ in range(2):
        ours, theirs = context.Pipe()
        process = context.Process(target=_worker, args=(str(folder), queries, theirs))
        process.start()
        started.append((process, ours, ours.recv()))
    together = []
    for _, pipe, _ in started:
        pipe.send(None)
        together.append(pipe.recv())
    for process, pipe, _ in started:
        pipe.send(None)
        process.join()
    return {"one": started[0][2], "second": started[1][2], "each_of_two": together}


@dataclass(frozen=True, slots=True)
class Raw:
    """FAISS itself over the same vectors and file: a flat index, and the file's index refined by it (``None`` without)."""

    flat: Any
    refined: Any

    def search(
        self, queries: Vectors, allowed: Mask | None, probes: int | None, depth: int, k: int = _K
    ) -> NDArray[np.int64]:
        """The ``k`` best, by the index with so many probes and candidates, or by the flat index (``probes`` None)."""
        chosen = None
        if allowed is not None and probes is None:
            chosen = faiss.IDSelectorArray(np.flatnonzero(allowed))
        elif allowed is not None:
            chosen = faiss.IDSelectorBitmap(np.packbits(allowed, bitorder="little"))
        if probes is None:
            parameters = faiss.SearchParameters(sel=chosen) if chosen is not None else None
            return np.asarray(self.flat.search(queries, k, params=parameters)[1])
        base = faiss.SearchParametersIVF(nprobe=probes, sel=chosen)
        parameters = faiss.IndexRefineSearchParameters(k_factor=depth / k, base_index_params=base)
        return np.asarray(self.refined.search(queries, k, params=parameters)[1])


def raw_faiss(folder: Path, vectors: Vectors) -> Raw:
    """Map the index's file, and read the vectors into FAISS's own flat index."""
    flat = faiss.IndexFlatIP(vectors.shape[1])
    for start in range(0, len(vectors), 16_384):
        flat.add(np.ascontiguousarray(vectors[start : start + 16_384]))
    path = folder / "index.faiss"
    if not path.is_file():
        return Raw(flat, None)
    return Raw(flat, faiss.IndexRefine(faiss.read_index(str(path), faiss.IO_FLAG_MMAP_IFC), flat))


def searches(folder: Path, vectors: Vectors, queries: Vectors) -> Rows:
    """Each filter by the file and by FAISS, query after query, alternately."""
    faiss.omp_set_num_threads(1)
    index = DenseFile.open(folder)
    rng = np.random.default_rng(5)
    count = len(vectors)
    one = np.zeros(count, dtype=np.bool_)
    one[count // 2 : count // 2 + 20] = True
    allowed: dict[str, Mask | None] = {
        "none": None,
        "half": rng.random(count) < 0.5,
        "topic": masks(vectors, 0.1, 7)[1],
        "1 %": rng.random(count) < 0.01,
        ".01 %": rng.random(count) < 0.0001,
        "document": one,
    }
    raw = raw_faiss(folder, vectors)
    found = {}
    for name, mask in allowed.items():
        share = 1.0 if mask is None else float(mask.mean())
        effort = index.effort(None if mask is None else int(np.count_nonzero(mask)))
        probes, depth = (None, _K) if effort is None else (effort.probes, effort.candidates)

        def ours(query: Vectors, mask: Mask | None = mask) -> NDArray[np.int64]:
            return index.search(query, _K, mask)[0]

        def theirs(
            query: Vectors, mask: Mask | None = mask, probes: int | None = probes, depth: int = depth
        ) -> NDArray[np.int64]:
            return raw.search(query, mask, probes, depth)

        truth = exact_best(vectors, queries, mask)
        (mine, my_cpu), (other, their_cpu) = _alternately(ours, theirs, queries)
        result = np.concatenate([ours(query[None]) for query in queries])
        found[name] = {
            "share": round(share, 6),
            "probes": probes,
            "candidates": None if effort is None else depth,
            "recall": round(found_share(result, truth), 4),
            "p50_ms": _quantile(mine, 0.5),
            "p95_ms": _quantile(mine, 0.95),
            "faiss_p50_ms": _quantile(other, 0.5),
            "faiss_p95_ms": _quantile(other, 0.95),
            "ratio_p50": round(float(np.median(mine) / np.median(other)), 2),
            "cpu_p50_ms": _quantile(my_cpu, 0.5),
            "faiss_cpu_p50_ms": _quantile(their_cpu, 0.5),
            "ratio_cpu_p50": round(float(np.median(my_cpu) / np.median(their_cpu)), 2),
        }
        print(f"  {name}: {found[name]}", file=sys.stderr, flush=True)
    return found


Timings = tuple[list[float], list[float]]


def _alternately(
    one: Callable[[Vectors], Any], other: Callable[[Vectors], Any], queries: Vectors
) -> tuple[Timings, Timings]:
    """Milliseconds of each query by both, by the clock and of this thread's processor time.

    They take turns, so that a busy machine is as busy for both; ten queries warm up.
    """
    taken: tuple[Timings, Timings] = (([], []), ([], []))
    for query in np.concatenate([queries[:10], queries]):
        for search, (clock, cpu) in zip((one, other), taken, strict=True):
            started, worked = time.perf_counter(), time.thread_time()
            search(query[None])
            cpu.append((time.thread_time() - worked) * 1e3)
            clock.append((time.perf_counter() - started) * 1e3)
    return (taken[0][0][10:], taken[0][1][10:]), (taken[1][0][10:], taken[1][1][10:])


def _quantile(values: list[float], part: float) -> float:
    return round(float(np.quantile(values, part)), 3)


def exact_best(vectors: Vectors, queries: Vectors, mask: Mask | None) -> NDArray[np.int64]:
    """The exact 10 best (fewer: -1) of each query among the allowed, block by block."""
    chosen = np.arange(len(vectors)) if mask is None else np.flatnonzero(mask)
    scores = np.full((len(queries), _K), -np.inf, dtype=np.float32)
    rows = np.full((len(queries), _K), -1, dtype=np.int64)
    for start in range(0, len(chosen), 16_384):
        part = chosen[start : start + 16_384]
        found = queries @ np.asarray(vectors[part]).T
        scores = np.concatenate([scores, found], axis=1)
        rows = np.concatenate([rows, np.broadcast_to(part, found.shape)], axis=1)
        order = np.argsort(-scores, axis=1, kind="stable")[:, :_K]
        scores, rows = np.take_along_axis(scores, order, axis=1), np.take_along_axis(rows, order, axis=1)
    return rows


def main() -> None:
    """Read the command line, measure, print, write JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path)
    parser.add_argument("--count", type=int, default=1_000_000)
    parser.add_argument("--queries", type=int, default=100)
    parser.add_argument("--work", type=Path)
    parser.add_argument("--out", type=Path, default=Path(__file__).with_suffix(".json"))
    options = parser.parse_args()
    work = options.work or Path(tempfile.mkdtemp())
    work.mkdir(parents=True, exist_ok=True)
    real = real_vectors(options.data, work / "real.npz")
    model = calibrated(fit(real), real)
    made = np.empty_like(real.vectors)
    sample(model, made, 2)
    compared = statistics(real, made)
    print(json.dumps(compared, indent=1), flush=True)
    file = work / f"synthetic-{options.count}.npy"
    if not file.is_file():
        out = open_memmap(file, mode="w+", dtype=np.float32, shape=(options.count, real.vectors.shape[1]))
        sample(model, out, 3)
        out.flush()
        del out
    folder = work / "index"
    shutil.rmtree(folder, ignore_errors=True)
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    builder = context.Process(target=_build, args=(str(folder), str(file), theirs))
    builder.start()
    built = ours.recv()
    builder.join()
    print(json.dumps(built, indent=1), flush=True)
    vectors = np.load(file, mmap_mode="r")
    queries = made_queries(vectors, options.queries, 1234)
    measured = {
        "count": options.count,
        "statistics": compared,
        "build": built,
        "workers": workers(folder, queries),
        "searches": searches(folder, np.asarray(vectors), queries),
    }
    options.out.write_text(json.dumps(measured, indent=1) + "\n", encoding="utf-8")
    print(json.dumps({name: measured[name] for name in ("workers", "searches")}, indent=1))
    if options.work is None:
        shutil.rmtree(work)
    pairs = zip(
        compared["recall, real questions, real vectors"],
        compared["recall, made questions, synthetic vectors"],
        strict=True,
    )
    apart = [abs(one - other) for one, other in pairs]
    if max(apart[2:]) > _BOUND:
        sys.exit(f"recall on synthetic vectors differs from that on real ones by {max(apart[2:]):.3f}")


if __name__ == "__main__":
    main()
