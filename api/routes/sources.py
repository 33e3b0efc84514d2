"""``/v1/collections/{name}/sources``: where documents come from."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, Any

import msgspec
from litestar import delete, get, patch, post
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody, QueryParameter

from api.caller import Caller
from api.paging import Cursor, Limit, decode_cursor, page
from api.services import Services
from api.wire import NewSource, SourcePatch
from infra.errors import Forbidden
from ingest.collections import get_collection
from ingest.jobs import submit_for
from ingest.source import (
    SourceSettings,
    create_source,
    delete_source,
    describe,
    get_source,
    list_sources,
    reader_options,
    settings_of,
    update_source,
)
from ingest.sources.plan import local_path


@post("/v1/collections/{name:str}/sources", sync_to_thread=True, summary="Add a source")
def create(
    name: FromPath[str],
    data: JSONBody[NewSource],
    services: NamedDependency[Services],
    caller: NamedDependency[Caller],
) -> dict[str, Any]:
    """Add a source. Nothing is read before its first sync."""
    caller.require("ingest")
    settings = SourceSettings(**msgspec.structs.asdict(data))
    _check_place(services, caller, settings)
    with services.database.write() as session:
        source = create_source(session, get_collection(session, name), settings, caller.owner_filter)
        return describe(session, source)


@get("/v1/collections/{name:str}/sources", sync_to_thread=True, summary="List sources")
def list_all(
    name: FromPath[str],
    services: NamedDependency[Services],
    caller: NamedDependency[Caller],
    limit: Limit = 100,
    cursor: Cursor = None,
) -> dict[str, Any]:
    """The caller's sources; an administrator sees all."""
    caller.require("ingest")
    with services.database.read() as session:
        collection = get_collection(session, name)
        found, last = list_sources(session, collection, caller.owner_filter, limit, decode_cursor(cursor))
        return page([describe(session, source) for source in found], last)


@get("/v1/collections/{name:str}/sources/{source_id:str}", sync_to_thread=True, summary="Show a source")
def show(
    name: FromPath[str],
    source_id: FromPath[str],
    services: NamedDependency[Services],
    caller: NamedDependency[Caller],
) -> dict[str, Any]:
    """One source, how many documents it holds and when it was synced."""
    caller.require("ingest")
    with services.database.read() as session:
        source = get_source(session, get_collection(session, name), source_id, caller.owner_filter)
        return describe(session, source)


@patch("/v1/collections/{name:str}/sources/{source_id:str}", sync_to_thread=True, summary="Change a source")
def change(
    name: FromPath[str],
    source_id: FromPath[str],
    data: JSONBody[SourcePatch],
    services: NamedDependency[Services],
    caller: NamedDependency[Caller],
) -> dict[str, Any]:
    """Change what is given; new groups or metadata reach the documents at the next sync."""
    caller.require("ingest")
    given = {k: v for k, v in msgspec.structs.asdict(data).items() if v is not msgspec.UNSET}
    with services.database.write() as session:
        source = get_source(session, get_collection(session, name), source_id, caller.owner_filter)
        settings = replace(settings_of(source), **given)
        _check_place(services, caller, settings)
        return describe(session, update_source(session, source, settings))


@delete(
    "/v1/collections/{name:str}/sources/{source_id:str}",
    sync_to_thread=True,
    status_code=200,
    summary="Remove a source",
)
def remove(
    name: FromPath[str],
    source_id: FromPath[str],
    services: NamedDependency[Services],
    caller: NamedDependency[Caller],
    documents: Annotated[bool, QueryParameter(description="Also delete the documents that it stored.")] = False,
) -> dict[str, Any]:
    """Forget a source; its documents stay unless `documents=true`."""
    caller.require("ingest")
    with services.database.write() as session:
        collection = get_collection(session, name)
        source = get_source(session, collection, source_id, caller.owner_filter)
        return {"id": source_id, "deleted_documents": delete_source(session, collection, source, documents=documents)}


@post(
    "/v1/collections/{name:str}/sources/{source_id:str}/sync",
    sync_to_thread=True,
    status_code=202,
    summary="Sync a source",
)
def sync(
    name: FromPath[str],
    source_id: FromPath[str],
    services: NamedDependency[Services],
    caller: NamedDependency[Caller],
) -> dict[str, Any]:
    """Queue a sync; while one is unfinished, that one's job is given."""
    caller.require("ingest")
    with services.database.write() as session:
        collection = get_collection(session, name)
        source = get_source(session, collection, source_id, caller.owner_filter)
        job_id = submit_for(session, "sync", collection, caller.name, source).id
    services.wake()
    return {"job_id": job_id}


def _check_place(services: Services, caller: Caller, settings: SourceSettings) -> None:
    """The server's own disk is not every caller's to read."""
    path = local_path(settings.kind, settings.uri, reader_options(settings.options))
    if path is None or caller.is_admin:
        return
    roots = services.settings.source_roots
    if not any(path.resolve().is_relative_to(root) for root in roots):
        raise Forbidden(
            "Only an administrator may read that place on the server's disk; allowed to others: folders below "
            "FOOTNOTE_SOURCE_ROOTS.",
            code="path_not_allowed",
        )


HANDLERS = [create, list_all, show, change, remove, sync]
