"""What an encoder's precision costs: nDCG@10 with documents in float32, bfloat16 and int8, on the sets of ``bench.retrieval``.

    python -m bench.precision FOLDER [--sets northwind,chunking,wice,handbook,site-policy] [--cache FOLDER] [--out FILE]

Same chunks, same float32 queries, same index; only the documents' vectors differ. ``loss`` is float32's value less the other's,
with the 95 % interval of a paired bootstrap over the questions: below 0 it is a gain. ``cosine`` is to the float32 vector.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from bench.retrieval import SETS, Task, ndcg
from ingest.chunk import chunk
from ingest.elements import encoded_text
from retrieval.encoders.encoder import DEFAULT_ENCODER, INT8_ENCODER, Encoder, load_encoder
from retrieval.filters import DocumentFacts
from retrieval.view import CollectionView, IndexedChunk, Mode, new_view

MODES: tuple[Mode, ...] = ("dense", "hybrid")
_RESAMPLES = 2000


def measure(task: Task, encoders: dict[str, Encoder]) -> dict[str, Any]:
    """Every precision's nDCG@10 in each mode, its loss and its cosines."""
    first = next(iter(encoders.values()))
    queries = first.encode(task.questions, kind="query")
    units, texts, documents = _cut(task, first)
    # A query is not rounded by any of them: that is float32.
    reference = first.encode(texts, kind="query")
    vectors = {"float32": reference} | {name: encoder.encode(texts) for name, encoder in encoders.items()}
    result: dict[str, Any] = {"chunks": len(texts), "questions": sum(bool(gold) for gold in task.gold)}
    exact: dict[str, np.ndarray] = {}
    for name, rows in vectors.items():
        view = _view(documents, rows, first.dim)
        cosines = (rows * reference).sum(axis=1)
        result[name] = {"cosine": {"mean": round(float(cosines.mean()), 5), "lowest": round(float(cosines.min()), 5)}}
        for mode in MODES:
            values = _ndcgs(view, task, queries, units, mode)
            exact.setdefault(mode, values)
            result[name][mode] = {"ndcg@10": round(float(values.mean()), 4), **_loss(exact[mode] - values)}
    return result


def _cut(task: Task, encoder: Encoder) -> tuple[list[str], list[str], list[tuple[DocumentFacts, list[IndexedChunk]]]]:
    """Each chunk's unit, what is embedded of it, and the documents with chunks that have no vector yet."""
    units: list[str] = []
    texts: list[str] = []
    documents = []
    for name, (title, parsed) in task.documents.items():
        chunks = []
        for piece in chunk(parsed, encoder.count_tokens, encoder.max_tokens, title=title or None):
            text = parsed.text[piece.start : piece.end]
            chunks.append(IndexedChunk(len(units), piece.context, text, None, piece.page))
            texts.append(encoded_text(piece.context, text))
            units.append(f"{name}#{piece.page}" if task.by_page else name)
        documents.append((DocumentFacts(name, name, title, None, None, 1), chunks))
    return units, texts, documents


def _view(documents: list[tuple[DocumentFacts, list[IndexedChunk]]], vectors: np.ndarray, dim: int) -> CollectionView:
    view = new_view("bench", dim)
    view.put_documents(
        (facts, [IndexedChunk(c.key, c.context, c.text, vectors[c.key], c.page) for c in chunks])
        for facts, chunks in documents
    )
    return view


def _ndcgs(view: CollectionView, task: Task, queries: np.ndarray, units: list[str], mode: Mode) -> np.ndarray:
    values = []
    for question, vector, gold in zip(task.questions, queries, task.gold, strict=True):
        if gold:
            ranked = [units[hit.key] for hit in view.search(question, vector, mode=mode, k=100)]
            values.append(ndcg(list(dict.fromkeys(ranked)), gold))
    return np.array(values)


def _loss(differences: np.ndarray) -> dict[str, Any]:
    rng = np.random.default_rng(1)
    means = differences[rng.integers(0, len(differences), (_RESAMPLES, len(differences)))].mean(axis=1)
    low, high = np.quantile(means, [0.025, 0.975])
    return {"loss": round(float(differences.mean()), 4), "interval": [round(float(low), 4), round(float(high), 4)]}


def main() -> None:
    """Read the command line, measure each set that is there, print a table and write JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--sets", default=",".join(SETS))
    parser.add_argument("--cache", type=Path, help="Folder that keeps the converted encoders; unset = a temporary one.")
    parser.add_argument("--out", type=Path, default=Path(__file__).with_suffix(".json"))
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        loaded = [
            load_encoder(name, runtime="openvino", cache=options.cache or Path(folder))
            for name in (DEFAULT_ENCODER, INT8_ENCODER)
        ]
    encoders = {encoder.precision: encoder for encoder in loaded}
    results: dict[str, Any] = {}
    print(f"{'set':12} {'documents':10} {'search':8} {'ndcg@10':>8} {'loss':>8} {'interval':>18} {'cosine':>16}")
    for name in options.sets.split(","):
        folder_name, read = SETS[name]
        if not (options.folder / folder_name).is_dir():
            print(f"{name:12} not there")
            continue
        results[name] = measure(read(options.folder), encoders)
        for precision in ("float32", *encoders):
            found = results[name][precision]
            for mode in MODES:
                values, cosine = found[mode], found["cosine"]
                print(
                    f"{name:12} {precision:10} {mode:8} {values['ndcg@10']:8.4f} {values['loss']:8.4f}"
                    f" {values['interval']!s:>18} {cosine['mean']:.4f}/{cosine['lowest']:.4f}",
                    flush=True,
                )
        written = {"encoders": {precision: encoder.name for precision, encoder in encoders.items()}, "sets": results}
        options.out.write_text(json.dumps(written, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
