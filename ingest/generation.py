"""Generations of the live chunks, or of chunks that are cut or embedded in another way: built, promoted, rolled back."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sqlalchemy.orm import Session

from infra.errors import Conflict
from infra.tables import Collection, Generation
from ingest.chunk_set import fill, fill_the_rest
from ingest.chunking import ChunkingSettings, read_chunking
from ingest.collections import get_collection, has_documents_cut_otherwise
from ingest.pipeline import Ingestion
from retrieval.dense.report import RecallTarget
from retrieval.generations import indexing, states, switch
from retrieval.generations.chunk_sets import ChunkSet
from retrieval.generations.files import Progress, silent
from retrieval.generations.indexing import IndexFiles

# Documents may change between the last look and the switch: then the look is made again, and after so many times the last of
# them are cut while all writers wait.
_FREE_ATTEMPTS = 3
_ATTEMPTS = 20


def build(
    ingestion: Ingestion,
    files: IndexFiles,
    collection: str,
    target: RecallTarget,
    *,
    chunking: ChunkingSettings | None = None,
    keep_encoder: bool = False,
    live: bool = False,
    filling: Progress = silent,
    indexing_: Progress = silent,
) -> dict[str, Any]:
    """Build a generation by the current encoder and ``chunking`` (``None``: the collection's); with ``live``, promote it at once.

    With ``keep_encoder`` the encoder is the one that the collection has.

    Where the live chunks are others, documents are cut and embedded anew, beside them: searches go on with the live ones until
    the switch. A build that was stopped goes on. ``filling`` is told of documents, ``indexing_`` of the index. Gives the
    generation's description; raises as ``retrieval.generations.indexing.build``.
    """
    with ingestion.database.read() as session:
        row = get_collection(session, collection)
        encoder = ingestion.encoder.name
        if keep_encoder and row.encoder is not None:
            encoder = row.encoder
        content = _content(session, row, encoder, chunking)
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
        _complete(ingestion, collection, chosen)


def _content(
    session: Session, collection: Collection, encoder: str, chunking: ChunkingSettings | None
) -> ChunkSet | None:
    """The chunk set that has to be made, or ``None`` where the live one is what is asked for."""
    wanted = chunking or read_chunking(collection.chunking)
    # Without settings the live chunks are taken as they are, by whatever defaults they were cut once. With settings, those of
    # the collection must be the same, too: documents that come are cut with them.
    cut_so = chunking is None or (
        wanted == read_chunking(collection.chunking) and not has_documents_cut_otherwise(session, collection, wanted)
    )
    if collection.encoder in (None, encoder) and cut_so:
        return None
    settings = collection.chunking if chunking is None else chunking.as_json()
    return ChunkSet(encoder, None, settings, wanted.fingerprint)


def _fill(ingestion: Ingestion, collection: str, generation: Generation, progress: Progress) -> None:
    while fill(ingestion, collection, generation, progress):
        pass


def _complete(ingestion: Ingestion, collection: str, generation: Generation) -> None:
    """Fill a set that may have an index already: what it lacked is new to that."""
    while fill(ingestion, collection, generation, noted=True):
        pass


def _switch(
    ingestion: Ingestion,
    collection: str,
    find: Callable[[Session, Collection], Generation],
    change: Callable[[Session, Collection], Generation],
) -> dict[str, Any]:
    attempts = 0
    while True:
        with ingestion.database.read() as session:
            row = get_collection(session, collection)
            chosen = find(session, row)
            another_set = chosen.chunk_set != row.chunk_set
        if another_set:
            _complete(ingestion, collection, chosen)
        attempts += 1
        try:
            with ingestion.database.write() as session:
                row = get_collection(session, collection)
                if another_set and attempts > _FREE_ATTEMPTS:
                    fill_the_rest(session, ingestion, collection, chosen)
                return states.describe(change(session, row))
        except Conflict as conflict:
            if conflict.code != "generation_behind" or attempts == _ATTEMPTS:
                raise
