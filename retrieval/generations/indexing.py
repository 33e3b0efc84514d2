"""Making a collection's index files: a new generation, or the next revision of the live one with what changed since."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

import msgspec
import structlog
from sqlalchemy import func, select
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from infra.database import Database
from infra.errors import Conflict, FootnoteError, InvalidInput, NotFound
from infra.owner import owner_name
from infra.tables import Change, Collection, Document, Generation
from retrieval.dense.report import RecallTarget
from retrieval.encoders.encoder import Encoder
from retrieval.generations.build import BuildPlan, Built, build_generation
from retrieval.generations.chunk_sets import ChunkSet, live_set
from retrieval.generations.files import Progress, silent
from retrieval.generations.reuse import Sealed
from retrieval.generations.states import (
    beat,
    begin_build,
    begin_merge,
    describe,
    fail_build,
    finish_build,
    finish_merge,
    folder_of,
    live_generation,
    remove_unused,
)
from retrieval.generations.switch import promote
from retrieval.store import INDEX_CHANGE, latest_seq, vector_dim

_BEAT_S = 10.0
# A merge copies what is unchanged and measures the recall again: it is worth it for a tenth.
_SHARE = 0.1

_T = TypeVar("_T")

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class IndexFiles:
    """What making index files needs: the database, the encoder of new collections, and the folder that the files are in.

    Without a folder a generation has no files: where another engine has the index, and what changes is the chunks.
    """

    database: Database
    encoder: Encoder
    folder: Path | None


def build(
    files: IndexFiles,
    collection: str,
    target: RecallTarget,
    *,
    content: ChunkSet | None = None,
    fill: Callable[[Generation], None] | None = None,
    live: bool = False,
    progress: Progress = silent,
) -> dict[str, Any]:
    """Build a new generation of a collection, or go on with one that was stopped; with ``live``, promote it at once.

    Its chunks are the live ones, or those of ``content``, a set that ``fill`` cuts and embeds before. Gives its description.
    Raises ``NotFound`` for an unknown collection, ``Conflict`` while another process builds one, and what ``fill`` and
    ``progress`` raise: the build can then be taken up again.
    """
    owner = owner_name()
    with files.database.write() as session:
        found = _collection(session, collection)
        wanted = live_set(session, found, files.encoder.name) if content is None else content
        row = begin_build(session, found, wanted, msgspec.to_builtins(target), owner)
        seq = row.base_seq

    def make() -> tuple[int, Built | None]:
        base_seq = seq
        if fill is not None:
            fill(row)
            with files.database.read() as session:
                base_seq = latest_seq(session, found.id)
            # What was changed until then is cut by the end of this, and what is changed later is in the change log.
            fill(row)
        with files.database.read() as session:
            plan = _plan(session, files, found, row, base_seq, target, row.revision)
        return base_seq, None if plan is None else build_generation(files.database, plan, progress)

    with _failing_openly(files, row.id, owner):
        base_seq, built = _run(files, row.id, owner, make)
        with files.database.write() as session:
            if built is None:
                finish_build(session, row.id, owner, base_seq, None, None)
            else:
                finish_build(session, row.id, owner, built.base_seq, built.manifest_sha256, built.report)
            if live:
                promote(session, _collection(session, collection), row.number)
            tidy(files, session)
            return describe(session.get_one(Generation, row.id))


def merge(files: IndexFiles, collection: str, progress: Progress = silent) -> dict[str, Any] | None:
    """Write the live generation's next revision, with all changes until now in its files; the first one, if there is none.

    ``None`` where another process is at it, or generations have no files. Raises as ``build``.
    """
    if files.folder is None:
        return None
    owner = owner_name()
    with files.database.write() as session:
        found = _collection(session, collection)
        there = live_generation(session, found) is not None
        row = begin_merge(session, found, owner) if there else None
        if row is not None:
            target = msgspec.convert(row.target, RecallTarget)
            plan = _plan(session, files, found, row, latest_seq(session, found.id), target, row.revision + 1)
            if plan is not None and row.manifest_sha256 is not None:
                live = folder_of(files.folder, found.id, row.number, row.revision)
                plan = replace(plan, earlier=Sealed(live, row.manifest_sha256))
    if not there:
        return build(files, collection, RecallTarget(), live=True, progress=progress)
    if row is None or plan is None:
        return None
    chosen = plan
    with _failing_openly(files, plan.generation_id, owner):
        built = _run(files, plan.generation_id, owner, lambda: build_generation(files.database, chosen, progress))
        with files.database.write() as session:
            finish_merge(session, plan.generation_id, owner, built.base_seq, built.manifest_sha256, built.report)
            tidy(files, session)
            return describe(session.get_one(Generation, plan.generation_id))


def due_merges(session: Session, at_least: int) -> list[Collection]:
    """The collections of which ``at_least`` chunks, and a tenth of the files', are only in memory or, being deleted, only in
    the files.

    Also those whose language was changed; none if ``at_least`` is 0.
    """
    if not at_least:
        return []
    return [
        collection
        for collection in session.scalars(select(Collection).order_by(Collection.name))
        if _is_due(session, collection, at_least)
    ]


def _is_due(session: Session, collection: Collection, at_least: int) -> bool:
    row = live_generation(session, collection)
    report = None if row is None else row.report
    if report is not None and report["language"] != collection.language:
        return True
    in_files = 0 if report is None else int(report["chunks"])
    changes = changed_chunks(session, collection) + deleted_chunks(session, collection)
    return changes >= max(at_least, _SHARE * in_files)


def changed_chunks(session: Session, collection: Collection) -> int:
    """How many chunks the documents have that changed since the live generation's files were written: they are in memory."""
    row = live_generation(session, collection)
    chunks = select(func.sum(Document.chunk_count)).where(Document.collection_id == collection.id)
    if row is not None:
        changed = select(Change.document_id).where(
            Change.collection_id == collection.id, Change.seq > row.base_seq, Change.kind != INDEX_CHANGE
        )
        chunks = chunks.where(Document.id.in_(changed))
    return session.scalar(chunks) or 0


