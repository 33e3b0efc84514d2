"""Real vectors to measure indexes with, and synthetic ones with their statistics.

**Real**: the sample company's texts, and the Markdown and text files below a folder (at most the first 400,000
characters of each), cut and encoded as the service does it, with the questions of the folder's sets as queries.

**Synthetic**: a hierarchy of Gaussians that is fitted to the real vectors. A topic is drawn around their mean, documents
around the topic, sections around the document and chunks around the section; a vector is the sum, of length 1. The
shares of topic, document and chunk in the variance are those of the real vectors (topics: k-means of the documents'
means, 20 documents each), and so are the covariance within documents, the covariance of everything (for topics and
documents), the sizes of documents and how much each spreads. How much of a document's variance lies between its sections
is the one free number: it is set so that the median cosine to the nearest neighbour is the real one. A larger
collection has more topics and
documents, not denser ones.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import faiss
import numpy as np
from numpy.typing import NDArray

from ingest.chunk import chunk
from ingest.chunking import ChunkingSettings
from ingest.elements import encoded_text
from ingest.plain import parse_plain
from retrieval.encoders.encoder import load_encoder

Vectors = NDArray[np.float32]

_COMPANY = Path(__file__).parents[1] / "evals/data"
_LONGEST = 400_000


@dataclass(frozen=True, slots=True)
class RealVectors:
    """Unit vectors (n, dim) of chunks, the document of each (ascending, from 0), and of queries (q, dim)."""

    vectors: Vectors
    documents: NDArray[np.int64]
    queries: Vectors


def read_real(path: Path) -> RealVectors:
    """What ``main`` wrote."""
    with np.load(path) as stored:
        return RealVectors(stored["vectors"], stored["documents"], stored["queries"])


def texts(data: Path | None) -> Iterator[str]:
    """Documents, in the order of their paths."""
    for folder in (_COMPANY / "sources", *([data] if data else [])):
        for path in sorted(folder.rglob("*")):
            if path.suffix in {".md", ".txt"} and path.is_file():
                text = path.read_text(encoding="utf-8", errors="replace")[:_LONGEST]
                if text.strip():
                    yield text


def questions(data: Path | None) -> list[str]:
    """Questions people ask of these texts."""
    lines = (_COMPANY / "goldset.jsonl").read_text(encoding="utf-8").splitlines()
    asked = [json.loads(line)["question"] for line in lines]
    if data and (data / "chunking/questions_df.csv").is_file():
        csv.field_size_limit(10_000_000)
        with (data / "chunking/questions_df.csv").open(encoding="utf-8", newline="") as file:
            asked += [row["question"] for row in csv.DictReader(file)]
    return list(dict.fromkeys(asked))


def real_vectors(data: Path | None, cache: Path) -> RealVectors:
    """Encode all texts, or read what an earlier run left in ``cache``."""
    if cache.is_file():
        return read_real(cache)
    encoder = load_encoder("all-MiniLM-L6-v2")
    parts: list[str] = []
    documents: list[int] = []
    for number, text in enumerate(texts(data)):
        parsed = parse_plain(text, "text/markdown")
        cut = chunk(parsed, encoder.count_tokens, encoder.max_tokens, ChunkingSettings())
        parts += [encoded_text(each.context, parsed.text[each.start : each.end]) for each in cut]
        documents += [number] * len(cut)
    vectors = encoder.encode(parts)
    queries = encoder.encode(questions(data), kind="query")
    numbers = np.unique(documents, return_inverse=True)[1].astype(np.int64)
    np.savez(cache, vectors=vectors, documents=numbers, queries=queries)
    return RealVectors(vectors, numbers, queries)


@dataclass(frozen=True, slots=True)
class Hierarchy:
    """Fitted statistics: see above. ``shares`` of the variance ``total`` by topic, document and chunk; roots are matrices
    (dim, dim) that give a covariance of trace 1; ``sections`` is the part of the chunk's share between sections.
    """

    mean: Vectors
    total: float
    shares: tuple[float, float, float]
    overall_root: Vectors
    within_root: Vectors
    sizes: NDArray[np.int64]
    spreads: Vectors
    sections: float


_DOCUMENTS_PER_TOPIC = 20
_CHUNKS_PER_SECTION = 4
_BATCH = 32_768


def fit(real: RealVectors, seed: int = 0) -> Hierarchy:
    """The statistics of ``real``, with no sections."""
    vectors, owner = real.vectors.astype(np.float64), real.documents
    sizes = np.bincount(owner)
    means = np.zeros((len(sizes), vectors.shape[1]))
    np.add.at(means, owner, vectors)
    means /= sizes[:, None]
    apart = vectors - means[owner]
    many = sizes[owner] >= 3
    within = np.cov((apart[many] * np.sqrt(sizes[owner][many] / (sizes[owner][many] - 1))[:, None]).T)
    squares = np.bincount(owner, weights=(apart**2).sum(axis=1))
    spreads = np.sqrt(squares[sizes >= 5] / (sizes[sizes >= 5] - 1) / np.trace(within))
    overall = np.cov(vectors.T)
    clusters = max(2, len(sizes) // _DOCUMENTS_PER_TOPIC)
    means32 = np.ascontiguousarray(means, dtype=np.float32)
    kmeans = faiss.Kmeans(vectors.shape[1], clusters, niter=20, seed=seed, min_points_per_centroid=1)
    kmeans.train(means32)
    topic = kmeans.index.search(means32, 1)[1][:, 0]
    centres = np.stack([means[topic == each].mean(axis=0) for each in range(clusters)])
    total, chunk_part = float(np.trace(overall)), float(np.trace(within))
    between = float(((means - centres[topic]) ** 2).sum() / (len(sizes) - clusters) - chunk_part * np.mean(1 / sizes))
    between = max(between, 0.01 * total)
    shares = (max(total - chunk_part - between, 0.01 * total) / total, between / total, chunk_part / total)
    mean = vectors.mean(axis=0).astype(np.float32)
    roots = (_root(overall), _root(within))
    return Hierarchy(mean, total, shares, *roots, sizes, spreads.astype(np.float32), 0.0)


def _root(covariance: NDArray[np.float64]) -> Vectors:
    values, axes = np.linalg.eigh(covariance / np.trace(covariance))
    return np.ascontiguousarray((axes * np.sqrt(np.clip(values, 0, None))).T, dtype=np.float32)


def sample(model: Hierarchy, out: Vectors, seed: int) -> None:
    """Fill ``out`` (n, dim), chunks of a document one after the other; ``out`` may be mapped."""
    rng = np.random.default_rng(seed)
    for start in range(0, len(out), _BATCH):
        block = out[start : start + _BATCH]
        block[:] = _documents(model, rng, len(block))


def _documents(model: Hierarchy, rng: np.random.Generator, count: int) -> Vectors:
    sizes = rng.choice(model.sizes, size=count)
    sizes = sizes[: int(np.searchsorted(np.cumsum(sizes), count)) + 1]
    owner = np.repeat(np.arange(len(sizes)), sizes)[:count]
    place = np.arange(count) - (np.cumsum(sizes) - sizes)[owner]
    section = np.unique(owner * count + place // _CHUNKS_PER_SECTION, return_inverse=True)[1]
    topics = len(sizes) // _DOCUMENTS_PER_TOPIC + 1

    def drawn(number: int, root: Vectors, share: float) -> Vectors:
        spread = np.float32(np.sqrt(share * model.total))
        return (rng.standard_normal((number, len(root)), dtype=np.float32) @ root) * spread

    topic = drawn(topics, model.overall_root, model.shares[0])
    document = topic[np.arange(len(sizes)) % topics] + drawn(len(sizes), model.overall_root, model.shares[1])
    inside = drawn(int(section[-1]) + 1, model.within_root, model.shares[2] * model.sections)[section]
    inside += drawn(count, model.within_root, model.shares[2] * (1 - model.sections))
    vectors = model.mean + document[owner] + rng.choice(model.spreads, size=len(sizes))[owner][:, None] * inside
    unit: Vectors = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    return unit


def neighbour_cosines(vectors: Vectors, ks: tuple[int, ...] = (1, 10)) -> dict[int, float]:
    """The median cosine of a vector to its k-th nearest other, over every fifth vector."""
    scores, _ = faiss.knn(vectors[::5], vectors, max(ks) + 1, metric=faiss.METRIC_INNER_PRODUCT)
    return {k: float(np.median(scores[:, k])) for k in ks}


def calibrated(model: Hierarchy, real: RealVectors) -> Hierarchy:
    """``model`` with the part of sections at which as many synthetic vectors have the real nearest neighbours."""
    wanted = neighbour_cosines(real.vectors)[1]
    low, high = 0.0, 0.95
    for _ in range(6):
        middle = replace(model, sections=(low + high) / 2)
        made = np.empty_like(real.vectors)
        sample(middle, made, 1)
        low, high = (middle.sections, high) if neighbour_cosines(made)[1] < wanted else (low, middle.sections)
    return replace(model, sections=(low + high) / 2)
