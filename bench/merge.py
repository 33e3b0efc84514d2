"""What a merge costs beside a build of the same collection from the database, step by step.

    python -m bench.merge [--chunks 200000] [--real FILE] [--work FOLDER] [--out FILE]

A collection in SQLite: made-up words (``bench/lexical_index.py``), ten chunks to a document, and vectors with the statistics of
real ones (``bench/dense_vectors.py``). It is built; then a share of its documents changes, a third each is deleted, replaced
and added, and it is merged. ``build``: the same from the database at the end, in the same run. Seconds are of
processor time of all threads, which other programs on the machine change less than the clock's; ``ratio`` is
merge : build. ``search_cost`` is what a search of the merged vectors' index costs beside that of the one built anew, by lists
visited and candidates (``kinds.index_cost``); both reach the recall target.

``drift``: vectors alone; a part of the collection makes way for vectors of other topics, and the search costs of the carried
and of the newly trained index are compared: what taking the lists over may cost.

``--real`` keeps the encoded texts of the sample company, which the vectors' statistics are of, for the next run.
"""

from __future__ import annotations

import argparse
import dataclasses
import functools
import json
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from unittest import mock

import msgspec
import numpy as np

from bench.dense_vectors import Hierarchy, calibrated, fit, real_vectors, sample
from bench.lexical_index import PER_DOCUMENT
from bench.merge_corpus import NAME, Corpus, change, put
from infra.database import open_database
from infra.ids import new_id
from infra.tables import Collection
from retrieval.dense import build as dense_build
from retrieval.dense.build import build_dense
from retrieval.dense.carry import Carried
from retrieval.dense.kinds import index_cost, kind_of
from retrieval.dense.report import DenseReport, RecallTarget
from retrieval.generations import build as generation_build
from retrieval.generations import reuse
from retrieval.generations.indexing import IndexFiles, build, merge
from retrieval.lexical.build import LexicalBuilder
from retrieval.lexical.merge import LexicalMerger

Rows = dict[str, Any]
Seconds = dict[str, float]

# What is timed: a step's name, and where its function is looked up.
STEPS: tuple[tuple[str, object, str], ...] = (
    ("check the earlier files", generation_build, "open_sealed"),
    ("read chunks from the database", generation_build, "load_documents"),
    ("words: analyse and add", LexicalBuilder, "add"),
    ("words: write", LexicalBuilder, "commit"),
    ("words: write", LexicalBuilder, "finish"),
    ("words: analyse and add", LexicalMerger, "add"),
    ("words: carry over and write", LexicalMerger, "finish"),
    ("vectors: copy", reuse, "_copy_vectors"),
    ("facts, read and written", generation_build, "write_documents"),
    ("vectors: store", dense_build, "write_stored"),
    ("vectors: train and add", dense_build, "build"),
    ("vectors: carry lists and add", dense_build, "carry"),
    ("vectors: tune", dense_build, "tune"),
    ("hash and sync", generation_build, "seal"),
)


@dataclasses.dataclass(frozen=True, slots=True)
class FixedEncoder:
    """Stands for the encoder whose vectors are in the database: nothing is encoded."""

    dim: int
    name: str = "bench"


@contextmanager
def timed() -> Iterator[Seconds]:
    """Processor seconds of each step within; ``all`` is everything."""
    spent: Seconds = {}

    def wrapped(step: str, call: Any) -> Any:
        @functools.wraps(call)
        def run(*args: Any, **options: Any) -> Any:
            begun = time.process_time()
            try:
                return call(*args, **options)
            finally:
                spent[step] = spent.get(step, 0.0) + time.process_time() - begun

        return run

    with ExitStack() as patches:
        for step, place, name in STEPS:
            patches.enter_context(mock.patch.object(place, name, wrapped(step, getattr(place, name))))
        begun = time.process_time()
        yield spent
        spent["all"] = time.process_time() - begun
    for step, seconds in spent.items():
        spent[step] = round(seconds, 2)


def _search_cost(report: DenseReport) -> float:
    """Nanoseconds of a search without a filter."""
    return index_cost(kind_of(report.kind), report.rows, report.dim, report.efforts[0], report.lists)


def _step(name: str, seconds: Seconds, described: Rows) -> Rows:
    report = described["report"]
    dense = {
        name: report["dense"][name] for name in ("kind", "lists", "recall", "recall_deep", "efforts", "trained_rows")
    }
    print(f"  {name}: {seconds}", file=sys.stderr, flush=True)
    return {
        "cpu_s": dict(sorted(seconds.items(), key=lambda item: -item[1])),
        **{key: report[key] for key in ("documents", "chunks", "reused", "bytes")},
        "dense": dense,
    }


