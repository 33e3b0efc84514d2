"""How well the pages and documents that answer a question are found, beside plain searches of the same texts.

    python -m bench.retrieval FOLDER [--sets northwind,chunking,wice,handbook,site-policy] [--out FILE]

FOLDER holds public question sets; one that is not there is left out. Each becomes units to be found (pages of
the PDFs, else documents) and questions with their gold units:

northwind     pages of PDFs; the reference answer names the gold page as ``[file.pdf#page=n]``
chunking      stretches of about 2,500 characters of five corpora; gold are those that hold the evidence's
characters wice          web pages; the question is a claim, gold the page that was given as its evidence
(``grounding/wice_tokens_train.jsonl``) handbook      sections of Markdown pages; the question is the
section's heading, which is left out of its text site-policy   the same

Compared are ``plain`` searches, one vector (of title and text, cut at the encoder's window) and one BM25
entry (k1 = 1.2, b = .75) a unit, fused by min-max half and half over 100 hits of each leg; and ours, over the
chunks that the ingest makes. ``ndcg@10`` ranks units, each by its best chunk; ``unit@5`` is how often a gold
unit is among the first five results.
"""

from __future__ import annotations

import argparse
import csv
import json
import math
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ingest.chunk import chunk
from ingest.elements import ParsedDocument, encoded_text
from ingest.plain import parse_plain
from ingest.sandbox import Sandbox
from retrieval.encoders.encoder import Encoder, load_encoder
from retrieval.filters import DocumentFacts
from retrieval.lexical.memory import FieldWeights, LexicalEntry, TantivyLexical
from retrieval.ranking.fusion import fuse_min_max
from retrieval.view import CollectionView, IndexedChunk, Mode, new_view

_GOLD_PAGE = re.compile(r"\[([^\]#]+\.pdf)#page=(\d+)\]")
_STRETCH = 2_500
_SECTIONS = 300


@dataclass(frozen=True, slots=True)
class Task:
    """Documents (with their title) and questions; gold units are ``name`` or, with ``by_page``, ``name#page``."""

    documents: dict[str, tuple[str, ParsedDocument]]
    questions: list[str]
    gold: list[set[str]]
    by_page: bool = False


def northwind(folder: Path) -> Task:
    """Read the PDFs and the questions whose answers name a page."""
    with Sandbox(timeout_s=300, memory_mb=2048, workers=1) as sandbox:
        parsed = {
            path.name: sandbox.parse(path, path.name) for path in sorted((folder / "northwind/docs").glob("*.pdf"))
        }
    lines = (folder / "northwind/qa.jsonl").read_text(encoding="utf-8").splitlines()
    items = [json.loads(line) for line in lines if line.strip()]
    gold = [{f"{name}#{int(page)}" for name, page in _GOLD_PAGE.findall(item["truth"])} for item in items]
    documents = {name: (document.title or "", document) for name, document in parsed.items()}
    return Task(documents, [item["question"] for item in items], gold, by_page=True)


