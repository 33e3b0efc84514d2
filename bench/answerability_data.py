"""The questions of ``bench/answerability.py``: with the passages that a plain hybrid search gives them, and
what is right.

Sets: ``written`` (the test passages and questions of ``bench.answer_scorer``, searched among all of its
passages), ``probes`` (tiny invented collections beside this file), ``spans`` (public questions with the exact
spans of their evidence; unanswerable ones are made by taking the evidence away, by asking another corpus,
or by putting another question's name or number into the question) and ``pages`` (questions on PDFs with a
gold page, and ones written to be unanswerable).
"""

from __future__ import annotations

import csv
import json
import math
import random
import re
import zlib
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from pypdf import PdfReader

from bench.answer_scorer.data import load_lessons
from ingest.chunk import chunk
from ingest.parse import parse
from retrieval.answers.question import read_question
from retrieval.encoders.encoder import Encoder
from retrieval.passage import DocumentRef, Passage
from retrieval.sentences import split_sentences
from retrieval.terms import content_terms

PROBES = Path(__file__).with_name("answerability_probes.jsonl")
_PIECE_WORDS = 110
_TOP = 8
_WRITTEN = 700
# Of the questions "written to be unanswerable", those that a look into the PDFs confirms: absent topics
# and general knowledge.
_CONFIRMED = frozenset({0, 3, 4, 5, 17, *range(24, 45)})


@dataclass(frozen=True, slots=True)
class Item:
    """One question. ``facts`` are strings of which an answer contains at least one; ``split`` is ``dev`` or
    ``test``.
    """

    name: str
    split: str
    kind: str
    question: str
    answerable: bool
    passages: tuple[Passage, ...]
    facts: tuple[str, ...] = ()


class Corpus:
    """Passages with BM25 (k1 1.2, b .75) and vectors, searched by min-max fusion of both."""

    def __init__(self, passages: Sequence[Passage], encoder: Encoder) -> None:
        self.passages = list(passages)
        self._bags = [
            Counter(content_terms(f"{p.document.title} {' '.join(p.heading_path)} {p.text}")) for p in passages
        ]
        self._lengths = np.array([sum(bag.values()) for bag in self._bags], dtype=float)
        self._frequency = Counter(term for bag in self._bags for term in bag)
        texts = [f"{' '.join(p.heading_path)}\n{p.text}" for p in passages]
        self._encoder = encoder
        self._vectors = encoder.encode(texts, kind="query")

    def search(self, question: str, without: frozenset[int] = frozenset(), top: int = _TOP) -> tuple[Passage, ...]:
        """Return the best passages, leaving out the numbers in ``without``."""
        lexical = np.zeros(len(self.passages))
        norm = 1.2 * (0.25 + 0.75 * self._lengths / self._lengths.mean())
        for term in set(content_terms(question)):
            n = self._frequency[term]
            idf = math.log(1 + (len(self.passages) - n + 0.5) / (n + 0.5))
            tf = np.array([bag[term] for bag in self._bags], dtype=float)
            lexical += idf * tf * 2.2 / (tf + norm)
        dense = self._vectors @ self._encoder.encode([question], kind="query")[0]
        fused = _unit(lexical) + _unit(dense)
        fused[list(without)] = -1.0
        return tuple(self.passages[i] for i in np.argsort(-fused, kind="stable")[:top] if fused[i] >= 0)


def _unit(scores: np.ndarray) -> np.ndarray:
    span = scores.max() - scores.min()
    return (scores - scores.min()) / span if span > 0 else np.zeros_like(scores)


def pieces(text: str, external_id: str, title: str, page: int | None = None) -> Iterator[Passage]:
    """Cut ``text`` into passages of whole sentences, anew at each Markdown heading."""
    document = DocumentRef(f"doc_{external_id}", external_id, 1, title)
    path: tuple[str, ...] = ()
    begin = end = -1
    for span in split_sentences(text):
        line = text[text.rfind("\n", 0, span.start) + 1 : span.start].strip()
        heading = bool(line) and set(line) == {"#"}
        if begin >= 0 and (heading or len(text[begin : span.end].split()) > _PIECE_WORDS):
            yield Passage(f"{external_id}:{page}:{begin}", document, text[begin:end], path, page, begin, end)
            begin = -1
        if heading:
            path = (*path[: len(line) - 1], text[span.start : span.end])
            continue
        begin, end = (span.start if begin < 0 else begin), span.end
    if begin >= 0:
        yield Passage(f"{external_id}:{page}:{begin}", document, text[begin:end], path, page, begin, end)


