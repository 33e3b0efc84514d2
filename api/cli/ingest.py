"""``footnote ingest``."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import msgspec
import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from api.cli.context import JSON_OPTION, KEY_OPTION, SERVER_OPTION, err, local_services, out, print_json
from api.cli.remote import RemoteError, read, remote
from api.services import Services
from infra.errors import InvalidInput, NotFound
from ingest.collections import check_name, ensure_collection, get_collection
from ingest.commit import delete_document
from ingest.directory import walk
from ingest.document import Attributes, DocumentInput, Ingested, Outcome
from ingest.jobs import COUNTS
from ingest.pipeline import ingest_batch
from ingest.reading import list_documents
from retrieval.access import EVERYTHING

_BATCH = 16


def ingest(
    paths: list[Path] = typer.Argument(help="Files and folders."),
    collection: str = typer.Option("default", "--collection", help="Where they go; made if it does not exist."),
    include: list[str] = typer.Option([], "--include", help="Only paths that match this pattern (repeatable)."),
    exclude: list[str] = typer.Option([], "--exclude", help="No paths that match this pattern (repeatable)."),
    prune: bool = typer.Option(
        False, "--prune", help="Delete documents of the collection that are not there any more."
    ),
    groups: list[str] = typer.Option(None, "--allowed-groups", help="Only these groups may read them (repeatable)."),
    metadata: str = typer.Option(None, "--metadata", help="A JSON object kept with each document."),
    manifest: Path = typer.Option(
        None,
        "--manifest",
        help="JSON lines {path, external_id?, title?, url?, metadata?, allowed_groups?}: read these files only.",
    ),
    server: str = SERVER_OPTION,
    key: str = KEY_OPTION,
    as_json: bool = JSON_OPTION,
) -> None:
    """Read files and folders into a collection; unchanged files are skipped, changed ones replaced."""
    check_name(collection)
    attributes = Attributes(metadata=_metadata(metadata), allowed_groups=groups or None)
    items = list(_items(paths, include, exclude, attributes, manifest))
    started = time.perf_counter()
    if server is not None:
        results, deleted = _to_server(server, key, collection, items, prune)
    else:
        with local_services() as services:
            results, deleted = _to_folder(services, collection, items, prune)
    _report(results, deleted, time.perf_counter() - started, as_json)
    if any(result.outcome is Outcome.FAILED for result in results):
        raise typer.Exit(1)


def ingest_all(services: Services, collection: str, items: Sequence[DocumentInput]) -> Iterator[Ingested]:
    """Ingest ``items`` in batches, giving each outcome as it is committed."""
    waiting = iter(items)
    while batch := list(islice(waiting, _BATCH)):
        yield from ingest_batch(services.ingestion, collection, batch)


def read_manifest(manifest: Path, root: Path) -> Iterator[DocumentInput]:
    """The documents that a manifest lists; raises ``InvalidInput`` naming the line that is wrong."""
    known = {"path", "external_id", "title", "url", "metadata", "allowed_groups", "version"}
    for number, line in enumerate(manifest.read_text(encoding="utf-8").splitlines(), start=1):
        if not line.strip():
            continue
        try:
            row: dict[str, Any] = msgspec.json.decode(line.encode(), type=dict[str, Any])
        except msgspec.DecodeError as error:
            raise InvalidInput(f"{manifest.name}, line {number}: not a JSON object ({error}).") from None
        if "path" not in row or not row.keys() <= known:
            raise InvalidInput(f"{manifest.name}, line {number}: needs 'path'; allowed: {', '.join(sorted(known))}.")
        path = root / row["path"]
        yield DocumentInput(
            row.get("external_id", row["path"]),
            path=path,
            filename=path.name,
            attributes=Attributes(
                title=row.get("title"),
                url=row.get("url"),
                metadata=row.get("metadata") or {},
                allowed_groups=row.get("allowed_groups"),
                version=row.get("version"),
            ),
        )


def _items(
    paths: Sequence[Path], include: Sequence[str], exclude: Sequence[str], attributes: Attributes, manifest: Path | None
) -> Iterator[DocumentInput]:
    if manifest is not None:
        if len(paths) != 1 or not manifest.is_file():
            raise InvalidInput("--manifest needs an existing file, and one folder that its paths count from.")
        yield from read_manifest(manifest, paths[0])
        return
    seen: set[str] = set()
    for root in paths:
        for item in walk(root, include, exclude, attributes):
            if item.external_id in seen:
                raise InvalidInput(
                    f"Two of the paths hold {item.external_id!r}: ingest them into different collections, or their "
                    "common folder.",
                    code="duplicate_external_id",
                )
            seen.add(item.external_id)
            yield item


def _to_folder(
    services: Services, collection: str, items: Sequence[DocumentInput], prune: bool
) -> tuple[list[Ingested], int]:
    with services.database.write() as session:
        ensure_collection(session, collection)
    results: list[Ingested] = []
    with _progress() as progress:
        bar = progress.add_task("Reading", total=len(items))
        for result in ingest_all(services, collection, items):
            results.append(result)
            progress.advance(bar)
    if not prune:
        return results, 0
    kept = {item.external_id for item in items}
    deleted = 0
    with services.database.write() as session:
        row = get_collection(session, collection)
        after: str | None = None
        gone: list[str] = []
        while True:
            page, after = list_documents(session, row, EVERYTHING, 500, after)
            gone += [document.external_id for document in page if document.external_id not in kept]
            if after is None:
                break
        for external_id in gone:
            delete_document(session, row, external_id)
            deleted += 1
    return results, deleted


def _to_server(
    server: str, key: str | None, collection: str, items: Sequence[DocumentInput], prune: bool
) -> tuple[list[Ingested], int]:
    results: list[Ingested] = []
    with remote(server, key) as client, _progress() as progress:
        _ensure_remote(client, collection)
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


def _ensure_remote(client: httpx.Client, collection: str) -> None:
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


def _metadata(raw: str | None) -> dict[str, Any]:
    if raw is None:
        return {}
    try:
        value = msgspec.json.decode(raw.encode())
    except msgspec.DecodeError:
        value = None
    if not isinstance(value, dict):
        raise InvalidInput("--metadata must be one JSON object.", code="invalid_metadata")
    return value


def _progress() -> Progress:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    return Progress(*columns, console=err, transient=True, disable=not err.is_terminal)


def _report(results: Sequence[Ingested], deleted: int, seconds: float, as_json: bool) -> None:
    counts = dict.fromkeys(COUNTS, 0) | {"scanned": len(results) + deleted, "deleted": deleted}
    for result in results:
        counts[result.outcome.value] += 1
    failures = [
        {"external_id": r.external_id, "code": r.code, "detail": r.detail}
        for r in results
        if r.outcome is Outcome.FAILED
    ]
    if as_json:
        print_json({"counts": counts, "failures": failures, "seconds": round(seconds, 1)})
        return
    for failure in failures:
        out.print(f"failed  {failure['external_id']}: {failure['detail']}", markup=False)
    told = ", ".join(f"{counts[name]} {name}" for name in COUNTS if name != "scanned")
    out.print(f"{counts['scanned']} scanned: {told}; {seconds:.1f} s")
