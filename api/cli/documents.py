"""``footnote documents``: list, show, delete."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

import typer

from api.cli.context import (
    JSON_OPTION,
    KEY_OPTION,
    SERVER_OPTION,
    local_services,
    out,
    print_json,
    print_table,
)
from api.cli.remote import read, remote
from ingest.collections import get_collection
from ingest.commit import delete_document
from ingest.reading import describe, document_text, get_document, list_documents
from ingest.uploads import supersede
from retrieval.access import EVERYTHING

app = typer.Typer(help="List, show and delete documents.", no_args_is_help=True)
COLLECTION = typer.Option("default", "--collection", help="The collection.")


@app.command("list")
def list_command(
    collection: str = COLLECTION, server: str = SERVER_OPTION, key: str = KEY_OPTION, as_json: bool = JSON_OPTION
) -> None:
    """List the documents of a collection."""
    documents = _remote_list(server, key, collection) if server else _local_list(collection)
    if as_json:
        print_json(documents)
        return
    rows = [
        [
            d["external_id"],
            d["status"],
            str(d["version"]),
            str(d["chunks"]),
            _readers(d["allowed_groups"]),
            d["title"] or "",
        ]
        for d in documents
    ]
    print_table(["external id", "status", "version", "chunks", "readers", "title"], rows)
    for document in documents:
        if document.get("error"):
            out.print(f"{document['external_id']}: {document['error']['detail']}", markup=False, style="yellow")


@app.command("show")
def show(
    external_id: str = typer.Argument(help="The document."),
    collection: str = COLLECTION,
    text: bool = typer.Option(False, "--text", help="Print the extracted text instead."),
    server: str = SERVER_OPTION,
    key: str = KEY_OPTION,
    as_json: bool = JSON_OPTION,
) -> None:
    """Show one document."""
    if server:
        with remote(server, key) as client:
            document = read(client.get(_address(collection, external_id)))
            content = client.get(f"/v1/documents/{document['id']}/text").text if text else ""
    else:
        with local_services() as services, services.database.read() as session:
            row = get_document(session, get_collection(session, collection), external_id, EVERYTHING)
            document = describe(row)
            content = document_text(session, row.id, None, EVERYTHING) if text else ""
    if text:
        typer.echo(content)
    elif as_json:
        print_json(document)
    else:
        print_table(["field", "value"], [[name, str(value)] for name, value in document.items()])


@app.command("delete")
def delete(
    external_id: str = typer.Argument(help="The document."),
    collection: str = COLLECTION,
    server: str = SERVER_OPTION,
    key: str = KEY_OPTION,
    as_json: bool = JSON_OPTION,
) -> None:
    """Delete a document with all of its versions, and print the receipt."""
    if server:
        with remote(server, key) as client:
            receipt = read(client.delete(_address(collection, external_id)))
    else:
        with local_services() as services, services.database.write() as session:
            row = get_collection(session, collection)
            supersede(session, row.id, [external_id])
            receipt = delete_document(session, row, external_id)
    if as_json:
        print_json(receipt)
    else:
        out.print(
            f"Deleted {receipt['external_id']}: {receipt['versions']} versions, {receipt['chunks']} chunks "
            f"(change {receipt['seq']}).",
            markup=False,
        )


def _local_list(collection: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    with local_services() as services, services.database.read() as session:
        row = get_collection(session, collection)
        after: str | None = None
        while True:
            page, after = list_documents(session, row, EVERYTHING, 500, after)
            found += [describe(document) for document in page]
            if after is None:
                return found


def _remote_list(server: str, key: str | None, collection: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    cursor: str | None = None
    with remote(server, key) as client:
        while True:
            params = {"limit": "500", **({"cursor": cursor} if cursor else {})}
            page = read(client.get(f"/v1/collections/{collection}/documents", params=params))
            found += page["items"]
            cursor = page["next_cursor"]
            if cursor is None:
                return found


def _address(collection: str, external_id: str) -> str:
    return f"/v1/collections/{collection}/documents/{quote(external_id, safe='')}"


def _readers(groups: list[str] | None) -> str:
    if groups is None:
        return "everyone"
    return ", ".join(groups) or "administrators"
