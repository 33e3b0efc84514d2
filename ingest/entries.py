"""What a source listed, in the database: an entry a document, and what is to be done about it.

``state`` is ``fetch`` while the entry waits to be read, then the outcome of the last sync that listed it: ``new``, ``modified``,
``unchanged`` or ``failed``. Counts are taken from the states, so they always add up.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import ColumnElement, Select, delete, exists, func, select, update
from sqlalchemy.orm import Session, aliased

from infra.errors import FootnoteError
from infra.tables import Document, Source, SourceEntry
from ingest.document import check_external_id
from ingest.sources.entry import Entry

FETCH = "fetch"
SETTLED = ("new", "modified", "unchanged")
_STORED = "stored"


def note_listed(session: Session, source_id: str, sync: int, first: int, entries: Sequence[Entry]) -> None:
    """Note that sync number ``sync`` saw ``entries`` (distinct keys), and which of them must be fetched.

    An entry is unchanged if its mark is the one it had when it was last stored; one that the same job has settled
    already, before a crash (in its attempts since number ``first``), keeps its outcome.
    """
    named = {_storable(entry.key): entry for entry in entries}
    known = {
        row.key: row
        for row in session.scalars(
            select(SourceEntry).where(SourceEntry.source_id == source_id, SourceEntry.key.in_(list(named)))
        )
    }
    same: list[str] = []
    again: list[str] = []
    for key, entry in named.items():
        row = known.get(key)
        settled = row is not None and row.state in SETTLED and entry.mark is not None and row.mark == entry.mark
        if row is None:
            session.add(
                SourceEntry(
                    source_id=source_id,
                    key=key,
                    listed=_described(entry, {}),
                    identity=entry.identity,
                    seen=sync,
                    state=FETCH,
                )
            )
        elif settled and row.seen < first:
            same.append(key)
        elif settled or (row.seen >= first and row.state in (*SETTLED, "failed") and _same(row, entry)):
            again.append(key)
        else:
            row.listed, row.identity = _described(entry, row.listed), entry.identity
            row.seen, row.state = sync, FETCH
    for keys, values in ((same, {"seen": sync, "state": "unchanged"}), (again, {"seen": sync})):
        if keys:
            session.execute(
                update(SourceEntry)
                .where(SourceEntry.source_id == source_id, SourceEntry.key.in_(keys))
                .values(**values)
                .execution_options(synchronize_session=False)
            )


def fetch_again_what_is_missing(session: Session, source: Source, sync: int) -> None:
    """Mark for fetching what counts as unchanged, but whose document was deleted from the collection since."""
    there = exists().where(
        Document.collection_id == source.collection_id, Document.external_id == SourceEntry.key, Document.version > 0
    )
    session.execute(
        update(SourceEntry)
        .where(SourceEntry.source_id == source.id, SourceEntry.seen == sync, SourceEntry.state.in_(SETTLED), ~there)
        .values(state=FETCH, mark=None, validator=None)
        .execution_options(synchronize_session=False)
    )


def forget_marks(session: Session, source_id: str) -> None:
    """Have the next sync read every entry again: what the source says of its documents has changed."""
    session.execute(
        update(SourceEntry)
        .where(SourceEntry.source_id == source_id)
        .values(mark=None, validator=None)
        .execution_options(synchronize_session=False)
    )


def counts_of(session: Session, source_id: str, sync: int) -> dict[str, int]:
    """Of the entries that sync number ``sync`` has seen: how many there are (``scanned``), and how many of each outcome."""
    query = (
        select(SourceEntry.state, func.count())
        .where(SourceEntry.source_id == source_id, SourceEntry.seen == sync)
        .group_by(SourceEntry.state)
    )
    by_state = {row[0]: row[1] for row in session.execute(query)}
    outcomes = {name: by_state.get(name, 0) for name in (*SETTLED, "failed")}
    return {"scanned": sum(by_state.values()), **outcomes}


def next_to_fetch(session: Session, source_id: str, sync: int, limit: int, after: str = "") -> list[SourceEntry]:
    """The next entries that must be read, in the order of their keys, from the one that follows ``after``."""
    return list(
        session.scalars(
            select(SourceEntry)
            .where(SourceEntry.source_id == source_id, SourceEntry.state == FETCH, SourceEntry.seen == sync)
            .where(SourceEntry.key > after)
            .order_by(SourceEntry.key)
            .limit(limit)
        )
    )


def held_elsewhere(session: Session, source: Source, keys: Sequence[str]) -> set[str]:
    """Those of ``keys`` whose documents another source of the collection has stored."""
    query = (
        select(SourceEntry.key)
        .join(Source, Source.id == SourceEntry.source_id)
        .where(
            Source.collection_id == source.collection_id,
            Source.id != source.id,
            SourceEntry.key.in_(list(keys)),
            SourceEntry.state != FETCH,
        )
    )
    return set(session.scalars(query))


def protected(session: Session, source: Source, keys: Sequence[str]) -> set[str]:
    """Those of ``keys`` whose documents only some groups may read: a source of no administrator must not replace them."""
    query = select(Document.external_id).where(
        Document.collection_id == source.collection_id,
        Document.external_id.in_(list(keys)),
        Document.allowed_groups.is_not(None),
    )
    return set(session.scalars(query))


def take_over(session: Session, source: Source, keys: Sequence[str]) -> None:
    """Make this source the one that ``keys`` belong to: the others forget them."""
    others = select(Source.id).where(Source.collection_id == source.collection_id, Source.id != source.id)
    session.execute(
        delete(SourceEntry)
        .where(SourceEntry.source_id.in_(others), SourceEntry.key.in_(list(keys)))
        .execution_options(synchronize_session=False)
    )


def settle(row: SourceEntry, state: str, validator: str | None = None) -> None:
    """Note what became of an entry. Only what was stored keeps its mark: a failure is tried again at the next sync."""
    row.state = state
    if state != "failed":
        row.mark, row.validator = row.listed["mark"], validator
        row.listed = {**row.listed, _STORED: True}
    else:
        row.mark = row.validator = None


def moved(session: Session, source_id: str, sync: int, limit: int) -> list[tuple[SourceEntry, SourceEntry]]:
    """Pairs of an entry that is gone and a new one with its identity: a document that was moved or renamed.

    An identity that is not unique on both sides tells nothing. What was listed under a name in between, before a crash, and
    never stored there does not count.
    """
    mine = SourceEntry.source_id == source_id
    stored = SourceEntry.listed[_STORED].as_boolean()
    is_gone = mine & (SourceEntry.seen < sync) & SourceEntry.identity.is_not(None) & stored
    is_new = mine & (SourceEntry.seen == sync) & (SourceEntry.state == FETCH) & SourceEntry.mark.is_(None)

    def unique(condition: ColumnElement[bool]) -> Select[str | None]:
        return select(SourceEntry.identity).where(condition).group_by(SourceEntry.identity).having(func.count() == 1)

    gone, new = aliased(SourceEntry), aliased(SourceEntry)
    query = (
        select(gone, new)
        .where(gone.listed[_STORED].as_boolean())
        .join(new, (new.source_id == gone.source_id) & (new.identity == gone.identity))
        .where(gone.source_id == source_id, gone.seen < sync, new.seen == sync, new.state == FETCH, new.mark.is_(None))
        .where(gone.identity.in_(unique(is_gone)), new.identity.in_(unique(is_new)))
        .order_by(gone.key)
        .limit(limit)
    )
    return [(row[0], row[1]) for row in session.execute(query)]


def gone_entries(session: Session, source_id: str, sync: int, limit: int) -> list[SourceEntry]:
    """Entries that sync number ``sync`` did not see."""
    return list(
        session.scalars(
            select(SourceEntry)
            .where(SourceEntry.source_id == source_id, SourceEntry.seen < sync)
            .order_by(SourceEntry.key)
            .limit(limit)
        )
    )


def was_stored(row: SourceEntry) -> bool:
    """Whether this source ever stored the entry's document: only then is it the source's to delete."""
    return bool(row.listed.get(_STORED))


def entry_of(row: SourceEntry) -> Entry:
    """The entry as it was listed."""
    listed = {name: value for name, value in row.listed.items() if name != _STORED}
    return Entry(key=listed.pop("key"), **listed)


def _described(entry: Entry, before: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "key": entry.key,
        "mark": entry.mark,
        "identity": entry.identity,
        "filename": entry.filename,
        "content_type": entry.content_type,
        "title": entry.title,
        "url": entry.url,
        "metadata": dict(entry.metadata),
        _STORED: bool(before.get(_STORED)),
    }


def _same(row: SourceEntry, entry: Entry) -> bool:
    return entry.mark is None or bool(row.listed.get("mark") == entry.mark)


def _storable(key: str) -> str:
    """The key itself, or a stand-in for one that can name no document: it is listed, and fails with the reason."""
    try:
        key.encode()
        return check_external_id(key)
    except (FootnoteError, UnicodeEncodeError):
        digest = hashlib.sha256(key.encode("utf-8", "surrogatepass")).hexdigest()[:12]
        shown = "".join(c if c.isprintable() else "?" for c in key.encode("utf-8", "replace").decode())
        return f"{shown[:900]}#{digest}"