def deleted_chunks(session: Session, collection: Collection) -> int:
    """How many chunks the documents had, by their receipts, that are in the live generation's files and deleted since."""
    row = live_generation(session, collection)
    if row is None:
        return 0
    # What came and went after the files were written is in none.
    before = select(Change.document_id).where(
        Change.collection_id == collection.id, Change.seq <= row.base_seq, Change.kind != INDEX_CHANGE
    )
    gone = select(func.sum(Change.detail["chunks"].as_integer())).where(
        Change.collection_id == collection.id,
        Change.seq > row.base_seq,
        Change.kind == "delete",
        Change.document_id.in_(before),
    )
    return session.scalar(gone) or 0


def _run(files: IndexFiles, generation_id: str, owner: str, work: Callable[[], _T]) -> _T:
    with _beating(files.database, generation_id, owner):
        return work()


@contextmanager
def _failing_openly(files: IndexFiles, generation_id: str, owner: str) -> Iterator[None]:
    """Note why the block failed, and let the build go: another process can take it up though this one lives."""
    try:
        yield
    except BaseException as error:
        reason = error.detail if isinstance(error, FootnoteError) else f"it was stopped ({type(error).__name__})"
        with files.database.write() as session:
            fail_build(session, generation_id, owner, reason)
        raise


@contextmanager
def _beating(database: Database, generation_id: str, owner: str) -> Iterator[None]:
    """Say again and again that the build lives, for processes on other hosts that cannot see this one."""
    stop = threading.Event()

    def run() -> None:
        while not stop.wait(_BEAT_S):
            try:
                with database.write() as session:
                    beat(session, generation_id, owner)
            except (Conflict, SQLAlchemyError) as error:
                # Noticed when the build is noted; a database that is busy is asked again.
                log.warning("index.beat_failed", error=type(error).__name__)

    thread = threading.Thread(target=run, name="index-beat", daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def _plan(
    session: Session,
    files: IndexFiles,
    collection: Collection,
    row: Generation,
    base_seq: int,
    target: RecallTarget,
    revision: int,
) -> BuildPlan | None:
    if files.folder is None:
        return None
    return BuildPlan(
        generation_id=row.id,
        collection_id=collection.id,
        number=row.number,
        revision=revision,
        encoder=row.encoder,
        chunk_set=row.chunk_set,
        dim=vector_dim(session, row.encoder) or files.encoder.dim,
        language=collection.language,
        base_seq=base_seq,
        target=target,
        folder=folder_of(files.folder, collection.id, row.number, revision),
    )


def tidy(files: IndexFiles, session: Session) -> None:
    """Remove the files that no generation has any more."""
    if files.folder is not None:
        remove_unused(files.folder, session)


def _collection(session: Session, name: str) -> Collection:
    found = session.scalar(select(Collection).where(Collection.name == name))
    if found is None:
        raise NotFound(f"There is no collection {name!r}.", code="collection_not_found")
    return found


def target_of(recall: float | None, kind: str | None) -> RecallTarget:
    """A target from what a command was given; raises ``InvalidInput``."""
    given: Mapping[str, Any] = {
        name: value for name, value in {"recall": recall, "kind": kind}.items() if value is not None
    }
    try:
        return msgspec.convert(dict(given), RecallTarget)
    except (msgspec.ValidationError, ValueError) as error:
        raise InvalidInput(f"The index's target is wrong: {error}.", code="invalid_target") from error
