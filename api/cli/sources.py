"""``footnote sources``: list, add, show, sync and remove where documents come from."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec
import typer

from api.cli.context import JSON_OPTION, KEY_OPTION, SERVER_OPTION, local_services, out, print_json, print_table
from api.cli.ingest import json_object, report, summary_of, sync_here
from api.cli.place import kind_of
from api.cli.progress import follow
from api.cli.push import ensure_remote_collection
from api.cli.remote import read, remote
from ingest.collections import check_name, ensure_collection, get_collection
from ingest.source import SourceSettings, create_source, delete_source, describe, get_source, list_sources, settings_of

app = typer.Typer(help="Where documents come from: list, add, show, sync, remove.", no_args_is_help=True)
COLLECTION = typer.Option("default", "--collection", help="The collection.")
SOURCE = typer.Argument(help="The source's id.", metavar="ID")
_MOST = 500


@app.command("list")
def list_command(
    collection: str = COLLECTION, server: str = SERVER_OPTION, key: str = KEY_OPTION, as_json: bool = JSON_OPTION
) -> None:
    """List the sources of a collection."""
    if server is not None:
        with remote(server, key) as client:
            found = read(client.get(_address(collection), params={"limit": _MOST}))["items"]
    else:
        with local_services() as services, services.database.read() as session:
            rows, _ = list_sources(session, get_collection(session, collection), None, _MOST, None)
            found = [describe(session, row) for row in rows]
    if as_json:
        print_json(found)
        return
    columns = ["id", "kind", "documents", "schedule (UTC)", "prune", "last synced", "uri"]
    print_table(
        columns,
        [
            [
                each["id"],
                each["kind"],
                str(each["documents"]),
                each["schedule"] or "",
                "yes" if each["prune"] else "no",
                each["synced_at"] or "never",
                each["uri"],
            ]
            for each in found
        ],
    )


@app.command("add")
def add(
    place: str = typer.Argument(help="A folder or an address.", metavar="PATH-or-URL"),
    collection: str = typer.Option(
        "default", "--collection", help="Where its documents go; made if it does not exist."
    ),
    kind: str = typer.Option(
        None, "--kind", help="directory, fsspec, git, web or connector, where the address does not say."
    ),
    include: list[str] = typer.Option([], "--include", help="Only paths that match this pattern (repeatable)."),
    exclude: list[str] = typer.Option([], "--exclude", help="No paths that match this pattern (repeatable)."),
    prune: bool = typer.Option(False, "--prune", help="Each sync deletes what the source does not have any more."),
    schedule: str = typer.Option(
        None, "--schedule", help="When a server syncs it: a cron expression in UTC, e.g. '0 3 * * *'."
    ),
    groups: list[str] = typer.Option(None, "--allowed-groups", help="Only these groups may read them (repeatable)."),
    metadata: str = typer.Option(None, "--metadata", help="A JSON object kept with each document."),
    options: str = typer.Option(
        None, "--options", help="A JSON object: options of the kind, e.g. '{\"depth\": 2}' for web."
    ),
    server: str = SERVER_OPTION,
    key: str = KEY_OPTION,
    as_json: bool = JSON_OPTION,
) -> None:
    """Add a source. Nothing is read before its first sync."""
    check_name(collection)
    # Of a server, a path is a folder there: it need not exist here.
    found, uri = (kind or "directory", place) if server is not None and _is_path(place) else kind_of(place, kind)
    settings = SourceSettings(
        kind=found,
        uri=uri,
        include=include,
        exclude=exclude,
        prune=prune,
        schedule=schedule,
        allowed_groups=groups or None,
        metadata=json_object(metadata, "--metadata"),
        options=json_object(options, "--options"),
    )
    if server is not None:
        with remote(server, key) as client:
            ensure_remote_collection(client, collection)
            made = read(client.post(_address(collection), json=msgspec.to_builtins(settings)))
    else:
        with local_services() as services, services.database.write() as session:
            source = create_source(session, ensure_collection(session, collection), settings, None)
            made = describe(session, source)
    _show(made, as_json)


@app.command("show")
def show(
    source_id: str = SOURCE,
    collection: str = COLLECTION,
    server: str = SERVER_OPTION,
    key: str = KEY_OPTION,
    as_json: bool = JSON_OPTION,
) -> None:
    """Show a source."""
    if server is not None:
        with remote(server, key) as client:
            found = read(client.get(f"{_address(collection)}/{source_id}"))
    else:
        with local_services() as services, services.database.read() as session:
            found = describe(session, get_source(session, get_collection(session, collection), source_id, None))
    _show(found, as_json)


@app.command("sync")
def sync(
    source_id: str = SOURCE,
    collection: str = COLLECTION,
    server: str = SERVER_OPTION,
    key: str = KEY_OPTION,
    as_json: bool = JSON_OPTION,
) -> None:
    """Bring the collection to what the source has now, showing the progress."""
    if server is not None:
        with remote(server, key) as client:
            job_id = read(client.post(f"{_address(collection)}/{source_id}/sync"))["job_id"]
            job = follow(lambda: read(client.get(f"/v1/jobs/{job_id}")))
    else:
        with local_services() as services:
            with services.database.read() as session:
                settings = settings_of(get_source(session, get_collection(session, collection), source_id, None))
            job = sync_here(services, collection, settings, take_over=False)
    summary = summary_of([], 0, [job])
    report(summary, None, as_json)
    if summary["counts"]["failed"] or summary["errors"]:
        raise typer.Exit(1)


@app.command("remove")
def remove(
    source_id: str = SOURCE,
    collection: str = COLLECTION,
    documents: bool = typer.Option(False, "--documents", help="Also delete the documents that it stored."),
    server: str = SERVER_OPTION,
    key: str = KEY_OPTION,
    as_json: bool = JSON_OPTION,
) -> None:
    """Forget a source; its documents stay unless --documents is given."""
    if server is not None:
        with remote(server, key) as client:
            path = f"{_address(collection)}/{source_id}"
            done = read(client.delete(path, params={"documents": str(documents).lower()}))
    else:
        with local_services() as services, services.database.write() as session:
            row = get_collection(session, collection)
            source = get_source(session, row, source_id, None)
            done = {"id": source_id, "deleted_documents": delete_source(session, row, source, documents=documents)}
    if as_json:
        print_json(done)
    else:
        out.print(f"Removed {source_id}; {done['deleted_documents']} documents deleted.")


def _address(collection: str) -> str:
    return f"/v1/collections/{collection}/sources"


def _is_path(place: str) -> bool:
    return "://" not in place and "::" not in place and not place.startswith("git+")


def _show(source: Mapping[str, Any], as_json: bool) -> None:
    if as_json:
        print_json(source)
        return
    print_table(["", ""], [[name.replace("_", " "), _shown(value)] for name, value in source.items()])


def _shown(value: Any) -> str:
    if value is None or value == [] or value == {}:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()
