"""What each way of cutting documents finds, and at which price.

    python -m bench.chunking FOLDER [--sets spans,pages,company] [--only title-160,size-200-32] [--cache FILE] [--out FILE]

FOLDER holds public question sets; one that is not there is left out. Each strategy cuts the same texts into one collection a
set, which is searched twice: ``dense`` ranks by the cosine of the chunks' vectors alone, ``hybrid`` is the search of the service.

spans       ``chunking/corpora/*.md`` and ``chunking/questions_df.csv``, whose questions give the exact characters of their
            evidence. A token (a word or a sign) counts where it begins. ``recall@5``: evidence tokens in the first 5 chunks;
            ``precision@5``: share of these chunks' tokens that is evidence, what is repeated counting as often as it is shown;
            ``iou@5``: evidence found, over evidence and retrieved tokens together. Means over the questions.
pages       ``northwind/docs/*.pdf`` and ``northwind/qa.jsonl``, whose answers name gold pages as ``[file.pdf#page=n]``.
            ``page@5``: a gold page is among the first 5 chunks; ``recall@10`` and ``ndcg@10`` rank pages, each by its best chunk.
company     the sample company's gold set (in this repository): ``recall@10`` and ``ndcg@10`` of quoted evidence.

Strategies are named by strategy, target and overlap (``size-200-32``), with ``-whole`` where tables stay whole.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import json
import re
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bench.retrieval import northwind, scored
from evals.anchors import Anchor, resolve
from evals.gold import items_from
from evals.ranking import by_evidence
from evals.scoring import retrieval_scores
from ingest.chunk import chunk
from ingest.chunking import ChunkingSettings, read_chunking
from ingest.elements import Chunk, ParsedDocument, encoded_text
from ingest.plain import parse_plain
from ingest.sandbox import Sandbox
from retrieval.encoders.encoder import Encoder, Kind, load_encoder
from retrieval.filters import DocumentFacts
from retrieval.passage import DocumentRef, Passage
from retrieval.view import CollectionView, IndexedChunk, Mode, new_view

STRATEGIES = (
    *(
        "title-160",
        "title-96",
        "title-128",
        "title-200",
        "title-256",
        "title-160-32",
        "title-160-64",
        "title-160-whole",
    ),
    *("size-160", "size-160-32", "size-160-64", "size-160-whole", "size-200", "size-200-32", "size-256"),
)
_COMPANY = Path(__file__).parents[1] / "evals/data"
_TOKEN = re.compile(r"\w+|[^\w\s]")
_MODES: tuple[Mode, ...] = ("dense", "hybrid")
_K, _DEPTH = 5, 10
Range = tuple[int, int]
Scores = dict[str, dict[str, float]]


class KeptVectors:
    """An encoder that encodes equal texts once, also over several runs: vectors are kept in ``path`` where one is given."""

    def __init__(self, encoder: Encoder, path: Path | None) -> None:
        self._encoder, self._path = encoder, path
        self._vectors: dict[str, NDArray[np.float32]] = {}
        self._counts: dict[str, int] = {}
        if path is not None and path.is_file():
            with np.load(path) as stored:
                self._vectors = dict(zip(stored["keys"].tolist(), stored["vectors"], strict=True))

    def encode(self, texts: Sequence[str], kind: Kind = "document") -> NDArray[np.float32]:
        """The encoder's vectors, shape (len(texts), dim)."""
        keys = [hashlib.sha256(f"{self._encoder.name}\0{kind}\0{text}".encode()).hexdigest() for text in texts]
        missing = {key: text for key, text in zip(keys, texts, strict=True) if key not in self._vectors}
        if missing:
            found = self._encoder.encode(list(missing.values()), kind=kind)
            self._vectors.update(zip(missing, found, strict=True))
        return np.stack([self._vectors[key] for key in keys])

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        """Tokens of each text."""
        missing = [text for text in dict.fromkeys(texts) if text not in self._counts]
        self._counts.update(zip(missing, self._encoder.count_tokens(missing), strict=True))
        return [self._counts[text] for text in texts]

    def save(self) -> None:
        """Write the vectors to ``path``."""
        if self._path is not None:
            np.savez(self._path, keys=np.array(list(self._vectors)), vectors=np.stack(list(self._vectors.values())))


