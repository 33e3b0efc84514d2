"""Real vectors to measure indexes with, and synthetic ones with their statistics.

    python -m bench.dense_vectors OUT.npz [--data FOLDER]

encodes the sample company's texts, and the Markdown and text files below FOLDER (at most the first 400,000 characters of
each), cut and encoded as the service does it, with the questions of FOLDER's sets as queries.
"""

from __future__ import annotations

import argparse
import csv
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ingest.chunk import chunk
from ingest.chunking import ChunkingSettings
from ingest.elements import encoded_text
from ingest.plain import parse_plain
from retrieval.encoder import load_encoder

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


def main() -> None:
    """Read the command line, encode, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("--data", type=Path)
    options = parser.parse_args()
    encoder = load_encoder("all-MiniLM-L6-v2")
    parts: list[str] = []
    documents: list[int] = []
    for number, text in enumerate(texts(options.data)):
        parsed = parse_plain(text, "text/markdown")
        cut = chunk(parsed, encoder.count_tokens, encoder.max_tokens, ChunkingSettings())
        parts += [encoded_text(each.context, parsed.text[each.start : each.end]) for each in cut]
        documents += [number] * len(cut)
    print(f"{len(parts)} chunks of {len(set(documents))} documents", flush=True)
    vectors = encoder.encode(parts)
    queries = encoder.encode(questions(options.data), kind="query")
    np.savez(options.out, vectors=vectors, documents=np.unique(documents, return_inverse=True)[1], queries=queries)
    print(f"{vectors.shape} vectors, {queries.shape} queries")


if __name__ == "__main__":
    main()