def load_items(data: Path, encoder: Encoder, sets: Sequence[str]) -> list[Item]:
    """Build the items of ``sets`` from the folder ``data``."""
    makers = {
        "written": lambda: _written(encoder),
        "probes": lambda: _probes(encoder),
        "spans": lambda: _spans(data, encoder),
        "pages": lambda: _pages(data, encoder),
    }
    return [item for name in sets for item in makers[name]()]


def _split(text: str) -> str:
    return "dev" if zlib.crc32(text.encode()) % 2 else "test"


def _written(encoder: Encoder) -> Iterator[Item]:
    lessons = load_lessons()
    corpus = Corpus([lesson.passage for lesson in lessons], encoder)
    asked = [(lesson, question) for lesson in lessons if lesson.split == "test" for question in lesson.questions]
    for lesson, question in random.Random(3).sample(asked, _WRITTEN):
        passages = corpus.search(question.question)
        if question.answerable and lesson.passage not in passages:
            continue
        yield Item("written", "dev", question.kind, question.question, question.answerable, passages)


def _probes(encoder: Encoder) -> Iterator[Item]:
    for number, line in enumerate(PROBES.read_text(encoding="utf-8").splitlines()):
        record = json.loads(line)
        found = [p for d in record["documents"] for p in pieces(d["text"], d["external_id"], d["title"])]
        corpus, split = Corpus(found, encoder), "dev" if number % 2 else "test"
        # Collections that were written after the last change to the features, and only ever measured.
        name, split = ("unseen", "test") if record.get("unseen") else ("probes", split)
        for entry in record["answerable"]:
            facts = (entry["fact"],) if "fact" in entry else ()
            yield Item(name, split, "told", entry["question"], True, corpus.search(entry["question"]), facts)
        for question in record["unanswerable"]:
            yield Item(name, split, "near miss", question, False, corpus.search(question))


