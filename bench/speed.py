"""Search and ingestion beside their bare parts, in one run.

    python -m bench.speed [--documents 400] [--queries 200] [--encoder NAME,NAME] [--runtime auto|torch|openvino]

Searches over HTTP are timed beside encoding the same question, FAISS and BM25 alone on the same collection; ingestion beside
``SentenceTransformer.encode`` and txtai (``bench/ingest_speed.py``), with each of the built-in encoders. Rounds alternate, so
that a machine that slows down slows all of them. Writes ``bench/speed.json`` and prints a table. Absolute times depend on the
machine: the ratios are the result.
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import httpx
import psutil

from api.services import Services, open_services
from bench.ingest_speed import bench_ingest
from infra.settings import load_settings
from ingest.document import DocumentInput
from retrieval.encoders.encoder import DEFAULT_ENCODER, INT8_ENCODER
from retrieval.store import find_collections

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
from service import running_service

COLLECTION = "speed"
_WORDS = [
    "crossing", "freight", "tram", "ferry", "winch", "cable", "booking", "claim", "invoice", "depot", "landing",
    "master", "driver", "roster", "overtime", "leave", "pension", "budget", "supplier", "alarm", "sensor", "release",
    "gateway", "incident", "repair", "inspection", "signal", "brake", "schedule", "customer", "refund", "damage",
    "report", "policy", "training", "safety", "permit", "visitor", "parking", "canteen", "badge", "laptop", "account",
    "password",
]  # fmt: skip


def make_documents(count: int, seed: int = 7) -> list[DocumentInput]:
    """Documents of about 600 words, different from each other, under headings."""
    rng = random.Random(seed)
    documents = []
    for number in range(count):
        sections = []
        for section in range(6):
            sentences = [
                f"The {rng.choice(_WORDS)} of {rng.choice(_WORDS)} {rng.randrange(10_000)} needs a {rng.choice(_WORDS)} "
                f"before the {rng.choice(_WORDS)} and never after {rng.randrange(1, 29)} days."
                for _ in range(6)
            ]
            sections.append(f"## {rng.choice(_WORDS).title()} {section}\n\n" + " ".join(sentences))
        documents.append(DocumentInput(f"doc-{number}", text=f"# Document {number}\n\n" + "\n\n".join(sections)))
    return documents


def median_ms(times: list[float]) -> float:
    """The median of seconds, in milliseconds."""
    return round(statistics.median(times) * 1000, 2)


def timed(action: Callable[[], Any]) -> float:
    """Seconds that ``action`` takes."""
    started = time.perf_counter()
    action()
    return time.perf_counter() - started


def bench_search(services: Services, client: httpx.Client, queries: list[str]) -> dict[str, float]:
    """Median milliseconds of a search over HTTP and of its parts alone."""
    engine = services.engine
    with services.database.read() as session:
        states = find_collections(session, [COLLECTION])
    view = engine.index.current(states)[0]
    times: dict[str, list[float]] = {"http": [], "encode": [], "faiss": [], "bm25": []}
    body = {"collections": [COLLECTION], "top_k": 10}
    for query in queries[:10]:
        client.post("/v1/search", json={"query": query, **body}).raise_for_status()
    for query in queries:
        times["http"].append(
            timed(lambda q=query: client.post("/v1/search", json={"query": q, **body}).raise_for_status())
        )  # type: ignore[misc]
        started = time.perf_counter()
        vector = engine.encoder.encode([query], kind="query")[0]
        times["encode"].append(time.perf_counter() - started)
        times["faiss"].append(timed(lambda q=query, v=vector: view.search(q, v, mode="dense", k=100)))  # type: ignore[misc]
        times["bm25"].append(timed(lambda q=query: view.search(q, None, mode="lexical", k=100)))  # type: ignore[misc]
    result = {f"{name}_p50_ms": median_ms(values) for name, values in times.items()}
    parts = result["encode_p50_ms"] + result["faiss_p50_ms"] + result["bm25_p50_ms"]
    return {**result, "http_over_parts": round(result["http_p50_ms"] / parts, 2), "chunks": len(view.vector_keys())}


def main() -> None:
    """Run, print and write ``bench/speed.json``."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--documents", type=int, default=400)
    parser.add_argument("--queries", type=int, default=200)
    parser.add_argument("--encoder", default=f"{DEFAULT_ENCODER},{INT8_ENCODER}")
    parser.add_argument("--runtime", default="auto", choices=("auto", "torch", "openvino"))
    options = parser.parse_args()
    rng = random.Random(1)
    queries = [
        f"how many days before the {rng.choice(_WORDS)} of the {rng.choice(_WORDS)}" for _ in range(options.queries)
    ]
    documents = make_documents(options.documents)
    result = {name: bench_encoder(name, options.runtime, documents, queries) for name in options.encoder.split(",")}
    Path(__file__).with_suffix(".json").write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    for encoder, groups in result.items():
        for group, values in groups.items():
            for name, value in values.items():
                print(f"{encoder:24} {group:8} {name:28} {value}")


def bench_encoder(
    encoder: str, runtime: str, documents: Sequence[DocumentInput], queries: list[str]
) -> dict[str, dict[str, Any]]:
    """Ingestion and search with ``encoder``, and the load that other programs put on the machine before each."""
    with tempfile.TemporaryDirectory() as folder:
        overrides = {"data_dir": f"{folder}/data", "auth": "off", "encoder": encoder, "encoder_runtime": runtime}
        environment = {"FOOTNOTE_ENCODER": encoder, "FOOTNOTE_ENCODER_RUNTIME": runtime}
        with open_services(load_settings(overrides=overrides)) as services:
            others = others_load()
            ingest = bench_ingest(services, COLLECTION, documents)
            with (
                running_service(Path(folder), **environment) as service,
                httpx.Client(base_url=service.url, timeout=60) as client,
            ):
                search = bench_search(services, client, queries)
    return {"ingest": {"others_load_before": others, **ingest}, "search": search}


def others_load(seconds: float = 2.0) -> float:
    """Processors that other programs keep busy, over ``seconds``: absolute times and ratios are to be trusted below about .3."""
    return round(psutil.cpu_percent(interval=seconds) / 100 * (psutil.cpu_count() or 1), 2)


if __name__ == "__main__":
    main()
