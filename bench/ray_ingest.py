"""What a Ray cluster costs and gains on one machine, against plain ingestion of the same files.

    python -m bench.ray_ingest [--files 300] [--address local]

Small files (about 50 words, ``bench.sync``'s) are ingested with and without Ray by the built-in encoder, and again by an encoder
that costs nothing, which leaves what is not the model: reading, cutting, shipping, storing. The rows must be equal (vectors up to
rounding). Shipping alone is timed too: one document there and back to a worker that is idle, and how many bytes that is. On one
machine a cluster can only lose: the ratio of processor time says how much, whatever else runs beside. Writes
``bench/ray_ingest.json`` and prints what it found.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import json
import logging
import pickle
import resource
import statistics
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import structlog
from sqlalchemy import func, select

from bench.sync import FreeEncoder, make_tree
from infra.database import Database, open_database
from infra.tables import ChunkRow, Document, Vector
from ingest.bulk import ingest_all
from ingest.chunking import DEFAULT_CHUNKING
from ingest.cluster import Shipment, on_cluster
from ingest.cluster_worker import WorkerSettings, load_on_worker
from ingest.collections import ensure_collection
from ingest.document import DocumentInput
from ingest.pipeline import Ingestion
from ingest.ray_cluster import RayCluster, open_ray
from ingest.sandbox import Sandbox
from retrieval.encoders.encoder import DEFAULT_ENCODER, Encoder

_SHIPPED = 100


class FreeOne(FreeEncoder):
    """``bench.sync.FreeEncoder`` with all of the Protocol."""

    runtime = "none"


def main() -> None:
    """Run it."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--files", type=int, default=300)
    parser.add_argument("--address", default="local")
    arguments = parser.parse_args()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    with tempfile.TemporaryDirectory() as folder:
        tree = Path(folder) / "tree"
        make_tree(tree, arguments.files)
        items = [DocumentInput(path.name, path=path, filename=path.name) for path in sorted(tree.rglob("*.md"))]
        report: dict[str, Any] = {"files": len(items), "address": arguments.address}
        loaders: dict[str, Callable[[], Encoder]] = {
            "built-in encoder": partial(load_on_worker, DEFAULT_ENCODER, "auto", Path(folder) / "cache"),
            "free encoder": FreeOne,
        }
        for name, load in loaders.items():
            report[name] = measure(Path(folder), name, load, items, arguments.address)
            print(f"{name}: {report[name]}")
    report["driver_peak_mib"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    Path(__file__).with_suffix(".json").write_text(json.dumps(report, indent=2) + "\n")


def measure(
    folder: Path, name: str, load: Callable[[], Encoder], items: list[DocumentInput], address: str
) -> dict[str, Any]:
    """Both ways, and what differs."""
    encoder = load()
    plain, spread = fresh(folder / f"{name} plain.db"), fresh(folder / f"{name} ray.db")
    with Sandbox(timeout_s=60, memory_mb=1024) as sandbox:
        ingestion = Ingestion(plain, encoder, sandbox.parse)
        sandbox.parse(items[0].path or folder, "warm.md")
        plain_s, plain_cpu_s = timed(ingestion, items)
    began = time.perf_counter()
    with open_ray(address, WorkerSettings(load, load, 60, 1024), encoder) as cluster:
        start_s = time.perf_counter() - began
        ingestion = on_cluster(Ingestion(spread, encoder, sandbox.parse), cluster)
        driver_s = time.process_time()
        ray_s, ray_cpu_s = timed(ingestion, items)
        driver_s = time.process_time() - driver_s
        sent = dict(cluster.sent)
        again_s, _ = timed(ingestion, items)
        if cluster.sent != sent:
            raise SystemExit("a second run sent something")
        shipping = ship(cluster, items)
    return {
        "start_s": round(start_s, 1),
        "plain_s": round(plain_s, 2),
        "ray_s": round(ray_s, 2),
        "ratio": round(ray_s / plain_s, 2),
        "plain_cpu_s": round(plain_cpu_s, 2),
        "ray_cpu_s": round(ray_cpu_s, 2),
        "cpu_ratio": round(ray_cpu_s / plain_cpu_s, 2),
        "driver_cpu_ms_a_document": round(driver_s / len(items) * 1000, 1),
        "more_cpu_ms_a_document": round((ray_cpu_s - plain_cpu_s) / len(items) * 1000, 1),
        "unchanged_ms_a_document": round(again_s / len(items) * 1000, 2),
        "sent": sent,
        "lowest_cosine": compare(plain, spread),
        **shipping,
    }


def timed(ingestion: Ingestion, items: list[DocumentInput]) -> tuple[float, float]:
    """Seconds by the clock, and processor seconds of this process and all that it has started."""
    began, spent = time.perf_counter(), processor_s()
    failed = [result for result in ingest_all(ingestion, "default", items) if result.outcome.value == "failed"]
    if failed:
        raise SystemExit(f"failed: {failed[0]}")
    return time.perf_counter() - began, processor_s() - spent


def processor_s() -> float:
    """Of this process and of those below it that live: Ray's and the parsers', too."""
    total = 0.0
    me = psutil.Process()
    for process in (me, *me.children(recursive=True)):
        with contextlib.suppress(psutil.NoSuchProcess):
            times = process.cpu_times()
            total += times.user + times.system
    return total


def ship(cluster: RayCluster, items: list[DocumentInput]) -> dict[str, Any]:
    """What going to a worker and back takes: medians over documents, one at a time, less the work itself."""
    calls, texts = [], []
    size_out = size_back = 0
    for item in items[:_SHIPPED]:
        data = item.path.read_bytes() if item.path else b""
        shipment = Shipment(
            DocumentInput(item.external_id, text=data.decode()), hashlib.sha256(data).hexdigest(), DEFAULT_CHUNKING
        )
        began = time.perf_counter()
        prepared = cluster.prepare(shipment)
        calls.append(time.perf_counter() - began)
        size_out += len(pickle.dumps(shipment))
        size_back += len(pickle.dumps(prepared))
        began = time.perf_counter()
        cluster.encode(["a text"])
        texts.append(time.perf_counter() - began)
    return {
        "document_there_and_back_ms": round(statistics.median(calls) * 1000, 2),
        "text_there_and_back_ms": round(statistics.median(texts) * 1000, 2),
        "bytes_there": size_out // len(calls),
        "bytes_back": size_back // len(calls),
    }


def fresh(path: Path) -> Database:
    """An empty database."""
    database = open_database(f"sqlite:///{path}")
    with database.write() as session:
        ensure_collection(session, "default")
    return database


def compare(one: Database, other: Database) -> float:
    """The lowest cosine between the vectors of both; ends the run if anything else differs."""
    found = []
    for database in (one, other):
        with database.read() as session:
            chunks = session.execute(
                select(Document.external_id, ChunkRow.ordinal, ChunkRow.vector_hash)
                .join(Document, Document.id == ChunkRow.document_id)
                .order_by(Document.external_id, ChunkRow.ordinal)
            ).all()
            vectors = {row.hash: np.frombuffer(row.data, np.float32) for row in session.scalars(select(Vector))}
            documents = session.scalar(select(func.count()).select_from(Document))
        found.append((documents, chunks, vectors))
    (many, chunks, vectors), (many_there, chunks_there, vectors_there) = found
    if many != many_there or chunks != chunks_there or vectors.keys() != vectors_there.keys():
        raise SystemExit("the two ways stored different documents")
    return round(min(float(vectors[key] @ vectors_there[key]) for key in vectors), 6)


if __name__ == "__main__":
    main()