def _spans(data: Path, encoder: Encoder) -> Iterator[Item]:
    with (data / "chunking" / "questions_df.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    names = sorted({row["corpus_id"] for row in rows})
    corpora = {}
    for name in names:
        text = (data / "chunking" / "corpora" / f"{name}.md").read_text(encoding="utf-8")
        corpora[name] = Corpus(list(pieces(text, name, name.replace("_", " "))), encoder)
    exact = {name: [t for row in rows if row["corpus_id"] == name for t in _exact(row["question"])] for name in names}
    for row in rows:
        name, question = row["corpus_id"], row["question"]
        corpus, split = corpora[name], _split(question)
        spans = [(r["start_index"], r["end_index"], r["content"]) for r in json.loads(row["references"])]
        gold = {
            i for i, p in enumerate(corpus.passages) if any(p.char_start < e and s < p.char_end for s, e, _ in spans)
        }
        passages = corpus.search(question)
        shown = any(p.char_start < e and s < p.char_end for p in passages for s, e, _ in spans)
        if shown:
            yield Item("spans", split, "told", question, True, passages, tuple(content for *_, content in spans))
        way = zlib.crc32(question.encode()) // 2 % 3
        swapped = _swap(question, exact[name])
        if way == 0:
            other = corpora[names[(names.index(name) + 1 + len(question) % 4) % len(names)]]
            yield Item("spans", split, "other corpus", question, False, other.search(question))
        elif way == 1 and swapped:
            yield Item("spans", split, "swapped name", swapped, False, corpus.search(swapped))
        else:
            near = frozenset(i + d for i in gold for d in (-1, 0, 1) if 0 <= i + d < len(corpus.passages))
            yield Item("spans", split, "evidence removed", question, False, corpus.search(question, near))


def _exact(question: str) -> list[str]:
    """Names and numbers as they are written in ``question``."""
    terms = {term.word for term in read_question(question).terms if term.exact}
    return [word for word in re.findall(r"[\w.\-']+", question) if word.lower() in terms]


def _swap(question: str, pool: Sequence[str]) -> str | None:
    own = _exact(question)
    seed = zlib.crc32(question.encode())
    others = sorted({word for word in pool if word.lower() not in question.lower()})
    if not own or not others:
        return None
    old = own[seed % len(own)]
    like = [word for word in others if word[0].isdigit() == old[0].isdigit()] or others
    return question.replace(old, like[seed // 7 % len(like)])


def _pages(data: Path, encoder: Encoder) -> Iterator[Item]:
    folder = data / "northwind"
    found: list[Passage] = []
    for path in sorted((folder / "docs").glob("*.pdf")):
        for number, page in enumerate(PdfReader(path).pages, 1):
            found += pieces(page.extract_text() or "", path.name, path.stem.replace("_", " "), number)
    corpus = Corpus(found, encoder)
    for line in (folder / "qa.jsonl").read_text(encoding="utf-8").splitlines():
        record = json.loads(line)
        question, gold = record["question"], set(re.findall(r"\[([^\]#]+)#page=(\d+)\]", record["truth"]))
        passages = corpus.search(question)
        if any((p.document.external_id, str(p.page)) in gold for p in passages):
            yield Item("pages", _split(question), "told", question, True, passages)
    for number, line in enumerate((folder / "qa_dontknows.jsonl").read_text(encoding="utf-8").splitlines()):
        question = json.loads(line)["question"]
        if number in _CONFIRMED:
            yield Item("pages", _split(question), "absent", question, False, corpus.search(question))


def with_other_nouns(items: Sequence[Item], encoder: Encoder) -> list[Item]:
    """Make unanswerable near misses of answerable questions: one of their words gives way to a related one
    of another question.

    "Related": a cosine of .2 to .6 between the words alone, which is where words of one kind (dinner,
    lunch) lie and synonyms rarely do.
    """
    told = [item for item in items if item.answerable]
    swappable = {
        item.question: [
            t.word for t in read_question(item.question).terms if t.weight == 1 and not t.exact and len(t.word) > 3
        ]
        for item in told
    }
    made = []
    for name in sorted({item.name for item in told}):
        pool = sorted({word for item in told if item.name == name for word in swappable[item.question]})
        vectors = dict(zip(pool, encoder.encode(pool, kind="query"), strict=True))
        matrix = np.stack([vectors[word] for word in pool])
        for item in told:
            own = [word for word in swappable[item.question] if item.name == name]
            if not own:
                continue
            seed = zlib.crc32(item.question.encode())
            old = own[seed % len(own)]
            text = " ".join(p.text for p in item.passages).lower()
            cosines = matrix @ vectors[old]
            near = [w for w, c in zip(pool, cosines, strict=True) if 0.2 < c < 0.6 and w[:5] not in text]
            if near:
                question = re.sub(rf"(?i)\b{re.escape(old)}\b", near[seed // 5 % len(near)], item.question)
                made.append(Item(name, item.split, "other noun", question, False, item.passages))
    return made


def company_items(folder: Path, encoder: Encoder) -> Iterator[Item]:
    """Yield the sample company's gold items, on passages cut as the service cuts them and that the asker
    may read.
    """
    found: list[Passage] = []
    groups: dict[str, frozenset[str] | None] = {}
    for line in (folder / "company.jsonl").read_text(encoding="utf-8").splitlines():
        entry = json.loads(line)
        name = entry["external_id"]
        groups[name] = None if entry["allowed_groups"] is None else frozenset(entry["allowed_groups"])
        parsed = parse((folder / "company" / entry["path"]).read_bytes(), Path(entry["path"]).name)
        document = DocumentRef(f"doc_{name}", name, 1, entry["title"] or parsed.title)
        for c in chunk(parsed, encoder.count_tokens, encoder.max_tokens, title=entry["title"]):
            text = parsed.text[c.start : c.end]
            found.append(
                Passage(f"{name}:{c.start}", document, text, c.heading_path, c.page, c.start, c.end, context=c.context)
            )
    corpus = Corpus(found, encoder)
    for line in (folder / "goldset.jsonl").read_text(encoding="utf-8").splitlines():
        item = json.loads(line)
        own = frozenset(item.get("groups") or ())
        hidden = frozenset(
            i for i, p in enumerate(found) if (g := groups[p.document.external_id]) is not None and not g & own
        )
        yield Item(
            "company",
            "test",
            item.get("kind", ""),
            item["question"],
            item["answerable"],
            corpus.search(item["question"], hidden),
            tuple(item.get("facts", ())),
        )
