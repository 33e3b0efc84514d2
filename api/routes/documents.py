"""``/v1/collections/{name}/documents`` and ``/v1/documents``."""

from __future__ import annotations

import asyncio
import re
from dataclasses import replace
from typing import Annotated, Any
from urllib.parse import unquote

from litestar import Request, Response, delete, get, post, put
from litestar.di import NamedDependency
from litestar.params import FromPath, QueryParameter

from api.attributes import form_attributes, groups_of, metadata_of
from api.body import decode, read_whole
from api.caller import Caller
from api.forms import read_form
from api.paging import Cursor, Limit, decode_cursor, page
from api.services import Services
from api.storing import kept_if_queued, queue, store_now
from api.uploads import spool_stream
from api.wire import NewDocument
from infra.errors import (
    InvalidInput,
    Unsupported,
)
from ingest.collections import get_collection
from ingest.commit import delete_document
from ingest.document import Attributes, DocumentInput, check_external_id
from ingest.reading import describe, document_text, get_document, get_document_by_id, list_documents
from ingest.uploads import supersede

AnyRequest = Request[Any, Any, Any]
Text = Annotated[str | None, QueryParameter(max_length=2000)]
# A longer text waits for its turn on disk.
_IN_MEMORY = 100_000
_DOCUMENT_PATH = re.compile(rb"/+v1/+collections/+[^/]+/+documents/(.*)", re.DOTALL)


def external_id_of(request: AnyRequest) -> str:
    """The external id: the rest of the path, as sent (the router's own copy has lost doubled slashes)."""
    raw: bytes = request.scope.get("raw_path") or request.scope["path"].encode()
    # The first two parts are passed over by their place: a collection may itself be named "documents".
    found = _DOCUMENT_PATH.match(raw.split(b"?", 1)[0])
    try:
        return check_external_id(unquote(found.group(1) if found else b"", errors="strict"))
    except UnicodeDecodeError:
        raise InvalidInput("The external_id in the path is not UTF-8.", code="invalid_external_id") from None


@put("/v1/collections/{name:str}/documents/{external_id:path}", summary="Store a document", status_code=202)
async def store(
    request: AnyRequest,
    name: FromPath[str],
    external_id: FromPath[str],
    services: NamedDependency[Services],
    caller: NamedDependency[Caller],
    wait: Annotated[bool, QueryParameter(description="Answer once the document is searchable.")] = False,
    title: Text = None,
    url: Text = None,
    allowed_groups: Annotated[list[str] | None, QueryParameter(description="Comma-separated, or repeated.")] = None,
    filename: Text = None,
    metadata: Annotated[str | None, QueryParameter(max_length=100_000, description="A JSON object.")] = None,
) -> Response[dict[str, Any]]:
    """Store a JSON document ``{text, …}``, or a file as the raw body, under ``external_id``.

    202 with a job, or with ``?wait=true`` 200 with the document once it is searchable.
    """
    caller.require("ingest")
    identifier = external_id_of(request)
    content_type = (request.headers.get("content-type") or "application/octet-stream").split(";")[0].strip().lower()
    limit = services.settings.max_upload_mb * 2**20
    blob: str | None = None
    if content_type == "application/json" and filename is None:
        body = decode(await read_whole(request.stream()), NewDocument)
        attributes = Attributes(
            title=body.title,
            url=body.url,
            metadata=body.metadata or {},
            allowed_groups=body.allowed_groups,
            version=None if body.version is None else str(body.version),
        )
        item = DocumentInput(identifier, text=body.text, attributes=attributes)
        if not wait or len(body.text) > _IN_MEMORY:
            encoded = body.text.encode("utf-8", "surrogatepass")
            blob = await asyncio.to_thread(services.spool.write, [encoded], limit)
        del body
    else:
        with_groups = None if allowed_groups is None else groups_of(allowed_groups)
        given = metadata_of(metadata)
        blob = await spool_stream(services.spool, request.stream(), limit)
        item = DocumentInput(
            identifier,
            path=services.spool.path(blob),
            filename=filename or identifier.rsplit("/", 1)[-1],
            content_type=content_type,
            attributes=Attributes(title, url, given, with_groups),
        )
    if wait and blob is not None:
        item = replace(item, text=None)  # it waits for its turn on disk
    if not wait:
        with kept_if_queued(services, [blob or ""]):
            queued = await asyncio.to_thread(queue, services, caller, name, [(item, blob or "")])
        return Response(queued, status_code=202)
    try:
        async with request.app.state.turns.turn():
            document = await asyncio.to_thread(store_now, services, caller.access, name, item, blob)
    finally:
        if blob is not None:
            services.spool.remove([blob])
    return Response(document, status_code=200)


