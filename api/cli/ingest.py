"""``footnote ingest``."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec
import typer

from api.cli.cluster import RAY_OPTION, check_ray, on_ray
from api.cli.context import JSON_OPTION, KEY_OPTION, SERVER_OPTION, err, local_services, out, print_json
from api.cli.manifest import read_manifest
from api.cli.place import kind_of
from api.cli.progress import follow, progress_bar
from api.cli.push import ensure_remote_collection, push
from api.cli.remote import RemoteError, read, remote
from api.cli.watch import watch
from api.cli.work import check_free, run_here
from api.services import Services
from infra.errors import InvalidInput
from ingest import jobs
from ingest.bulk import ingest_all
from ingest.collections import check_name, ensure_collection, get_collection
from ingest.commit import delete_document
from ingest.directory import walk
from ingest.document import Attributes, DocumentInput, Ingested, Outcome
from ingest.reading import list_documents
from ingest.source import SourceSettings, ensure_source
from retrieval.access import EVERYTHING


def ingest(
    places: list[str] = typer.Argument(
        metavar="PATH-or-URL…", help="Files, folders, addresses (git+https://…, https://…, s3://…)."
    ),
    collection: str = typer.Option("default", "--collection", help="Where they go; made if it does not exist."),
    include: list[str] = typer.Option([], "--include", help="Only paths that match this pattern (repeatable)."),
    exclude: list[str] = typer.Option([], "--exclude", help="No paths that match this pattern (repeatable)."),
    prune: bool = typer.Option(False, "--prune", help="Delete what came from there before and is not there any more."),
    groups: list[str] = typer.Option(None, "--allowed-groups", help="Only these groups may read them (repeatable)."),
    metadata: str = typer.Option(None, "--metadata", help="A JSON object kept with each document."),
    kind: str = typer.Option(
        None, "--kind", help="directory, fsspec, git, web or connector, where the address does not say."
    ),
    options: str = typer.Option(
        None, "--options", help="A JSON object: options of the kind, e.g. '{\"depth\": 2}' for web."
    ),
    manifest: Path = typer.Option(
        None,
        "--manifest",
        help="JSON lines {path, external_id?, title?, url?, metadata?, allowed_groups?}: read these files only.",
    ),
    watching: bool = typer.Option(
        False, "--watch", help="Stay, and sync a folder again whenever something in it changes."
    ),
    ray: str = RAY_OPTION,
    server: str = SERVER_OPTION,
    key: str = KEY_OPTION,
    as_json: bool = JSON_OPTION,
) -> None:
    """Read files, folders and addresses into a collection; what is unchanged is skipped, what has changed replaced."""
    check_name(collection)
    attributes = Attributes(metadata=json_object(metadata, "--metadata"), allowed_groups=groups or None)
    files, settings = _sort(
        places, manifest, kind, json_object(options, "--options"), attributes, include, exclude, prune
    )
    if watching and (server is not None or files or any(each.kind != "directory" for each in settings)):
        raise InvalidInput("--watch works on folders of this machine, without --server.")
    if ray is not None and server is not None:
        raise InvalidInput("--ray works on the data folder, without --server.")
    check_ray(ray)
    started = time.perf_counter()
    if server is not None:
        told = _on_server(server, key, collection, files, settings, prune)
    else:
        with local_services() as local, on_ray(local, ray) as services:
            told = _in_folder(services, collection, files, settings, prune and manifest is not None)
            if watching:
                report(told, time.perf_counter() - started, as_json)
                watch([Path(each.uri) for each in settings], lambda: _again(services, collection, settings, as_json))
                return
    report(told, time.perf_counter() - started, as_json)
    if told["counts"]["failed"] or told["errors"]:
        raise typer.Exit(1)


def _sort(
    places: Sequence[str],
    manifest: Path | None,
    kind: str | None,
    options: Mapping[str, Any],
    attributes: Attributes,
    include: Sequence[str],
    exclude: Sequence[str],
    prune: bool,
) -> tuple[list[DocumentInput], list[SourceSettings]]:
    """Single files, which are just stored, and sources, which are kept in mind."""
    if manifest is not None:
        if len(places) != 1 or not manifest.is_file():
            raise InvalidInput("--manifest needs an existing file, and one folder that its paths count from.")
        return list(read_manifest(manifest, Path(places[0]))), []
    files: list[DocumentInput] = []
    sources: list[SourceSettings] = []
    for place in places:
        found, uri = kind_of(place, kind)
        if found == "directory" and Path(uri).is_file():
            path = Path(uri)
            files.append(DocumentInput(path.name, path=path, filename=path.name, attributes=attributes))
            continue
        sources.append(
            SourceSettings(
                kind=found,
                uri=uri,
                include=include,
                exclude=exclude,
                prune=prune,
                allowed_groups=attributes.allowed_groups,
                metadata=attributes.metadata,
                options=options,
            )
        )
    names = [item.external_id for item in files]
    if len(set(names)) < len(names):
        raise InvalidInput(
            "Two of the files have the same name: ingest them into different collections, or their common folder.",
            code="duplicate_external_id",
        )
    return files, sources


def _in_folder(
    services: Services,
    collection: str,
    files: Sequence[DocumentInput],
    sources: Sequence[SourceSettings],
    prune_collection: bool,
) -> dict[str, Any]:
    with services.database.write() as session:
        ensure_collection(session, collection)
    results: list[Ingested] = []
    if files:
        with progress_bar() as progress:
            bar = progress.add_task("Reading", total=len(files))
            for result in ingest_all(services.ingestion, collection, files):
                results.append(result)
                progress.advance(bar)
    deleted = _delete_others(services, collection, files) if prune_collection else 0
    return summary_of(results, deleted, [sync_here(services, collection, each) for each in sources])


def _delete_others(services: Services, collection: str, items: Sequence[DocumentInput]) -> int:
    kept = {item.external_id for item in items}
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
    return len(gone)


def sync_here(
    services: Services, collection: str, settings: SourceSettings, *, take_over: bool = True
) -> Mapping[str, Any]:
    """Sync a source in this process, showing the progress; the job as it ended.

    ``take_over``: its documents replace those that another source stored under the same ids.
    """
    with services.database.write() as session:
        row = get_collection(session, collection)
        source = ensure_source(session, row, settings, None)
        job = jobs.submit_for(session, "sync", row, None, source)
        check_free(job)
        job.options = {**job.options, "take_over": take_over}
        job_id = job.id
    return run_here(services, job_id)


def _again(services: Services, collection: str, settings: Sequence[SourceSettings], as_json: bool) -> None:
    started = time.perf_counter()
    told = summary_of([], 0, [sync_here(services, collection, each) for each in settings])
    if told["counts"]["scanned"] > told["counts"]["unchanged"] or told["errors"]:
        report(told, time.perf_counter() - started, as_json)


def _on_server(
    server: str,
    key: str | None,
    collection: str,
    files: Sequence[DocumentInput],
    sources: Sequence[SourceSettings],
    prune: bool,
) -> dict[str, Any]:
    """Folders of this machine are sent file by file; addresses become sources of the server, which reads them itself."""
    folders = [each for each in sources if each.kind == "directory"]
    items = [*files, *(item for folder in folders for item in _files_of(folder))]
    results, deleted = push(server, key, collection, items, prune and bool(folders)) if items or folders else ([], 0)
    told: list[Mapping[str, Any]] = []
    with remote(server, key) as client:
        ensure_remote_collection(client, collection)
        base = f"/v1/collections/{collection}/sources"
        for each in sources:
            if each.kind == "directory":
                continue
            body = {k: v for k, v in msgspec.to_builtins(each).items() if k not in ("kind", "uri", "schedule")}
            try:
                source = read(client.post(base, json={"kind": each.kind, "uri": each.uri, **body}))
            except RemoteError as error:
                if error.code != "source_exists":
                    raise
                listed = read(client.get(base, params={"limit": 500}))["items"]
                found = [s for s in listed if (s["kind"], s["uri"]) == (each.kind, each.uri)]
                if not found:
                    raise
                source = read(client.patch(f"{base}/{found[0]['id']}", json=body))
            job_id = read(client.post(f"{base}/{source['id']}/sync"))["job_id"]
            told.append(follow(lambda job_id=job_id: read(client.get(f"/v1/jobs/{job_id}"))))  # type: ignore[misc]
    return summary_of(results, deleted, told)


def _files_of(folder: SourceSettings) -> Iterator[DocumentInput]:
    attributes = Attributes(metadata=folder.metadata, allowed_groups=folder.allowed_groups)
    return walk(Path(folder.uri), folder.include, folder.exclude, attributes)


def json_object(raw: str | None, option: str) -> dict[str, Any]:
    """The JSON object that an option was given; empty if it was not."""
    if raw is None:
        return {}
    try:
        value = msgspec.json.decode(raw.encode())
    except msgspec.DecodeError:
        value = None
    if not isinstance(value, dict):
        raise InvalidInput(f"{option} must be one JSON object.", code="invalid_json")
    return value


def summary_of(results: Sequence[Ingested], deleted: int, finished: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """What is reported: counts over everything, failures, and the sentences of syncs that could not be whole."""
    counts = dict.fromkeys(jobs.COUNTS, 0) | {"scanned": len(results) + deleted, "deleted": deleted}
    for result in results:
        counts[result.outcome.value] += 1
    failures: list[Mapping[str, Any]] = [r.failure() for r in results if r.outcome is Outcome.FAILED]
    for job in finished:
        counts = {name: counts[name] + job["counts"][name] for name in counts}
        failures += job["failures"]
    return {"counts": counts, "failures": failures, "errors": [job["error"] for job in finished if job["error"]]}


def report(told: Mapping[str, Any], seconds: float | None, as_json: bool) -> None:
    """Print what was done: counts, failures, and why a source was not read whole."""
    counts = told["counts"]
    if as_json:
        print_json({**told, **({} if seconds is None else {"seconds": round(seconds, 1)})})
        return
    for failure in told["failures"]:
        out.print(f"failed  {failure['external_id']}: {failure['detail']}", markup=False)
    if (hidden := counts["failed"] - len(told["failures"])) > 0:
        out.print(f"failed  {hidden} more")
    for error in told["errors"]:
        err.print(error, markup=False)
    listed = ", ".join(f"{counts[name]} {name}" for name in jobs.COUNTS if name != "scanned")
    took = "" if seconds is None else f"; {seconds:.1f} s"
    out.print(f"{counts['scanned']} scanned: {listed}{took}")
