"""Building a generation's files from the database, beside whatever is live.

The database may change meanwhile: documents are read one batch after another, and whatever changes after ``base_seq`` is in the
change log, from which each reader corrects what it maps. A build that was stopped goes on at the step where it was: what was
read from the database, and the vectors' index, are not made twice.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import msgspec
from sqlalchemy import select

from infra.clock import iso, now
from infra.database import Database
from infra.durable import sync_directory, sync_file
from infra.tables import Document
from retrieval.dense.report import RecallTarget
from retrieval.filters import DocumentFacts
from retrieval.generations.files import VECTORS, Progress, silent, write_chunks, write_dense, write_documents
from retrieval.generations.manifest import STEP, Manifest, seal
from retrieval.generations.reuse import CARRIED, Merged, Sealed, carried_index, merge_chunks, open_sealed
from retrieval.store import changed_documents, document_facts, latest_seq, load_documents, ready_documents
from retrieval.view import IndexedChunk

# Documents read in one go.
_BATCH = 500


@dataclass(frozen=True, slots=True)
class Built:
    """What a build made: the manifest's sha256, the change it is up to, and what is told about it."""

    manifest_sha256: str
    base_seq: int
    report: dict[str, Any]


@dataclass(frozen=True, slots=True)
class _Step:
    """How far the build called ``build`` is: everything was read from the database, and ``dense`` is there or not."""

    build: str
    base_seq: int
    documents: int
    chunks: int
    reused: int = 0
    dense: dict[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class BuildPlan:
    """What is built where. ``folder`` is the final one; ``base_seq`` is the collection's last change when the build began.

    ``earlier`` are files from which a merge takes what has not changed since.
    """

    generation_id: str
    collection_id: str
    number: int
    revision: int
    encoder: str
    chunk_set: int
    dim: int
    language: str | None
    base_seq: int
    target: RecallTarget
    folder: Path
    earlier: Sealed | None = None

    @property
    def name(self) -> str:
        """What must be the same for a build to go on where another stopped."""
        return f"{self.generation_id} {self.revision} {self.encoder} {self.chunk_set} {self.language} {self.target}"


def build_generation(database: Database, plan: BuildPlan, progress: Progress = silent) -> Built:
    """Write the files of a generation and move them to their place at once; goes on where an earlier attempt was stopped."""
    work = plan.folder.with_suffix(".building")
    step = _read_step(work)
    if step is None or step.build != plan.name:
        shutil.rmtree(work, ignore_errors=True)
        work.mkdir(parents=True)
        step = _export(database, plan, work, progress)
        _write_step(work, step)
    if step.dense is None:
        report = write_dense(work, step.chunks, plan.dim, plan.target, carried_index(work, plan.earlier))
        step = replace(step, dense=msgspec.to_builtins(report))
        _write_step(work, step)
    # The index has its own copy of what it needs.
    for name in (VECTORS, CARRIED):
        (work / name).unlink(missing_ok=True)
    dense = step.dense or {}
    manifest = Manifest(
        collection_id=plan.collection_id,
        number=plan.number,
        revision=plan.revision,
        encoder=plan.encoder,
        dim=plan.dim,
        language=plan.language,
        documents=step.documents,
        chunks=step.chunks,
        base_seq=step.base_seq,
        created_at=iso(now()) or "",
        dense=dense,
        files={},
        chunk_set=plan.chunk_set,
    )
    sha256 = seal(work, manifest)
    shutil.rmtree(plan.folder, ignore_errors=True)
    work.rename(plan.folder)
    (plan.folder / STEP).unlink()
    sync_directory(plan.folder.parent)
    size = sum(path.stat().st_size for path in plan.folder.rglob("*") if path.is_file())
    report_json = {
        "documents": step.documents,
        "chunks": step.chunks,
        "reused": step.reused,
        "bytes": size,
        "dense": dense,
        "language": plan.language,
    }
    return Built(sha256, step.base_seq, report_json)


def _export(database: Database, plan: BuildPlan, work: Path, progress: Progress) -> _Step:
    """Read everything the collection has from the database, a batch at a time."""

    def load(part: Sequence[str]) -> dict[str, Sequence[IndexedChunk]]:
        with database.read() as session:
            loaded = load_documents(session, part, plan.encoder, plan.chunk_set)
        return {document.facts.id: document.chunks for document in loaded}

    earlier = plan.earlier
    base = None if earlier is None else open_sealed(earlier, plan.encoder, plan.chunk_set, plan.dim, plan.language)
    with database.read() as session:
        # Sorted here: a database may have another idea of the order of letters.
        ids = sorted(ready_documents(session, plan.collection_id))
        now = latest_seq(session, plan.collection_id)
        changed = set(changed_documents(session, plan.collection_id, base.manifest.base_seq, now)) if base else set()
    # One that goes meanwhile keeps its ordinal; the change log says that it is dead.
    made = merge_chunks(work, base, earlier.folder, ids, changed, load, progress) if base and earlier else None
    if made is None:
        made = Merged(write_chunks(work, ids, load, plan.dim, plan.language, progress), reused=0)
    write_documents(work, _facts(database, ids))
    return _Step(plan.name, plan.base_seq, len(ids), made.chunks, made.reused)


def _facts(database: Database, ids: Sequence[str]) -> Iterator[DocumentFacts]:
    for start in range(0, len(ids), _BATCH):
        part = ids[start : start + _BATCH]
        with database.read() as session:
            rows = session.scalars(select(Document).where(Document.id.in_(part), Document.version > 0))
            found = {row.id: document_facts(row) for row in rows}
        for id_ in part:
            # Nobody may read what is gone.
            yield found.get(id_) or DocumentFacts(id_, id_, None, None, None, 0, allowed_groups=())


def _read_step(work: Path) -> _Step | None:
    try:
        return msgspec.json.decode((work / STEP).read_bytes(), type=_Step)
    except (FileNotFoundError, msgspec.MsgspecError):
        return None


def _write_step(work: Path, step: _Step) -> None:
    # What the step says is there must be there after a power failure, too.
    for path in sorted(work.rglob("*")):
        if path.is_dir():
            sync_directory(path)
        else:
            sync_file(path)
    fresh = work / (STEP + ".new")
    fresh.write_bytes(msgspec.json.encode(step))
    sync_file(fresh)
    fresh.rename(work / STEP)
    sync_directory(work)