@dataclass(frozen=True, slots=True)
class Corpus:
    """Documents by name, cut and indexed: ``chunks[key]`` lies in document ``names[key]``."""

    documents: dict[str, ParsedDocument]
    names: list[str]
    chunks: list[Chunk]
    tokens: list[int]
    view: CollectionView
    seconds: float

    def ranked(self, questions: Sequence[str], vectors: NDArray[np.float32], mode: Mode, k: int) -> list[list[int]]:
        """For each question the keys of the ``k`` best chunks."""
        return [
            [hit.key for hit in self.view.search(question, vector, mode=mode, k=k)]
            for question, vector in zip(questions, vectors, strict=True)
        ]

    def sizes(self) -> dict[str, float]:
        """How many chunks there are, their mean tokens without context, and the seconds that cutting took."""
        return {
            "chunks": len(self.chunks),
            "tokens": round(float(np.mean(self.tokens)), 1),
            "cutting_s": round(self.seconds, 2),
        }


def settings_of(name: str) -> ChunkingSettings:
    """The settings that a strategy's name stands for."""
    strategy, target, *rest = name.split("-")
    overlap = next((int(part) for part in rest if part.isdigit()), 0)
    tables = "whole" if "whole" in rest else "rows"
    return read_chunking(
        {"strategy": strategy, "target_tokens": int(target), "overlap_tokens": overlap, "tables": tables}
    )


def index(
    documents: dict[str, ParsedDocument], settings: ChunkingSettings, kept: KeptVectors, encoder: Encoder
) -> Corpus:
    """Cut ``documents`` and index them as the service does."""
    names: list[str] = []
    chunks: list[Chunk] = []
    tokens: list[int] = []
    view = new_view("bench", encoder.dim)
    loaded: list[tuple[DocumentFacts, list[IndexedChunk]]] = []
    seconds = 0.0
    for name, parsed in documents.items():
        started = time.perf_counter()
        cut = chunk(parsed, encoder.count_tokens, encoder.max_tokens, settings)
        seconds += time.perf_counter() - started
        texts = [parsed.text[each.start : each.end] for each in cut]
        vectors = kept.encode([encoded_text(each.context, text) for each, text in zip(cut, texts, strict=True)])
        ends = [0, *(each.end for each in cut)]
        own = [
            IndexedChunk(len(chunks) + n, each.context, text, vector, each.page, max(0, ends[n] - each.start))
            for n, (each, text, vector) in enumerate(zip(cut, texts, vectors, strict=True))
        ]
        loaded.append((DocumentFacts(name, name, parsed.title, None, None, 1), own))
        tokens += kept.count_tokens(texts)
        names += [name] * len(cut)
        chunks += cut
    view.put_documents(loaded)
    return Corpus(documents, names, chunks, tokens, view, seconds)


# --- spans


@dataclass(frozen=True, slots=True)
class Spans:
    """Questions with the corpus and the characters of their evidence; ``begun[name][i]`` tokens begin before character i."""

    documents: dict[str, ParsedDocument]
    questions: list[str]
    evidence: list[tuple[str, list[Range]]]
    begun: dict[str, NDArray[np.int64]]


