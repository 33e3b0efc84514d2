"""The same collection in main memory and in a file of milvus-lite, through the same seam.

    python -m bench.milvus_index [--chunks 10000] [--queries 20]

Each runs in a process of its own: chunks written a second, resident memory more than before, the time of both legs together
(median and 95th percentile, each question asked once) without a filter, under a permission, an equality, an order, and a
filter that one document passes; the dense leg's recall@10 against all cosines, and how many of the ten best by BM25 and by
fusion are those of the index in memory.
Texts have words by Zipf's law, vectors are topics with noise. Writes ``bench/milvus_index.json``. Milvus-lite is for trials: of
what a cluster does this shows the answers, not the speed.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import statistics
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import psutil

from retrieval.access import EVERYTHING, Access
from retrieval.filters import DocumentFacts, Filter, parse_filter
from retrieval.ranking.views import search_views
from retrieval.surroundings import surrounded_vectors
from retrieval.view import IndexedChunk
from retrieval.views import Vector, View
from tests.views import IMPLEMENTATIONS

DIM, PER_DOCUMENT, WORDS_A_CHUNK, TOPICS = 384, 10, 120, 50
CASES: dict[str, tuple[Access, Filter | None]] = {
    "no filter": (EVERYTHING, None),
    "permission (half)": (Access(frozenset({"half"})), None),
    "equality (1 %)": (EVERYTHING, parse_filter({"hundredth": 7})),
    "order (half)": (EVERYTHING, parse_filter({"rank": {"$lt": 0.5}})),
    "order (one document)": (EVERYTHING, parse_filter({"number": {"$gte": 3, "$lt": 4}})),
}
Documents = dict[str, tuple[DocumentFacts, tuple[IndexedChunk, ...]]]


def make_documents(chunks: int, seed: int = 5) -> tuple[Documents, list[str], list[Vector]]:
    """Documents of ten chunks, and for each topic a question with its vector."""
    random = np.random.default_rng(seed)
    words = np.array([f"word{n}" for n in range(20_000)])
    odds = 1.0 / np.arange(1, len(words) + 1)
    odds /= odds.sum()
    topics = random.standard_normal((TOPICS, DIM)).astype(np.float32)
    documents: Documents = {}
    for n in range(chunks // PER_DOCUMENT):
        made = []
        for at in range(PER_DOCUMENT):
            vector = topics[n % TOPICS] + 1.5 * random.standard_normal(DIM).astype(np.float32)
            text = " ".join(random.choice(words, WORDS_A_CHUNK, p=odds))
            key = n * PER_DOCUMENT + at + 1
            made.append(IndexedChunk(key, f"Document {n}", text, vector / np.linalg.norm(vector)))
        metadata = {"hundredth": n % 100, "rank": float(random.random()), "number": n}
        groups = ("half",) if n % 2 else ("other",)
        documents[f"d{n}"] = (DocumentFacts(f"d{n}", f"x{n}", None, None, None, 1, metadata, groups), tuple(made))
    queries = [" ".join(random.choice(words[20:4000], 6)) for _ in range(TOPICS)]
    vectors = [topic + random.standard_normal(DIM).astype(np.float32) for topic in topics]
    return documents, queries, [np.asarray(v / np.linalg.norm(v), dtype=np.float32) for v in vectors]


def measure(name: str, chunks: int, count: int) -> dict[str, Any]:
    """All numbers of one implementation; the best ten of each question under ``best``, to be compared."""
    documents, queries, vectors = make_documents(chunks)
    asked = list(zip(queries, vectors, strict=True))[:count]
    process = psutil.Process()
    before = process.memory_info().rss
    implementation = IMPLEMENTATIONS[name]({}, DIM)
    started = time.perf_counter()
    items = list(documents.values())
    for start in range(0, len(items), 200):
        implementation.view.put_documents(items[start : start + 200])
    written = time.perf_counter() - started
    stored = implementation._stored  # type: ignore[attr-defined]
    stored.update(documents)
    view = implementation.view
    view.candidates(*asked[0], 200, EVERYTHING, None)
    result: dict[str, Any] = {
        "chunks_per_s": round(chunks / written, 1),
        "memory_mib": round((process.memory_info().rss - before) / 2**20, 1),
        "ms": {},
    }
    for case, (access, filter_) in CASES.items():
        times = [_timed(view, query, vector, access, filter_) for query, vector in asked]
        result["ms"][case] = {
            "p50": round(statistics.median(times) * 1000, 1),
            "p95": round(sorted(times)[int(len(times) * 0.95) - 1] * 1000, 1),
        }
    result["recall_at_10"] = round(statistics.mean(_recalls(view, documents, vectors[:count])), 4)
    result["best"] = {
        mode: [[hit.key for hit in search_views([view], q, v, mode=mode, k=10)] for q, v in asked]  # type: ignore[arg-type]
        for mode in ("lexical", "hybrid")
    }
    implementation.close()
    return result


def _timed(view: View, query: str, vector: Vector, access: Access, filter_: Filter | None) -> float:
    started = time.perf_counter()
    view.candidates(query, vector, 200, access, filter_)
    return time.perf_counter() - started


def _recalls(view: View, documents: Documents, vectors: list[Vector]) -> Iterator[float]:
    keys, rows = [], []
    for _, chunks in documents.values():
        keys += [chunk.key for chunk in chunks]
        rows += surrounded_vectors([chunk.vector for chunk in chunks])
    matrix = np.stack([row for row in rows if row is not None])
    for vector in vectors:
        best = {keys[at] for at in np.argsort(-(matrix @ vector))[:10]}
        found = view.candidates("", vector, 10, EVERYTHING, None).dense
        yield len(best & found.keys()) / 10


def _apart(target: Callable[..., dict[str, Any]], *arguments: Any) -> dict[str, Any]:
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(target, arguments)


def main() -> None:
    """Measure both, compare, print and keep the numbers."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--chunks", type=int, default=10_000)
    parser.add_argument("--queries", type=int, default=20)
    options = parser.parse_args()
    results = {name: _apart(measure, name, options.chunks, options.queries) for name in IMPLEMENTATIONS}
    reference = dict(results["memory"]["best"])
    for result in results.values():
        best = result.pop("best")
        result["same_of_10"] = {
            mode: round(
                statistics.mean(len(set(a) & set(b)) / 10 for a, b in zip(best[mode], reference[mode], strict=True)), 3
            )
            for mode in best
        }
    results["run"] = {"chunks": options.chunks, "queries": options.queries, "dim": DIM}  # type: ignore[assignment]
    Path(__file__).with_suffix(".json").write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    print(json.dumps(results, indent=1))


if __name__ == "__main__":
    main()
