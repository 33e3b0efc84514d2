"""Generations of the live chunks, or of chunks that are cut or embedded in another way: built, promoted, rolled back."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sqlalchemy.orm import Session

from infra.errors import Conflict
from infra.tables import Collection, Generation
from ingest.chunk_set import fill
from ingest.chunking import ChunkingSettings, read_chunking
from ingest.collections import get_collection, has_documents_cut_otherwise
from ingest.pipeline import Ingestion
from retrieval.dense.report import RecallTarget
from retrieval.generations import indexing, states, switch
from retrieval.generations.chunk_sets import ChunkSet
from retrieval.generations.files import Progress, silent
from retrieval.generations.indexing import IndexFiles

# Documents may change between the last look and the switch: then the look is made again.
_ATTEMPTS = 20


def build(
    ingestion: Ingestion,
    files: IndexFiles,
    collection: str,
    target: RecallTarget,
    *,
    chunking: ChunkingSettings | None = None,
    live: bool = False,
    filling: Progress = silent,
    indexing_: Progress = silent,
) -> dict[str, Any]:
    """Build a generation by the current encoder and ``chunking`` (``None``: the collection's); with ``live``, promote it at once.

    Where the live chunks are others, documents are cut and embedded anew, beside them: searches go on with the live ones until
    the switch. A build that was stopped goes on. ``filling`` is told of documents, ``indexing_`` of the index. Gives the
    generation's description; raises as ``retrieval.generations.indexing.build``.
    """
    with ingestion.database.read() as session:
        content = _content(session, get_collection(session, collection), ingestion.encoder.name, chunking)
    built = indexing.build(
        files,
        collection,
        target,
        content=content,
        fill=None if content is None else lambda row: _fill(ingestion, collection, row, filling),
        live=live and content is None,
        progress=indexing_,
    )
    return promote(ingestion, collection, built["generation"]) if live and content is not None else built


def promote(ingestion: Ingestion, collection: str, number: int | None = None) -> dict[str, Any]:
    """Make a generation live as ``switch.promote``; documents that its chunk set lacks are cut and embedded before."""
    return _switch(
        ingestion,
        collection,
        lambda session, row: switch.promotable(session, row, number),
        lambda session, row: switch.promote(session, row, number),
    )


def rollback(ingestion: Ingestion, collection: str) -> dict[str, Any]:
    """Go back to what was live before as ``switch.rollback``; documents that its chunk set lacks are cut and embedded before."""
    return _switch(ingestion, collection, switch.replaced, switch.rollback)


def complete(ingestion: Ingestion, collection: str, number: int) -> None:
    """Cut and embed what a generation's chunk set lacks, so that all can be searched by it; raises ``NotFound``."""
    with ingestion.database.read() as session:
        row = get_collection(session, collection)
        chosen = states.numbered(session, row, number)
        live = chosen.chunk_set == row.chunk_set
    if not live:
        _fill(ingestion, collection, chosen, silent)


def _content(
    session: Session, collection: Collection, encoder: str, chunking: ChunkingSettings | None
) -> ChunkSet | None:
    """The chunk set that has to be made, or ``None`` where the live one is what is asked for."""
    cut_so = read_chunking(collection.chunking)
    wanted = chunking or cut_so
    if collection.encoder in (None, encoder) and wanted == cut_so:
        return None
    _check_cut_alike(session, collection)
    settings = collection.chunking if chunking is None else chunking.as_json()
    return ChunkSet(encoder, None, settings, wanted.fingerprint)


def _check_cut_alike(session: Session, collection: Collection) -> None:
    """A set has one name for how all of it was cut: raise ``Conflict`` while some of the live one is cut otherwise."""
    if has_documents_cut_otherwise(session, collection):
        raise Conflict(
            f"Documents of collection {collection.name!r} are being cut again: wait for that job's end.",
            code="rechunk_running",
        )


def _fill(ingestion: Ingestion, collection: str, generation: Generation, progress: Progress) -> None:
    while fill(ingestion, collection, generation, progress):
        pass


def _switch(
    ingestion: Ingestion,
    collection: str,
    find: Callable[[Session, Collection], Generation],
    change: Callable[[Session, Collection], Generation],
) -> dict[str, Any]:
    attempts = _ATTEMPTS
    while True:
        with ingestion.database.read() as session:
            row = get_collection(session, collection)
            chosen = find(session, row)
            another_set = chosen.chunk_set != row.chunk_set
        if another_set:
            _fill(ingestion, collection, chosen, silent)
        try:
            with ingestion.database.write() as session:
                row = get_collection(session, collection)
                if another_set:
                    _check_cut_alike(session, row)
                return states.describe(change(session, row))
        except Conflict as conflict:
            attempts -= 1
            if conflict.code != "generation_behind" or not attempts:
                raise
