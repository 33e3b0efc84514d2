"""``footnote collections``: list, create, and set how documents are cut and in which language they are indexed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec
import typer
from sqlalchemy import select

from api.cli.context import JSON_OPTION, KEY_OPTION, SERVER_OPTION, local_services, out, print_json, print_table
from api.cli.progress import follow
from api.cli.remote import read, remote
from api.cli.work import check_free, run_here
from api.services import Services
from infra.errors import InvalidInput
from infra.tables import Collection
from ingest.collections import create_collection, describe, get_collection, set_chunking, set_language
from ingest.jobs import submit_for
from retrieval.language import LANGUAGES, check_language

app = typer.Typer(
    help="List and create collections, and set how their documents are cut and indexed.", no_args_is_help=True
)
NAME = typer.Argument(help="The collection.")
CHUNKING = typer.Option(
    None, "--chunking", help='A JSON object such as {"strategy": "size", "target_tokens": 200}, or "default".'
)
LANGUAGE = typer.Option(None, "--language", help=f'Its words are analysed in: {", ".join(LANGUAGES)}; or "default".')


@app.command("list")
def list_command(server: str = SERVER_OPTION, key: str = KEY_OPTION, as_json: bool = JSON_OPTION) -> None:
    """List the collections with their chunking settings and languages."""
    collections = _remote_list(server, key) if server else _local_list()
    if as_json:
        print_json(collections)
        return
    print_table(
        ["name", "language", "chunking", "description"],
        [[c["name"], c["language"], _shown(c["chunking"]), c["description"] or ""] for c in collections],
    )


@app.command("create")
def create(
    name: str = NAME,
    description: str = typer.Option(None, "--description"),
    chunking: str = CHUNKING,
    language: str = LANGUAGE,
    server: str = SERVER_OPTION,
    key: str = KEY_OPTION,
    as_json: bool = JSON_OPTION,
) -> None:
    """Create an empty collection."""
    settings = _chunking(chunking)
    spoken = _language(language)
    if server:
        with remote(server, key) as client:
            body = {"name": name, "description": description, "chunking": settings, "language": spoken}
            made = read(client.post("/v1/collections", json=body))
    else:
        with local_services() as services, services.database.write() as session:
            made = describe(create_collection(session, name, description, settings, spoken))
    if as_json:
        print_json(made)
    else:
        out.print(f"Created {made['name']}: {made['language']}, {_shown(made['chunking'])}.", markup=False)


@app.command("set")
def set_command(
    name: str = NAME,
    chunking: str = CHUNKING,
    language: str = LANGUAGE,
    server: str = SERVER_OPTION,
    key: str = KEY_OPTION,
    as_json: bool = JSON_OPTION,
) -> None:
    """Set how the documents of a collection are cut, and the language its words are analysed in.

    With --chunking, those that are there are cut again (it may be stopped and repeated).
    """
    wanted: dict[str, Any] = {}
    if chunking is not None:
        wanted["chunking"] = _chunking(chunking)
    if language is not None:
        wanted["language"] = _language(language)
    if not wanted:
        raise InvalidInput(
            "Say what to set: --chunking with a JSON object or default, --language with a language or default."
        )
    if server:
        with remote(server, key) as client:
            changed = read(client.patch(f"/v1/collections/{name}", json=wanted))
            if (job_id := changed.get("job_id")) is not None:
                changed["counts"] = follow(lambda: read(client.get(f"/v1/jobs/{job_id}")))["counts"]
    else:
        with local_services() as services:
            changed = _set_local(services, name, wanted)
    if as_json:
        print_json(changed)
        return
    counts = changed.get("counts")
    done = f"; {counts['modified']} of {counts['scanned']} documents were cut again" if counts else ""
    out.print(f"{name}: {changed['language']}, {_shown(changed['chunking'])}{done}.", markup=False)


def _set_local(services: Services, name: str, wanted: Mapping[str, Any]) -> dict[str, Any]:
    with services.database.write() as session:
        collection = get_collection(session, name)
        if "language" in wanted:
            set_language(session, collection, wanted["language"])
        again = "chunking" in wanted and set_chunking(session, collection, wanted["chunking"])
        changed = describe(collection)
        if not again:
            return changed
        job = submit_for(session, "rechunk", collection, None, None)
        check_free(job)
        job_id = job.id
    return {**changed, "counts": run_here(services, job_id)["counts"]}


def _chunking(raw: str | None) -> dict[str, Any] | None:
    if raw is None or raw == "default":
        return None
    try:
        value = msgspec.json.decode(raw.encode())
    except msgspec.DecodeError:
        value = None
    if not isinstance(value, dict):
        raise InvalidInput(
            '--chunking must be default or a JSON object such as \'{"strategy": "size", "target_tokens": 200}\'.',
            code="invalid_chunking",
        )
    return value


def _language(given: str | None) -> str | None:
    return None if given == "default" else check_language(given)


def _shown(chunking: Mapping[str, Any]) -> str:
    tables = "by rows" if chunking["tables"] == "rows" else "whole"
    return (
        f"by {chunking['strategy']}, {chunking['target_tokens']} tokens (at least {chunking['minimum_tokens']}, "
        f"overlap {chunking['overlap_tokens']}), tables {tables}"
    )


def _local_list() -> list[dict[str, Any]]:
    with local_services() as services, services.database.read() as session:
        return [describe(row) for row in session.scalars(select(Collection).order_by(Collection.name))]


def _remote_list(server: str, key: str | None) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    cursor: str | None = None
    with remote(server, key) as client:
        while True:
            params = {"limit": "500", **({"cursor": cursor} if cursor else {})}
            page = read(client.get("/v1/collections", params=params))
            found += page["items"]
            cursor = page["next_cursor"]
            if cursor is None:
                return found
