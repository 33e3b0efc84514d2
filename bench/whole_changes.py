"""Documents stored in and deleted from the large collection: commits, when a search sees them, searches beside them, the merge.

Storing is ``ingest.commit.commit_document`` of documents that are read, cut and encoded already, ten in a transaction, and
deleting ``ingest.commit.delete_document``, ten in a transaction too. After each transaction the index is brought up to it as
the next search would do (``refresh``). Searches are measured before, after 1,000 chunks are new and 1,000 others deleted, and
after ten times as many; then another process merges, and the first opens the new files with its next search.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from bench.dense_vectors import calibrated, fit, read_real
from bench.measuring import memory, quantile
from bench.whole_collection import ENCODER, NAME, PER_DOCUMENT, Texts, made_vectors, prepared
from bench.whole_opened import Opened, opened
from bench.whole_searches import filters, layered, timed
from infra.tables import Change, Collection, Document
from ingest.commit import commit_document, delete_document
from ingest.prepare import Prepared
from retrieval.access import EVERYTHING
from retrieval.search import SearchQuery, search

_BATCH = 10
Rows = dict[str, Any]
Vectors = NDArray[np.float32]


def changes(work: Path, count: int, stages: Sequence[int], *, merging: bool) -> Rows:
    """Store and delete documents of ten chunks, until it is so many of each of ``stages``; then merge, if that is wanted."""
    here = opened(work)
    view = layered(here)
    found: Rows = {"before": _searches(here, count)}
    with here.database.read() as session:
        old = session.scalars(
            select(Document.external_id).join(Collection).where(Collection.name == NAME).order_by(Document.id)
        ).all()
        first = session.scalar(select(func.max(Change.seq))) or 0  # higher than any number given before
    leaving = [old[int(at)] for at in np.linspace(0, len(old) - 1, stages[-1])]
    vectors = _new_vectors(work, stages[-1] * PER_DOCUMENT)
    texts = Texts(first)
    done = 0
    for stage in stages:
        new = [prepared(first + number, texts.document()) for number in range(done, stage)]
        stored = _stored(here, new, vectors[done * PER_DOCUMENT : stage * PER_DOCUMENT])
        deleted = _deleted(here, leaving[done:stage])
        done = stage
        row = {"stored": stored, "deleted": deleted, "delta_chunks": view.delta_chunks, "memory_mib": memory()}
        row |= {"new, not found": _lost(here, new), "deleted, found": _left(here, leaving[:done])}
        found[f"{stage * PER_DOCUMENT} chunks of each"] = {**row, "searches": _searches(here, count)}
        print(json.dumps(row), file=sys.stderr, flush=True)
    if not merging:
        return found
    subprocess.run([sys.executable, "-m", "bench.whole_index", "--phase", "merge", "--work", str(work)], check=True)
    begun = time.perf_counter()
    switched = layered(here)
    found["switch_ms"] = round((time.perf_counter() - begun) * 1e3, 2)
    found["delta_chunks after the merge"] = switched.delta_chunks
    found["merge"] = json.loads((work / "merge.json").read_text())
    found["after the merge"] = _searches(here, count)
    return found


def _new_vectors(work: Path, count: int) -> Vectors:
    real = read_real(work / "real.npz")
    with tempfile.TemporaryDirectory() as folder:
        made_vectors(calibrated(fit(real), real), Path(folder) / "new.npy", count, seed=900)
        vectors: Vectors = np.load(Path(folder) / "new.npy")
        return vectors


def _searches(here: Opened, count: int) -> Rows:
    asked, view = here.questions[:count], layered(here)
    some = filters(len(view.base.facts))
    return {name: timed(here, asked, some[name], "hybrid") for name in ("none", "1 %", ".01 %")}


def _stored(here: Opened, new: Sequence[Prepared], vectors: Vectors) -> Rows:
    rows = dict(zip([piece.vector_hash for each in new for piece in each.chunks], vectors, strict=True))

    def store(session: Session, collection: Collection, each: Prepared) -> None:
        data = {piece.vector_hash: rows[piece.vector_hash].tobytes() for piece in each.chunks}
        commit_document(session, collection, each, ENCODER, data, None)

    return _changed(here, new, store)


def _deleted(here: Opened, names: Sequence[str]) -> Rows:
    return _changed(here, names, delete_document)


def _changed(here: Opened, items: Sequence[Any], change: Callable[[Session, Collection, Any], object]) -> Rows:
    """Change ten documents a transaction; milliseconds of each transaction and of the index's refresh after it."""
    commits: tuple[list[float], list[float]] = ([], [])
    refreshes: tuple[list[float], list[float]] = ([], [])
    for start in range(0, len(items), _BATCH):
        begun, busy = time.perf_counter(), time.process_time()
        with here.database.write() as session:
            collection = session.scalars(select(Collection).where(Collection.name == NAME)).one()
            for item in items[start : start + _BATCH]:
                change(session, collection, item)
        _note(commits, begun, busy)
        begun, busy = time.perf_counter(), time.process_time()
        layered(here)
        _note(refreshes, begun, busy)
    shown: Rows = {"documents": len(items)}
    for name, (ms, cpu) in (("commit", commits), ("refresh", refreshes)):
        shown[name] = {
            "min_ms": quantile(ms, 0),
            "p50_ms": quantile(ms, 0.5),
            "p95_ms": quantile(ms, 0.95),
            "cpu_p50_ms": quantile(cpu, 0.5),
            "all_s": round(sum(ms) / 1e3, 2),
            "all_cpu_s": round(sum(cpu) / 1e3, 2),
        }
    return shown


def _note(taken: tuple[list[float], list[float]], begun: float, busy: float) -> None:
    taken[1].append((time.process_time() - busy) * 1e3)
    taken[0].append((time.perf_counter() - begun) * 1e3)


def _lost(here: Opened, new: Sequence[Prepared]) -> int:
    """How many of 20 new documents are not the first answer to a chunk's words."""
    lost = 0
    for made in new[:: max(1, len(new) // 20)]:
        found = search(here.engine, SearchQuery(made.chunks[3].embedded_text[:200], [NAME], mode="lexical"), EVERYTHING)
        lost += found.passages[0].document.external_id != made.external_id
    return lost


def _left(here: Opened, names: Sequence[str]) -> int:
    """How many of 20 deleted documents are still found."""
    asked = names[:: max(1, len(names) // 20)]
    query = SearchQuery(here.questions[0], [NAME], filter={"external_id": {"$in": list(asked)}})
    return len(search(here.engine, query, EVERYTHING).passages)
