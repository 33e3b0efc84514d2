"""Expansion: more of the document around a passage, for a reader or a writer that wants it.

The index has each chunk's neighbours in it already, to find it by (``retrieval.surroundings``); this is about what is shown.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from sqlalchemy import ColumnElement, func, select
from sqlalchemy.orm import Session, aliased

from infra.tables import ChunkRow, DocumentVersion, ExtractedText
from retrieval.access import Access
from retrieval.passage import Extract, Passage
from retrieval.store import load_passages


def load_expanded(session: Session, passages: Sequence[Passage], expand: int) -> list[Passage]:
    """``passages``, each ``expanded`` by ``expand`` chunks of its document on either side; those whose chunk is gone since
    are left out.
    """
    near = aliased(ChunkRow)
    ranges = (
        select(
            ChunkRow.id,
            ChunkRow.document_id,
            ChunkRow.version,
            func.min(near.char_start).label("start"),
            func.max(near.char_end).label("end"),
        )
        .join(near, _beside(near, expand))
        .where(ChunkRow.id.in_([passage.chunk_id for passage in passages]))
        .group_by(ChunkRow.id, ChunkRow.document_id, ChunkRow.version)
        .subquery()
    )
    start, end = ranges.c.start, ranges.c.end
    rows = session.execute(
        select(ranges.c.id, start, end, func.substr(ExtractedText.text, start + 1, end - start))
        .join(
            DocumentVersion,
            (DocumentVersion.document_id == ranges.c.document_id) & (DocumentVersion.number == ranges.c.version),
        )
        .join(ExtractedText, ExtractedText.sha256 == DocumentVersion.text_sha256)
    )
    found = {row[0]: Extract(row[3], row[1], row[2]) for row in rows}
    return [replace(each, expanded=found[each.chunk_id]) for each in passages if each.chunk_id in found]


def load_neighbours(session: Session, passages: Sequence[Passage], expand: int, access: Access) -> list[Passage]:
    """The chunks within ``expand`` of the ``passages`` in their documents that are not among these: of the first passage
    first, in reading order.

    Each is a passage of its own, so that what is quoted from it is cited with its own place.
    """
    known = [passage.chunk_id for passage in passages]
    near = aliased(ChunkRow)
    rows = session.execute(
        select(ChunkRow.id, near.id, near.key)
        .join(near, _beside(near, expand))
        .where(ChunkRow.id.in_(known))
        .order_by(near.ordinal)
    ).all()
    seen = set(known)
    keys: list[int] = []
    for chunk_id in known:
        for hit_id, near_id, key in rows:
            if hit_id == chunk_id and near_id not in seen:
                seen.add(near_id)
                keys.append(key)
    loaded = load_passages(session, keys, access)
    return [loaded[key] for key in keys if key in loaded]


def _beside(near: type[ChunkRow], expand: int) -> ColumnElement[bool]:
    return (
        (near.document_id == ChunkRow.document_id)
        & (near.chunk_set == ChunkRow.chunk_set)
        & (near.version == ChunkRow.version)
        & near.ordinal.between(ChunkRow.ordinal - expand, ChunkRow.ordinal + expand)
    )