@post("/v1/collections/{name:str}/documents", summary="Upload files", status_code=202)
async def upload(
    request: AnyRequest,
    name: FromPath[str],
    services: NamedDependency[Services],
    caller: NamedDependency[Caller],
) -> dict[str, Any]:
    """Upload files as ``multipart/form-data``: ``files`` (many), ``metadata`` (a JSON object), ``allowed_groups``.

    The external id of each is its file name.
    """
    caller.require("ingest")
    if not (request.headers.get("content-type") or "").lower().startswith("multipart/form-data"):
        raise Unsupported("Send the files as multipart/form-data, in fields named 'files'.", code="multipart_expected")
    limit = services.settings.max_upload_mb * 2**20
    form = await read_form(
        request.headers["content-type"], request.stream(), services.spool, limit, ("metadata", "allowed_groups")
    )
    with kept_if_queued(services, [file.blob for file in form.files]):
        if not form.files:
            raise InvalidInput(
                "There is no file in the form: send at least one in a field named 'files'.", code="no_files"
            )
        attributes = form_attributes(form.fields.get("metadata", []), form.fields.get("allowed_groups", []))
        items = [
            (
                DocumentInput(
                    file.name,
                    path=services.spool.path(file.blob),
                    filename=file.name,
                    content_type=file.content_type,
                    attributes=attributes,
                ),
                file.blob,
            )
            for file in form.files
        ]
        return await asyncio.to_thread(queue, services, caller, name, items)


@get("/v1/collections/{name:str}/documents", sync_to_thread=True, summary="List documents")
def list_all(
    name: FromPath[str],
    services: NamedDependency[Services],
    caller: NamedDependency[Caller],
    limit: Limit = 100,
    cursor: Cursor = None,
) -> dict[str, Any]:
    """Documents by external id: those that the caller may read."""
    caller.require("search", "answer", "ingest")
    with services.database.read() as session:
        collection = get_collection(session, name)
        documents, last = list_documents(session, collection, caller.access, limit, decode_cursor(cursor))
    return page([describe(document) for document in documents], last)


@get("/v1/collections/{name:str}/documents/{external_id:path}", sync_to_thread=True, summary="Show a document")
def show(
    request: AnyRequest,
    name: FromPath[str],
    external_id: FromPath[str],
    services: NamedDependency[Services],
    caller: NamedDependency[Caller],
) -> dict[str, Any]:
    """One document by its external id."""
    caller.require("search", "answer", "ingest")
    with services.database.read() as session:
        collection = get_collection(session, name)
        return describe(get_document(session, collection, external_id_of(request), caller.access))


@delete(
    "/v1/collections/{name:str}/documents/{external_id:path}",
    sync_to_thread=True,
    status_code=200,
    summary="Delete a document",
)
def remove(
    request: AnyRequest,
    name: FromPath[str],
    external_id: FromPath[str],
    services: NamedDependency[Services],
    caller: NamedDependency[Caller],
) -> dict[str, Any]:
    """Delete a document with all of its versions; answers with the receipt."""
    caller.require("ingest")
    identifier = external_id_of(request)
    with services.database.write() as session:
        collection = get_collection(session, name)
        get_document(session, collection, identifier, caller.access)
        supersede(session, collection.id, [identifier])
        return delete_document(session, collection, identifier)


@get("/v1/documents/{document_id:str}", sync_to_thread=True, summary="Show a document by id")
def show_by_id(
    document_id: FromPath[str], services: NamedDependency[Services], caller: NamedDependency[Caller]
) -> dict[str, Any]:
    """One document by its id."""
    caller.require("search", "answer", "ingest")
    with services.database.read() as session:
        return describe(get_document_by_id(session, document_id, caller.access))


@get(
    "/v1/documents/{document_id:str}/text",
    sync_to_thread=True,
    summary="Show a document's text",
    media_type="text/plain",
)
def text(
    document_id: FromPath[str],
    services: NamedDependency[Services],
    caller: NamedDependency[Caller],
    version: Annotated[
        int | None, QueryParameter(ge=1, le=2**31 - 1, description="Default: the current version.")
    ] = None,
) -> str:
    """The extracted text of a version, in which citations' character ranges count."""
    caller.require("search", "answer", "ingest")
    with services.database.read() as session:
        return document_text(session, document_id, version, caller.access)


HANDLERS = [store, upload, list_all, show, remove, show_by_id, text]