def merges(work: Path, model: Hierarchy, chunks: int, shares: Sequence[float]) -> Rows:
    """Build, change and merge for each share, and build again."""
    room = chunks + PER_DOCUMENT * (2 + round(sum(shares) * chunks / PER_DOCUMENT))
    vectors = np.empty((room, len(model.mean)), dtype=np.float32)
    sample(model, vectors, 3)
    # In documents' order topics come one after the other; what changes must not be one topic.
    order = np.random.default_rng(4).permutation(room // PER_DOCUMENT)
    vectors = (
        vectors[: len(order) * PER_DOCUMENT].reshape(len(order), PER_DOCUMENT, -1)[order].reshape(-1, len(model.mean))
    )
    corpus = Corpus(room, vectors)
    database = open_database(f"sqlite:///{work / 'bench.db'}")
    now = datetime.now(UTC)
    collection = Collection(id=new_id("col"), name=NAME, encoder=NAME, created_at=now, updated_at=now)
    with database.write() as session:
        session.add(collection)
        session.flush()
        id_ = collection.id
    for start in range(0, chunks // PER_DOCUMENT, 500):
        count = min(500, chunks // PER_DOCUMENT - start)
        put(database, id_, [new_id("doc") for _ in range(count)], corpus.take(count))
    encoder: Any = FixedEncoder(len(model.mean))
    files = IndexFiles(database, encoder, work / "index")
    with timed() as seconds:
        described = build(files, NAME, RecallTarget(), live=True)
    found: Rows = {"first build": _step("first build", seconds, described)}
    last: Rows = {}
    for number, share in enumerate(shares):
        change(database, id_, corpus, share, number)
        with timed() as seconds:
            last = merge(files, NAME) or {}
        found[f"merge, {share:.0%} changed"] = _step(f"merge {share}", seconds, last)
    with timed() as seconds:
        anew = build(files, NAME, RecallTarget())
    found["build"] = _step("build", seconds, anew)
    whole = found["build"]["cpu_s"]["all"]
    for name, step in found.items():
        if name.startswith("merge"):
            step["ratio"] = round(step["cpu_s"]["all"] / whole, 3)
    costs = [_search_cost(msgspec.convert(each["report"]["dense"], DenseReport)) for each in (last, anew)]
    found["search_cost"] = round(costs[0] / costs[1], 3)
    database.close()
    return found


def drift(work: Path, model: Hierarchy, count: int, shares: Sequence[float]) -> list[Rows]:
    """How much dearer a search gets when a share of the vectors is replaced and the lists are kept."""
    first, other = (np.empty((count, len(model.mean)), dtype=np.float32) for _ in range(2))
    sample(model, first, 7)
    sample(model, other, 8)
    build_dense(work / "first", first)
    found = []
    for share in shares:
        kept = round((1 - share) * count)
        positions = np.concatenate([np.arange(kept), np.full(count - kept, -1)])
        vectors = np.concatenate([first[:kept], other[kept:]])
        with mock.patch.object(dense_build, "DEARER", float("inf")):
            carried = build_dense(work / f"carried-{share}", vectors, carried=Carried(work / "first", positions))
        anew = build_dense(work / f"anew-{share}", vectors)
        found.append(
            {
                "replaced": share,
                "recall": [carried.recall, anew.recall],
                "probes": [carried.efforts[0].probes, anew.efforts[0].probes],
                "search_cost": round(_search_cost(carried) / _search_cost(anew), 3),
            }
        )
        print(f"  drift {found[-1]}", file=sys.stderr, flush=True)
    return found


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--chunks", type=int, default=200_000)
    parser.add_argument("--real", type=Path, help="Where the encoded texts are kept.")
    parser.add_argument("--work", type=Path)
    parser.add_argument("--out", type=Path, default=Path(__file__).with_suffix(".json"))
    given = parser.parse_args()
    work = Path(tempfile.mkdtemp(prefix="footnote-merge-", dir=given.work))
    try:
        real = real_vectors(None, given.real or work / "real.npz")
        model = calibrated(fit(real), real)
        found = {
            "chunks": given.chunks,
            "merges": merges(work, model, given.chunks, (0.01, 0.1)),
            "drift": drift(work, model, given.chunks // 4, (0.1, 0.25, 0.5, 0.9)),
        }
    finally:
        shutil.rmtree(work, ignore_errors=True)
    given.out.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    print(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