def read_spans(folder: Path) -> Spans:
    """Read the corpora as they are: the spans count in the files' own characters."""
    csv.field_size_limit(10_000_000)
    documents, begun = {}, {}
    for path in sorted((folder / "chunking/corpora").glob("*.md")):
        text = path.read_bytes().decode("utf-8")
        documents[path.stem] = parse_plain(text, "text/markdown")
        if documents[path.stem].text != text:
            raise SystemExit(f"{path.stem}: the text was changed, its spans would not fit")
        marks = np.zeros(len(text) + 1, dtype=np.int64)
        marks[[found.start() + 1 for found in _TOKEN.finditer(text)]] = 1
        begun[path.stem] = np.cumsum(marks)
    questions, evidence = [], []
    with (folder / "chunking/questions_df.csv").open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            spans = [(ref["start_index"], ref["end_index"]) for ref in json.loads(row["references"])]
            questions.append(row["question"])
            evidence.append((row["corpus_id"], merged(spans)))
    return Spans(documents, questions, evidence, begun)


def merged(ranges: Sequence[Range]) -> list[Range]:
    """The same characters in ranges that do not touch."""
    out: list[Range] = []
    for start, end in sorted(ranges):
        if out and start <= out[-1][1]:
            out[-1] = (out[-1][0], max(end, out[-1][1]))
        else:
            out.append((start, end))
    return out


def span_scores(
    wanted: Sequence[Range], taken: Sequence[Range], elsewhere: int, begun: NDArray[np.int64]
) -> tuple[float, float, float]:
    """Recall, precision and IoU of evidence tokens; ``elsewhere`` tokens were retrieved from other texts."""

    def tokens(ranges: Sequence[Range]) -> int:
        return sum(int(begun[end] - begun[start]) for start, end in ranges)

    both = [(max(a[0], b[0]), min(a[1], b[1])) for a in merged(taken) for b in wanted]
    hit = tokens([part for part in both if part[0] < part[1]])
    evidence, retrieved = tokens(wanted), tokens(taken) + elsewhere
    return hit / evidence, hit / retrieved, hit / (evidence + retrieved - hit)


def measure_spans(spans: Spans, corpus: Corpus, queries: NDArray[np.float32]) -> Scores:
    """Recall, precision and IoU at 5."""
    found: Scores = {}
    for mode in _MODES:
        rows = []
        ranked = corpus.ranked(spans.questions, queries, mode, _K)
        for (name, wanted), keys in zip(spans.evidence, ranked, strict=True):
            places = [(corpus.names[key], (corpus.chunks[key].start, corpus.chunks[key].end)) for key in keys]
            elsewhere = sum(int(spans.begun[n][end] - spans.begun[n][start]) for n, (start, end) in places if n != name)
            rows.append(span_scores(wanted, [place for n, place in places if n == name], elsewhere, spans.begun[name]))
        recall, precision, iou = np.mean(rows, axis=0)
        found[mode] = {"recall@5": float(recall), "precision@5": float(precision), "iou@5": float(iou)}
    return found


# --- pages


def measure_pages(
    questions: Sequence[str], gold: Sequence[set[str]], corpus: Corpus, queries: NDArray[np.float32]
) -> Scores:
    """Gold page in the first 5 chunks; recall and nDCG of pages at 10."""
    found: Scores = {}
    for mode in _MODES:
        rankings = [
            [f"{corpus.names[key]}#{corpus.chunks[key].page}" for key in keys]
            for keys in corpus.ranked(questions, queries, mode, 100)
        ]
        scores = scored(rankings, gold)
        recalls = [
            len(wanted & set(list(dict.fromkeys(ranked))[:_DEPTH])) / len(wanted)
            for ranked, wanted in zip(rankings, gold, strict=True)
            if wanted
        ]
        found[mode] = {"page@5": scores["unit@5"], "recall@10": float(np.mean(recalls)), "ndcg@10": scores["ndcg@10"]}
    return found


# --- the sample company


