"""Sources as callers keep them: where documents come from, which of them, how often, and who may read them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from infra.clock import iso, now
from infra.errors import Conflict, FieldError, InvalidInput, NotFound
from infra.ids import new_id
from infra.tables import Collection, Source, SourceEntry
from ingest.commit import delete_document, find_document
from ingest.entries import forget_marks, was_stored
from ingest.schedule import check_schedule
from ingest.sources.patterns import check_patterns
from ingest.sources.plan import check_source
from ingest.uploads import supersede


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceSettings:
    """What a caller says of a source.

    ``include`` and ``exclude`` are patterns of keys, ``prune`` deletes what the source does not have any more, ``schedule`` is a
    cron expression in UTC, ``allowed_groups`` and ``metadata`` go to each document, ``options`` are those of the kind and
    ``allow_empty``: that a source which lists nothing at all is believed, and pruned.
    """

    kind: str
    uri: str
    include: Sequence[str] = ()
    exclude: Sequence[str] = ()
    prune: bool = False
    schedule: str | None = None
    allowed_groups: Sequence[str] | None = None
    metadata: Mapping[str, Any] = field(default_factory=dict)
    options: Mapping[str, Any] = field(default_factory=dict)


def create_source(session: Session, collection: Collection, settings: SourceSettings, caller: str | None) -> Source:
    """Add a source of ``caller`` (``None`` = an administrator, whose sources may replace any document).

    Raises ``InvalidInput`` for settings that cannot work and ``Conflict`` if the collection has it.
    """
    _check(settings)
    if find_source(session, collection, settings.kind, settings.uri) is not None:
        raise Conflict("This collection has a source of that kind and uri already.", code="source_exists")
    moment = now()
    source = Source(
        id=new_id("src"),
        collection_id=collection.id,
        kind=settings.kind,
        uri=settings.uri,
        caller=caller,
        syncs=0,
        created_at=moment,
        updated_at=moment,
    )
    _apply(source, settings)
    session.add(source)
    session.flush()
    return source


def ensure_source(session: Session, collection: Collection, settings: SourceSettings, caller: str | None) -> Source:
    """The source of that kind and uri, made if it does not exist, with these settings from now on; its schedule stays."""
    found = find_source(session, collection, settings.kind, settings.uri)
    if found is None:
        return create_source(session, collection, settings, caller)
    return update_source(session, found, replace(settings, schedule=settings.schedule or found.schedule))


def update_source(session: Session, source: Source, settings: SourceSettings) -> Source:
    """Give a source new settings (its kind and uri stay); if its documents' own change, the next sync reads them all again."""
    _check(settings)
    before = (source.allowed_groups, source.meta)
    _apply(source, settings)
    if before != (source.allowed_groups, source.meta):
        forget_marks(session, source.id)
    source.updated_at = now()
    return source


def settings_of(source: Source) -> SourceSettings:
    """A source's settings as they are."""
    return SourceSettings(
        kind=source.kind,
        uri=source.uri,
        include=source.include,
        exclude=source.exclude,
        prune=source.prune,
        schedule=source.schedule,
        allowed_groups=source.allowed_groups,
        metadata=source.meta,
        options=source.options,
    )


def find_source(session: Session, collection: Collection, kind: str, uri: str) -> Source | None:
    """The collection's source of that kind and uri."""
    return session.scalar(
        select(Source).where(Source.collection_id == collection.id, Source.kind == kind, Source.uri == uri)
    )


def get_source(session: Session, collection: Collection, source_id: str, caller: str | None) -> Source:
    """A source of this collection and caller (``None`` = an administrator, who sees all); raises ``NotFound``."""
    source = session.get(Source, source_id)
    if source is None or source.collection_id != collection.id or (caller is not None and source.caller != caller):
        raise NotFound("There is no such source in this collection.", code="source_not_found")
    return source


def list_sources(
    session: Session, collection: Collection, caller: str | None, limit: int, after: str | None
) -> tuple[list[Source], str | None]:
    """A page of the caller's sources by id, and the id to go on after (``None`` at the end)."""
    query = select(Source).where(Source.collection_id == collection.id).order_by(Source.id).limit(limit + 1)
    if caller is not None:
        query = query.where(Source.caller == caller)
    if after is not None:
        query = query.where(Source.id > after)
    found = list(session.scalars(query))
    return found[:limit], found[limit - 1].id if len(found) > limit else None


def delete_source(session: Session, collection: Collection, source: Source, *, documents: bool) -> int:
    """Forget a source, and with ``documents`` also delete what it stored; gives how many documents were deleted."""
    deleted = 0
    if documents:
        for entry in session.scalars(select(SourceEntry).where(SourceEntry.source_id == source.id)):
            if was_stored(entry) and find_document(session, collection.id, entry.key) is not None:
                supersede(session, collection.id, [entry.key])
                delete_document(session, collection, entry.key)
                deleted += 1
    session.delete(source)
    return deleted


def describe(session: Session, source: Source) -> dict[str, Any]:
    """A source as callers see it; ``documents`` is how many it has stored and still lists."""
    documents = session.scalar(
        select(func.count()).where(
            SourceEntry.source_id == source.id,
            SourceEntry.seen == source.syncs,
            SourceEntry.state.in_(("new", "modified", "unchanged")),
        )
    )
    return {
        "id": source.id,
        "kind": source.kind,
        "uri": source.uri,
        "include": source.include,
        "exclude": source.exclude,
        "prune": source.prune,
        "schedule": source.schedule,
        "allowed_groups": source.allowed_groups,
        "metadata": source.meta,
        "options": source.options,
        "documents": documents or 0,
        "last_job_id": source.last_job_id,
        "synced_at": iso(source.synced_at),
        "created_at": iso(source.created_at),
        "updated_at": iso(source.updated_at),
    }


def reader_options(options: Mapping[str, Any]) -> dict[str, Any]:
    """The options that are the kind's own: without ``allow_empty``, which the sync knows."""
    allowed = options.get("allow_empty", False)
    if not isinstance(allowed, bool):
        message = "must be true or false"
        raise InvalidInput(f"options.allow_empty {message}.", errors=(FieldError("options.allow_empty", message),))
    return {name: value for name, value in options.items() if name != "allow_empty"}


def _check(settings: SourceSettings) -> None:
    check_source(settings.kind, settings.uri, reader_options(settings.options))
    check_patterns(settings.include, "include")
    check_patterns(settings.exclude, "exclude")
    if settings.schedule is not None:
        check_schedule(settings.schedule)


def _apply(source: Source, settings: SourceSettings) -> None:
    source.include, source.exclude = list(settings.include), list(settings.exclude)
    source.prune, source.schedule = settings.prune, settings.schedule
    groups = settings.allowed_groups
    source.allowed_groups = None if groups is None else sorted(set(groups))
    source.meta, source.options = dict(settings.metadata), dict(settings.options)
