"""Switching: which generation of a collection is live is one row, changed in one transaction, numbered in the change log."""

from __future__ import annotations

from sqlalchemy.orm import Session

from infra.clock import in_utc, now
from infra.errors import Conflict, NotFound
from infra.ids import new_id
from infra.tables import Collection, Generation
from retrieval.generations.chunk_sets import fingerprint_of, lacking, make_live, remove_unused_sets
from retrieval.generations.states import BUILDING, LIVE, READY, RETIRED, abandoned, generations, numbered
from retrieval.store import note_index_change


def promote(session: Session, collection: Collection, number: int | None = None) -> Generation:
    """Make a generation the one that searches use; without a number, the newest that is ready.

    Raises as ``promotable``, and ``Conflict`` where documents were changed that its chunk set lacks.
    """
    chosen = promotable(session, collection, number)
    _switch(session, collection, chosen)
    chosen.promoted_at = now()
    return chosen


def promotable(session: Session, collection: Collection, number: int | None = None) -> Generation:
    """The generation that ``promote`` makes live; raises ``NotFound`` if there is none, ``Conflict`` if it is not complete."""
    rows = generations(session, collection)
    if number is None:
        chosen = next((row for row in rows if row.state == READY), None)
        if chosen is None:
            raise NotFound(
                f"Collection {collection.name!r} has no generation that is ready: build one first.",
                code="generation_not_found",
            )
    else:
        chosen = numbered(session, collection, number)
    if chosen.state == BUILDING:
        raise Conflict(
            f"Generation {chosen.number} of {collection.name!r} is not complete: build it to its end first.",
            code="generation_not_ready",
        )
    if chosen.chunk_set == collection.chunk_set and collection.encoder not in (None, chosen.encoder):
        raise Conflict(
            f"Generation {chosen.number} of {collection.name!r} holds vectors of encoder {chosen.encoder!r}, and the"
            f" collection's are of {collection.encoder!r}: they are never mixed.",
            code="encoder_mismatch",
        )
    return chosen


def rollback(session: Session, collection: Collection) -> Generation:
    """Make the generation live again that was live before; raises ``NotFound`` if there is none, ``Conflict`` as ``promote``."""
    last = replaced(session, collection)
    _switch(session, collection, last)
    return last


def replaced(session: Session, collection: Collection) -> Generation:
    """The generation that was live before, which ``rollback`` goes back to; raises ``NotFound`` if there is none."""
    rows = generations(session, collection)
    live = next((in_utc(row.promoted_at) for row in rows if row.state == LIVE and row.promoted_at is not None), None)
    # Only what was promoted before it: going back twice goes back two steps.
    retired = [
        (in_utc(row.promoted_at), row.number, row)
        for row in rows
        if row.state == RETIRED and row.promoted_at is not None and (live is None or in_utc(row.promoted_at) < live)
    ]
    if not retired:
        raise NotFound(
            f"Collection {collection.name!r} has no generation to go back to: none was replaced, or it was dropped.",
            code="generation_not_found",
        )
    return max(retired)[2]


def drop(session: Session, collection: Collection, number: int) -> Generation:
    """Forget a generation that is not live; the caller removes its files afterwards. Raises ``NotFound`` and ``Conflict``."""
    row = numbered(session, collection, number)
    if row.state == LIVE:
        raise Conflict(
            f"Generation {number} of {collection.name!r} is live: promote another one, or roll back, and drop it then.",
            code="generation_live",
        )
    if row.state == BUILDING and row.owner is not None and not abandoned(row):
        raise Conflict(f"Generation {number} of {collection.name!r} is being built.", code="build_running")
    session.delete(row)
    remove_unused_sets(session, collection, row.encoder)
    return row


def _switch(session: Session, collection: Collection, chosen: Generation) -> None:
    rows = generations(session, collection)
    another_set = chosen.chunk_set != collection.chunk_set
    if another_set and (missing := lacking(session, collection, chosen.chunk_set)):
        raise Conflict(
            f"Generation {chosen.number} of {collection.name!r} lacks {missing} documents that were changed since it was live"
            " or built.",
            code="generation_behind",
        )
    cut_with = fingerprint_of(session, collection)
    for row in rows:
        if another_set and row.chunk_set == collection.chunk_set:
            # Settings that its documents were cut with already may have been set under another name while it was live.
            row.chunking, row.fingerprint = collection.chunking, cut_with
        if row.state == LIVE and row is not chosen:
            row.state = RETIRED
    if not any(row.number == collection.generation for row in rows):
        # What was in memory until now has no row yet, and is what a rollback goes back to.
        session.add(
            Generation(
                id=new_id("gen"),
                collection_id=collection.id,
                number=collection.generation,
                revision=0,
                state=RETIRED,
                encoder=collection.encoder or chosen.encoder,
                chunk_set=collection.chunk_set,
                chunking=collection.chunking,
                fingerprint=cut_with,
                target={},
                base_seq=0,
                created_at=collection.created_at,
                promoted_at=collection.created_at,
            )
        )
    if another_set:
        make_live(session, collection, chosen)
    chosen.state = LIVE
    collection.generation, collection.updated_at = chosen.number, now()
    note_index_change(session, collection.id)
