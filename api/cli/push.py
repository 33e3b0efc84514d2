"""Sending files of this machine to a server, one by one: ``footnote ingest --server``."""

from __future__ import annotations

from collections.abc import Sequence
from urllib.parse import quote

import httpx
import msgspec

from api.cli.progress import progress_bar
from api.cli.remote import RemoteError, read, remote
from infra.errors import NotFound
from ingest.document import DocumentInput, Ingested, Outcome


def push(
    server: str, key: str | None, collection: str, items: Sequence[DocumentInput], prune: bool
) -> tuple[list[Ingested], int]:
    """Store ``items`` on a server; with ``prune``, delete what else the collection holds. Outcomes, and the number deleted."""
    results: list[Ingested] = []
    with remote(server, key) as client, progress_bar() as progress:
        ensure_remote_collection(client, collection)
        bar = progress.add_task("Sending", total=len(items))
        known = _remote_versions(client, collection)
        for item in items:
            results.append(_send(client, collection, item, known.get(item.external_id, 0)))
            progress.advance(bar)
        deleted = 0
        if prune:
            for external_id in known.keys() - {item.external_id for item in items}:
                read(client.delete(_address(collection, external_id)))
                deleted += 1
    return results, deleted


def ensure_remote_collection(client: httpx.Client, collection: str) -> None:
    """Make the collection on the server if it is not there."""
    try:
        read(client.post("/v1/collections", json={"name": collection}))
    except RemoteError as error:
        if error.code != "collection_exists":
            raise


def _remote_versions(client: httpx.Client, collection: str) -> dict[str, int]:
    versions: dict[str, int] = {}
    cursor: str | None = None
    while True:
        params = {"limit": "500", **({"cursor": cursor} if cursor else {})}
        page = read(client.get(f"/v1/collections/{collection}/documents", params=params))
        versions.update({document["external_id"]: document["version"] for document in page["items"]})
        cursor = page["next_cursor"]
        if cursor is None:
            return versions


def _send(client: httpx.Client, collection: str, item: DocumentInput, before: int) -> Ingested:
    path = item.path
    if path is None:
        raise NotFound("Only files can be sent to a server.")
    a = item.attributes
    params: list[tuple[str, str | int | float | bool | None]] = [("wait", "true"), ("filename", path.name)]
    params += [("title", a.title)] if a.title else []
    params += [("url", a.url)] if a.url else []
    params += [("allowed_groups", ",".join(a.allowed_groups))] if a.allowed_groups is not None else []
    params += [("metadata", msgspec.json.encode(a.metadata).decode())] if a.metadata else []
    try:
        with path.open("rb") as file:
            document = read(
                client.put(
                    _address(collection, item.external_id),
                    params=params,
                    content=file,
                    headers={"Content-Type": "application/octet-stream"},
                )
            )
    except RemoteError as error:
        if error.status not in (413, 415, 422):
            raise
        return Ingested(item.external_id, Outcome.FAILED, code=error.code, detail=error.detail)
    except OSError as error:
        return Ingested(item.external_id, Outcome.FAILED, code="unreadable_file", detail=str(error.strerror))
    version = int(document["version"])
    outcome = Outcome.UNCHANGED if version == before else Outcome.MODIFIED if before else Outcome.NEW
    return Ingested(item.external_id, outcome, document["id"], version)


def _address(collection: str, external_id: str) -> str:
    return f"/v1/collections/{collection}/documents/{quote(external_id, safe='')}"