def read_company() -> tuple[dict[str, ParsedDocument], list[tuple[str, list[Anchor]]]]:
    """The sample company's documents, and its answerable questions with the places of their evidence."""
    rows = [json.loads(line) for line in (_COMPANY / "company.jsonl").read_text(encoding="utf-8").splitlines()]
    with Sandbox(timeout_s=300, memory_mb=2048, workers=1) as sandbox:
        documents = {row["external_id"]: sandbox.parse(_COMPANY / "company" / row["path"], row["path"]) for row in rows}
    lines = (_COMPANY / "goldset.jsonl").read_text(encoding="utf-8").splitlines()
    asked = []
    for item in items_from((f"line {n}", json.loads(line)) for n, line in enumerate(lines, 1)):
        evidence = item.evidence or ()
        anchors = [resolve(each, documents[each.external_id].text) for each in evidence]
        placed = [anchor for anchor in anchors if isinstance(anchor, Anchor)]
        if item.answerable and placed:
            asked.append((item.question, placed))
    return documents, asked


def measure_company(asked: Sequence[tuple[str, list[Anchor]]], corpus: Corpus, queries: NDArray[np.float32]) -> Scores:
    """Recall and nDCG of evidence at 10."""
    found: Scores = {}
    for mode in _MODES:
        rows = []
        for (_, anchors), keys in zip(asked, corpus.ranked([q for q, _ in asked], queries, mode, _DEPTH), strict=True):
            passages = [_passage(corpus, key) for key in keys]
            rows.append(retrieval_scores(by_evidence(passages, anchors)))
        found[mode] = {name: float(np.mean([row[name] for row in rows])) for name in ("recall@10", "ndcg@10")}
    return found


def _passage(corpus: Corpus, key: int) -> Passage:
    name, each = corpus.names[key], corpus.chunks[key]
    text = corpus.documents[name].text[each.start : each.end]
    return Passage(str(key), DocumentRef(name, name, 1), text, each.heading_path, each.page, each.start, each.end)


def main() -> None:
    """Read the command line, measure each strategy on each set that is there, print a table and write JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--sets", default="spans,pages,company")
    parser.add_argument("--only", default=",".join(STRATEGIES))
    parser.add_argument("--encoder", default="all-MiniLM-L6-v2")
    parser.add_argument("--cache", type=Path)
    parser.add_argument("--out", type=Path, default=Path(__file__).with_suffix(".json"))
    options = parser.parse_args()
    encoder = load_encoder(options.encoder)
    kept = KeptVectors(encoder, options.cache)
    tasks: dict[str, tuple[dict[str, ParsedDocument], list[str], Callable[[Corpus, NDArray[np.float32]], Scores]]] = {}
    if "spans" in options.sets and (options.folder / "chunking").is_dir():
        spans = read_spans(options.folder)
        tasks["spans"] = spans.documents, spans.questions, lambda corpus, vectors: measure_spans(spans, corpus, vectors)
    if "pages" in options.sets and (options.folder / "northwind").is_dir():
        pages = northwind(options.folder)
        documents = {name: parsed for name, (_, parsed) in pages.documents.items()}
        tasks["pages"] = (
            documents,
            pages.questions,
            lambda corpus, vectors: measure_pages(pages.questions, pages.gold, corpus, vectors),
        )
    if "company" in options.sets:
        documents, asked = read_company()
        tasks["company"] = (
            documents,
            [question for question, _ in asked],
            lambda corpus, vectors: measure_company(asked, corpus, vectors),
        )
    results: dict[str, dict[str, object]] = {}
    for name in options.only.split(","):
        settings = settings_of(name)
        results[name] = {"settings": settings.as_json()}
        for task, (texts, questions, measure) in tasks.items():
            corpus = index(texts, settings, kept, encoder)
            scores = measure(corpus, kept.encode(questions, "query"))
            results[name][task] = {**corpus.sizes(), **scores}
            shown = "  ".join(f"{mode} {m} {v:.3f}" for mode, row in scores.items() for m, v in row.items())
            print(f"{name:16} {task:8} {len(corpus.chunks):5} chunks  {shown}", flush=True)
        kept.save()
        written = {"encoder": encoder.name, "strategies": results}
        options.out.write_text(json.dumps(written, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
