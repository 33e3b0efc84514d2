"""How chunk size changes what dense retrieval finds.

    python -m bench.chunking spans FOLDER [--targets 96,128,160] [--minimum 32] [--out FILE]
    python -m bench.chunking pages FOLDER [...]

``spans``: a folder with ``corpora/*.md`` and ``questions_df.csv``, whose questions give the exact
characters of their evidence. Measured are the evidence characters found in the first 5 chunks (recall), the
share of those chunks that is evidence (precision), and both in one (IoU: evidence found, over evidence and
retrieved text together), each a mean over the questions.

``pages``: a folder with ``docs/*.pdf`` and ``qa.jsonl``, whose answers name a gold page as
``[file.pdf#page=n]``. Measured is how often that page is among the first 5 chunks, and the mean reciprocal
rank of its first chunk in 10.
"""

from __future__ import annotations

import argparse
import csv
import json
import re
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ingest.chunk import chunk, encoded_text
from ingest.elements import Chunk, ParsedDocument
from ingest.plain import parse_plain
from ingest.sandbox import Sandbox
from retrieval.encoder import Encoder, load_encoder

_K = 5
_GOLD = re.compile(r"\[([^\]#]+\.pdf)#page=(\d+)\]")
Range = tuple[int, int]


def _vectors(parsed: ParsedDocument, chunks: Sequence[Chunk], encoder: Encoder) -> NDArray[np.float32]:
    return encoder.encode([encoded_text(each.context, parsed.text[each.start : each.end]) for each in chunks])


def _overlap(first: Sequence[Range], second: Sequence[Range]) -> int:
    """Characters in both; the ranges of each side do not overlap among themselves."""
    return sum(max(0, min(a[1], b[1]) - max(a[0], b[0])) for a in first for b in second)


def _merged(ranges: Sequence[Range]) -> list[Range]:
    out: list[Range] = []
    for start, end in sorted(ranges):
        if out and start <= out[-1][1]:
            out[-1] = (out[-1][0], max(end, out[-1][1]))
        else:
            out.append((start, end))
    return out


def measure_spans(folder: Path, encoder: Encoder, target: int, minimum: int) -> dict[str, float]:
    """Recall, precision and IoU of evidence characters, as the module's docstring defines them."""
    csv.field_size_limit(10_000_000)
    questions: dict[str, list[tuple[str, list[Range]]]] = {}
    with (folder / "questions_df.csv").open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            spans = [(ref["start_index"], ref["end_index"]) for ref in json.loads(row["references"])]
            questions.setdefault(row["corpus_id"], []).append((row["question"], _merged(spans)))
    scores: list[tuple[float, float, float]] = []
    sizes: list[int] = []
    chunking_s = 0.0
    for corpus, items in sorted(questions.items()):
        # Not through the Markdown reader: the spans count in the file's own characters.
        text = (folder / "corpora" / f"{corpus}.md").read_bytes().decode("utf-8")
        parsed = parse_plain(text, "text/markdown")
        if parsed.text != text:
            raise SystemExit(f"{corpus}: the text was changed, its spans would not fit")
        started = time.perf_counter()
        chunks = chunk(parsed, encoder.count_tokens, encoder.max_tokens, target_tokens=target, minimum_tokens=minimum)
        chunking_s += time.perf_counter() - started
        sizes += encoder.count_tokens([text[each.start : each.end] for each in chunks])
        found = encoder.encode([question for question, _ in items], kind="query") @ _vectors(parsed, chunks, encoder).T
        for (_, spans), row_scores in zip(items, found, strict=True):
            taken = [(chunks[i].start, chunks[i].end) for i in np.argsort(-row_scores, kind="stable")[:_K]]
            hit = _overlap(taken, spans)
            evidence = sum(end - start for start, end in spans)
            retrieved = sum(end - start for start, end in taken)
            scores.append((hit / evidence, hit / retrieved, hit / (evidence + retrieved - hit)))
    recall, precision, iou = np.mean(scores, axis=0)
    return {
        "recall@5": recall,
        "precision@5": precision,
        "iou@5": iou,
        "chunks": len(sizes),
        "tokens": float(np.mean(sizes)),
        "chunking_s": chunking_s,
    }


def measure_pages(
    parsed: dict[str, ParsedDocument], folder: Path, encoder: Encoder, target: int, minimum: int
) -> dict[str, float]:
    """How often the gold page is among the first 5 chunks."""
    places: list[tuple[str, int | None]] = []
    vectors: list[NDArray[np.float32]] = []
    for name, document in parsed.items():
        chunks = chunk(document, encoder.count_tokens, encoder.max_tokens, target_tokens=target, minimum_tokens=minimum)
        places += [(name, each.page) for each in chunks]
        vectors.append(_vectors(document, chunks, encoder))
    lines = (folder / "qa.jsonl").read_text(encoding="utf-8").splitlines()
    items = [json.loads(line) for line in lines if line.strip()]
    gold = [{(name, int(page)) for name, page in _GOLD.findall(item["truth"])} for item in items]
    scores = encoder.encode([item["question"] for item in items], kind="query") @ np.concatenate(vectors).T
    ranks: list[int | None] = []
    for wanted, row in zip(gold, scores, strict=True):
        order = np.argsort(-row, kind="stable")[:10]
        ranks.append(next((rank for rank, i in enumerate(order, 1) if places[i] in wanted), None))
    return {
        "page@5": float(np.mean([rank is not None and rank <= _K for rank in ranks])),
        "page@1": float(np.mean([rank == 1 for rank in ranks])),
        "mrr@10": float(np.mean([1 / rank if rank else 0.0 for rank in ranks])),
        "chunks": len(places),
        "questions": len(items),
    }


def main() -> None:
    """Read the command line, measure each target size, print a table and write JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("kind", choices=["spans", "pages"])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--targets", default="96,128,160,200")
    parser.add_argument("--minimum", default="32")
    parser.add_argument("--encoder", default="all-MiniLM-L6-v2")
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    encoder = load_encoder(options.encoder)
    parsed: dict[str, ParsedDocument] = {}
    if options.kind == "pages":
        with Sandbox(timeout_s=300, memory_mb=2048, workers=1) as sandbox:
            parsed = {
                path.name: sandbox.parse(path, path.name) for path in sorted((options.folder / "docs").glob("*.pdf"))
            }
    rows: list[dict[str, float]] = []
    for minimum in map(int, options.minimum.split(",")):
        for target in map(int, options.targets.split(",")):
            if options.kind == "spans":
                found = measure_spans(options.folder, encoder, target, minimum)
            else:
                found = measure_pages(parsed, options.folder, encoder, target, minimum)
            row = {"target": float(target), "minimum": float(minimum), **found}
            if not rows:
                print("  ".join(f"{name:>11}" for name in row))
            rows.append(row)
            print("  ".join(f"{value:>11.4g}" for value in row.values()), flush=True)
    if options.out is not None:
        options.out.write_text(json.dumps(rows, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