def chunking(folder: Path) -> Task:
    """Cut the corpora into stretches that end with a sentence, and find those that the evidence lies in."""
    documents: dict[str, tuple[str, ParsedDocument]] = {}
    places: dict[str, list[tuple[int, int, str]]] = {}
    for path in sorted((folder / "chunking/corpora").glob("*.md")):
        text = path.read_text(encoding="utf-8")
        start = 0
        while start < len(text):
            end = text.rfind(". ", start + _STRETCH // 2, start + _STRETCH) + 1 or start + _STRETCH
            name = f"{path.stem}-{start}"
            documents[name] = ("", parse_plain(text[start:end]))
            places.setdefault(path.stem, []).append((start, end, name))
            start = end
    questions, gold = [], []
    csv.field_size_limit(10_000_000)
    with (folder / "chunking/questions_df.csv").open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            middles = [(ref["start_index"] + ref["end_index"]) // 2 for ref in json.loads(row["references"])]
            gold.append({name for s, e, name in places[row["corpus_id"]] if any(s <= m < e for m in middles)})
            questions.append(row["question"])
    return Task(documents, questions, gold)


def wice(folder: Path) -> Task:
    """Claims and the web pages that were given as their evidence."""
    documents: dict[str, tuple[str, ParsedDocument]] = {}
    names: dict[str, str] = {}
    questions, gold = [], []
    for line in (folder / "grounding/wice_tokens_train.jsonl").read_text(encoding="utf-8").splitlines():
        item = json.loads(line)
        meta = [sentence for sentence in item["evidence"] if sentence.startswith("(meta data) TITLE:")]
        body = "\n".join(sentence for sentence in item["evidence"] if not sentence.startswith("(meta data)"))
        name = names.setdefault(body, f"page-{len(names)}")
        documents[name] = (meta[0].partition(": ")[2] if meta else "", parse_plain(body))
        questions.append(item["claim"])
        gold.append({name})
    return Task(documents, questions, gold)


def headings(folder: Path) -> Task:
    """Sections by their heading; every n-th of those with 200 characters or more, ``_SECTIONS`` at most."""
    found = []
    for path in sorted(folder.rglob("*.md")):
        parts = re.split(r"^#{1,4} (.+)$", path.read_text(encoding="utf-8"), flags=re.MULTILINE)
        for heading, body in zip(parts[1::2], parts[2::2], strict=True):
            words = re.sub(r"[#*`\[\]{}]|\(.*?\)", "", heading).strip()
            if len(body.strip()) >= 200 and " " in words:
                found.append((path.stem.replace("-", " "), words, body.strip()))
    found = found[:: max(1, len(found) // _SECTIONS)][:_SECTIONS]
    documents = {str(i): (title, parse_plain(body)) for i, (title, _, body) in enumerate(found)}
    return Task(documents, [words for _, words, _ in found], [{str(i)} for i in range(len(found))])


SETS: dict[str, tuple[str, Callable[[Path], Task]]] = {
    "northwind": ("northwind", northwind),
    "chunking": ("chunking", chunking),
    "wice": ("grounding", wice),
    "handbook": ("handbook", lambda folder: headings(folder / "handbook")),
    "site-policy": ("site-policy", lambda folder: headings(folder / "site-policy")),
}


def ndcg(ranked: Sequence[str], gold: set[str], k: int = 10) -> float:
    """nDCG@k with gains of 1: ``sum(1 / log2(rank + 1))`` of the gold units found, over that of the ideal order."""
    got = sum(1 / math.log2(rank + 1) for rank, unit in enumerate(ranked[:k], 1) if unit in gold)
    return got / sum(1 / math.log2(rank + 1) for rank in range(1, min(k, len(gold)) + 1))


def scored(rankings: Iterable[Sequence[str]], gold: Sequence[set[str]]) -> dict[str, float]:
    """Means over the questions; a ranking is the unit of each result, best first, units repeated."""
    pairs = [(list(ranked), wanted) for ranked, wanted in zip(rankings, gold, strict=True) if wanted]
    return {
        "ndcg@10": float(np.mean([ndcg(list(dict.fromkeys(ranked)), wanted) for ranked, wanted in pairs])),
        "unit@5": float(np.mean([not wanted.isdisjoint(ranked[:5]) for ranked, wanted in pairs])),
    }


@dataclass(frozen=True, slots=True)
class Indexed:
    """A task's chunks in an index: by key their unit and their ``(context, text)``; by unit its title and texts."""

    view: CollectionView
    unit_of: list[str]
    chunks: list[tuple[str, str]]
    whole: dict[str, tuple[str, list[str]]]


def indexed(task: Task, encoder: Encoder) -> Indexed:
    """Cut, encode and index a task's documents, as the ingest does."""
    found = Indexed(new_view("bench", encoder.dim), [], [], {})
    loaded: list[tuple[DocumentFacts, list[IndexedChunk]]] = []
    for name, (title, parsed) in task.documents.items():
        pieces = chunk(parsed, encoder.count_tokens, encoder.max_tokens, title=title or None)
        texts = [parsed.text[piece.start : piece.end] for piece in pieces]
        contexts = [piece.context for piece in pieces]
        vectors = encoder.encode([encoded_text(c, t) for c, t in zip(contexts, texts, strict=True)])
        chunks = []
        for piece, text, vector in zip(pieces, texts, vectors, strict=True):
            unit = f"{name}#{piece.page}" if task.by_page else name
            chunks.append(IndexedChunk(len(found.unit_of), piece.context, text, vector, piece.page))
            found.whole.setdefault(unit, (title, []))[1].append(text)
            found.unit_of.append(unit)
            found.chunks.append((piece.context, text))
        loaded.append((DocumentFacts(name, name, title, None, None, 1), chunks))
    found.view.put_documents(loaded)
    return found


def measure(task: Task, encoder: Encoder) -> dict[str, dict[str, float]]:
    """Every system's scores on a task."""
    found = indexed(task, encoder)
    queries = encoder.encode(task.questions, kind="query")
    systems: dict[str, dict[str, float]] = {}
    modes: tuple[Mode, ...] = ("lexical", "dense", "hybrid")
    for mode in modes:
        ranked = [
            [found.unit_of[hit.key] for hit in found.view.search(question, vector, mode=mode, k=100)]
            for question, vector in zip(task.questions, queries, strict=True)
        ]
        systems[mode] = scored(ranked, task.gold)
    systems |= _plain(found.whole, task, queries, encoder)
    return systems


def _plain(
    whole: dict[str, tuple[str, list[str]]], task: Task, queries: np.ndarray, encoder: Encoder
) -> dict[str, dict[str, float]]:
    units = list(whole)
    lexical = TantivyLexical(weights=FieldWeights(body=1.0, surroundings=0.0, identifiers=0.0))
    lexical.add(LexicalEntry(i, title, "\n".join(texts)) for i, (title, texts) in enumerate(whole.values()))
    lexical.commit()
    # As queries, for those are cut at the window.
    vectors = encoder.encode([encoded_text(t, "\n".join(texts)) for t, texts in whole.values()], kind="query")
    legs: dict[str, list[list[str]]] = {"plain lexical": [], "plain dense": [], "plain hybrid": []}
    for question, row in zip(task.questions, queries @ vectors.T, strict=True):
        by_words = dict(lexical.search(question, 100))
        by_vector = {int(i): float(row[i]) for i in np.argsort(-row, kind="stable")[:100]}
        legs["plain lexical"].append([units[key] for key in by_words])
        legs["plain dense"].append([units[key] for key in by_vector])
        legs["plain hybrid"].append([units[hit.key] for hit in fuse_min_max(by_vector, by_words)])
    return {name: scored(ranked, task.gold) for name, ranked in legs.items()}


def main() -> None:
    """Read the command line, measure each set that is there, print a table and write JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--sets", default=",".join(SETS))
    parser.add_argument("--encoder", default="all-MiniLM-L6-v2")
    parser.add_argument("--out", type=Path, default=Path(__file__).with_suffix(".json"))
    options = parser.parse_args()
    encoder = load_encoder(options.encoder)
    results: dict[str, dict[str, dict[str, float]]] = {}
    print(f"{'set':12} {'search':14} {'ndcg@10':>8} {'unit@5':>8}")
    for name in options.sets.split(","):
        folder, read = SETS[name]
        if not (options.folder / folder).is_dir():
            print(f"{name:12} not there")
            continue
        results[name] = measure(read(options.folder), encoder)
        for system, scores in results[name].items():
            print(f"{name:12} {system:14} {scores['ndcg@10']:8.4f} {scores['unit@5']:8.3f}", flush=True)
        written = {"encoder": encoder.name, "sets": results}
        options.out.write_text(json.dumps(written, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
