"""``/v1/collections/{name}/documents`` and ``/v1/documents``."""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import Iterator, Sequence
from typing import Annotated, Any
from urllib.parse import unquote

import msgspec
from litestar import Request, Response, delete, get, post, put
from litestar.di import NamedDependency
from litestar.params import FromPath, QueryParameter

from api.body import decode
from api.caller import Caller
from api.forms import read_form
from api.paging import Cursor, Limit, decode_cursor, page
from api.services import Services
from api.uploads import spool_stream
from api.wire import NewDocument
from infra.errors import (
    Busy,
    FieldError,
    FootnoteError,
    InvalidInput,
    NotFound,
    Unavailable,
    Unprocessable,
    Unsupported,
)
from infra.telemetry import observe_ingested
from ingest.collections import get_collection
from ingest.commit import delete_document, find_document, note_pending
from ingest.document import Attributes, DocumentInput, Ingested, Outcome, check_external_id
from ingest.pipeline import OUT_OF_MEMORY, ingest_batch
from ingest.reading import describe, document_text, get_document, get_document_by_id, list_documents
from ingest.uploads import submit_uploads, supersede
from retrieval.access import Access

AnyRequest = Request[Any, Any, Any]
Text = Annotated[str | None, QueryParameter(max_length=2000)]
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
        body = decode(await request.body(), NewDocument)
        attributes = Attributes(
            title=body.title,
            url=body.url,
            metadata=body.metadata or {},
            allowed_groups=body.allowed_groups,
            version=None if body.version is None else str(body.version),
        )
        item = DocumentInput(identifier, text=body.text, attributes=attributes)
        if not wait:
            encoded = body.text.encode("utf-8", "surrogatepass")
            blob = await asyncio.to_thread(services.spool.write, [encoded], limit)
    else:
        with_groups = None if allowed_groups is None else _groups(allowed_groups)
        given = _metadata(metadata)
        blob = await spool_stream(services.spool, request.stream(), limit)
        item = DocumentInput(
            identifier,
            path=services.spool.path(blob),
            filename=filename or identifier.rsplit("/", 1)[-1],
            content_type=content_type,
            attributes=Attributes(title, url, given, with_groups),
        )
    if not wait:
        with _kept_if_queued(services, [blob or ""]):
            queued = await asyncio.to_thread(_queue, services, caller, name, [(item, blob or "")])
        return Response(queued, status_code=202)
    try:
        async with request.app.state.turns.turn():
            document = await asyncio.to_thread(_store_now, services, caller.access, name, item)
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
    with _kept_if_queued(services, [file.blob for file in form.files]):
        if not form.files:
            raise InvalidInput(
                "There is no file in the form: send at least one in a field named 'files'.", code="no_files"
            )
        attributes = _form_attributes(form.fields.get("metadata", []), form.fields.get("allowed_groups", []))
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
        return await asyncio.to_thread(_queue, services, caller, name, items)


@contextlib.contextmanager
def _kept_if_queued(services: Services, blobs: Sequence[str]) -> Iterator[None]:
    """Drop ``blobs`` if the block, which gives them to a job, fails for certain.

    When the connection to the database broke, or the task was cancelled, the job may be there: then they are left to it, or to
    the next sweep.
    """
    try:
        yield
    except Exception as error:
        if not isinstance(error, Unavailable) or isinstance(error, Busy):
            services.spool.remove(blobs)
        raise


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


def _groups(values: Sequence[str]) -> list[str]:
    """Groups from query or form values: repeated, comma-separated or a JSON list; an empty value is an empty list."""
    if len(values) == 1 and values[0].lstrip().startswith("["):
        try:
            return msgspec.json.decode(values[0].encode(), type=list[str])
        except msgspec.DecodeError:
            raise InvalidInput("allowed_groups is not a JSON list of strings.", code="invalid_groups") from None
    return [group.strip() for value in values for group in value.split(",") if group.strip()]


def _metadata(raw: Any) -> dict[str, Any]:
    if raw is None:
        return {}
    try:
        decoded = msgspec.json.decode(raw.encode()) if isinstance(raw, str) else raw
    except (msgspec.DecodeError, UnicodeEncodeError):
        decoded = None
    if not isinstance(decoded, dict):
        message = "must be one JSON object"
        raise InvalidInput(f"metadata {message}.", errors=(FieldError("metadata", message),))
    return decoded


def _form_attributes(metadata: Sequence[str], groups: Sequence[str]) -> Attributes:
    return Attributes(
        metadata=_metadata(metadata[0] if metadata else None), allowed_groups=_groups(groups) if groups else None
    )


def _store_now(services: Services, access: Access, name: str, item: DocumentInput) -> dict[str, Any]:
    with services.database.write() as session:
        collection = get_collection(session, name)
        _check_replaceable(find_document(session, collection.id, item.external_id), access)
        supersede(session, collection.id, [item.external_id])
        note_pending(session, collection, item)
    result = ingest_batch(services.ingestion, name, [item])[0]
    observe_ingested(result.outcome.value)
    if result.outcome is Outcome.FAILED:
        raise failure(result)
    with services.database.read() as session:
        # Not by the caller's access: it may store what it must not read, and gets the receipt for it.
        return describe(get_document(session, get_collection(session, name), item.external_id, Access(None)))


def failure(result: Ingested) -> FootnoteError:
    """The error for a document that could not be read."""
    kind = _FAILURES.get(result.code or "", Unprocessable)
    return kind(result.detail or "The document could not be read.", code=result.code)


_FAILURES: dict[str, type[FootnoteError]] = {"unsupported_format": Unsupported, OUT_OF_MEMORY: Unavailable}


def _queue(services: Services, caller: Caller, name: str, items: list[tuple[DocumentInput, str]]) -> dict[str, Any]:
    with services.database.write() as session:
        collection = get_collection(session, name)
        for item, _ in items:
            _check_replaceable(find_document(session, collection.id, item.external_id), caller.access)
        job = submit_uploads(session, collection, items, caller.name)
        job_id = job.id
    services.wake()
    return {"job_id": job_id}


def _check_replaceable(document: Any, access: Access) -> None:
    if document is not None and not access.may_read(document.allowed_groups):
        raise NotFound("There is no such document that you may replace.", code="document_not_found")


HANDLERS = [store, upload, list_all, show, remove, show_by_id, text]
