"""``/v1/collections``."""

from __future__ import annotations

from typing import Any

import msgspec
from litestar import delete, get, patch, post
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody
from sqlalchemy import select

from api.caller import Caller
from api.paging import Cursor, Limit, decode_cursor, page
from api.services import Services
from api.wire import Chunking, CollectionPatch, NewCollection, Ranking
from infra.clock import now
from infra.tables import Collection
from ingest.collections import (
    create_collection,
    delete_collection,
    describe,
    get_collection,
    set_language,
    set_ranking,
)
from ingest.rechunk import request_chunking


@post("/v1/collections", sync_to_thread=True, summary="Create a collection")
def create(
    data: JSONBody[NewCollection], services: NamedDependency[Services], caller: NamedDependency[Caller]
) -> dict[str, Any]:
    """Add an empty collection."""
    caller.require("ingest")
    with services.database.write() as session:
        made = create_collection(
            session, data.name, data.description, _given(data.chunking), data.language, _given(data.ranking)
        )
        return describe(made)


@get("/v1/collections", sync_to_thread=True, summary="List collections")
def list_all(
    services: NamedDependency[Services],
    caller: NamedDependency[Caller],
    limit: Limit = 100,
    cursor: Cursor = None,
) -> dict[str, Any]:
    """Collections by name."""
    caller.require("search", "answer", "ingest", "eval")
    after = decode_cursor(cursor)
    query = select(Collection).order_by(Collection.name).limit(limit + 1)
    if after is not None:
        query = query.where(Collection.name > after)
    with services.database.read() as session:
        rows = session.scalars(query).all()
    shown = rows[:limit]
    return page([describe(row) for row in shown], shown[-1].name if len(rows) > limit else None)


@get("/v1/collections/{name:str}", sync_to_thread=True, summary="Show a collection")
def show(name: FromPath[str], services: NamedDependency[Services], caller: NamedDependency[Caller]) -> dict[str, Any]:
    """One collection."""
    caller.require("search", "answer", "ingest", "eval")
    with services.database.read() as session:
        return describe(get_collection(session, name))


@patch("/v1/collections/{name:str}", sync_to_thread=True, summary="Change a collection")
def change(
    name: FromPath[str],
    data: JSONBody[CollectionPatch],
    services: NamedDependency[Services],
    caller: NamedDependency[Caller],
) -> dict[str, Any]:
    """Change the description, the chunking or ranking settings, or the language: ``null`` stands for the defaults.

    Where documents were cut with other chunking settings, the job ``job_id`` cuts them again, and the settings hold from its end.
    """
    caller.require("ingest")
    job_id: str | None = None
    with services.database.write() as session:
        collection = get_collection(session, name)
        if not isinstance(data.description, msgspec.UnsetType):
            collection.description, collection.updated_at = data.description, now()
        if not isinstance(data.language, msgspec.UnsetType):
            set_language(session, collection, data.language)
        if not isinstance(data.ranking, msgspec.UnsetType):
            set_ranking(collection, _given(data.ranking))
        given = data.chunking
        if not isinstance(given, msgspec.UnsetType):
            job = request_chunking(session, collection, _given(given), caller.name)
            job_id = None if job is None else job.id
        changed = describe(collection)
    if job_id is None:
        return changed
    services.wake()
    return {**changed, "job_id": job_id}


@delete("/v1/collections/{name:str}", sync_to_thread=True, summary="Delete a collection")
def remove(name: FromPath[str], services: NamedDependency[Services], caller: NamedDependency[Caller]) -> None:
    """Delete a collection with all of its documents; ``default`` is emptied and stays."""
    caller.require("admin" if caller.access.groups is not None else "ingest")
    with services.database.write() as session:
        gone = get_collection(session, name).id
        delete_collection(session, name)
    services.engine.index.forget({gone})


def _given(settings: Chunking | Ranking | None) -> dict[str, Any] | None:
    return None if settings is None else msgspec.to_builtins(settings)


HANDLERS = [create, list_all, show, change, remove]
