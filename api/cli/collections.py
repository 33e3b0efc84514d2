"""``footnote collections``: list, create, and set how documents are cut and indexed, and results ranked."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import typer
from sqlalchemy import select

from api.cli.context import (
    JSON_OPTION,
    KEY_OPTION,
    SERVER_OPTION,
    json_object,
    local_services,
    out,
    print_json,
    print_table,
)
from api.cli.progress import follow
from api.cli.remote import read, remote
from api.cli.work import check_free, run_here
from api.services import Services
from infra.errors import Conflict, InvalidInput
from infra.tables import Collection
from ingest.collections import create_collection, describe, get_collection, set_language, set_ranking
from ingest.rechunk import request_chunking
from retrieval.lexical.language import LANGUAGES, check_language
from retrieval.ranking.settings import DEFAULT_RANKING

app = typer.Typer(
    help="List and create collections, and set how their documents are cut, indexed and ranked.", no_args_is_help=True
)
NAME = typer.Argument(help="The collection.")
CHUNKING = typer.Option(
    None, "--chunking", help='A JSON object such as {"strategy": "size", "target_tokens": 200}, or "default".'
)
LANGUAGE = typer.Option(None, "--language", help=f'Its words are analysed in: {", ".join(LANGUAGES)}; or "default".')
RANKING = typer.Option(
    None, "--ranking", help='A JSON object such as {"dense_weight": 0.6, "rerank": true}, or "default".'
)


@app.command("list")
def list_command(server: str = SERVER_OPTION, key: str = KEY_OPTION, as_json: bool = JSON_OPTION) -> None:
    """List the collections with their settings."""
    collections = _remote_list(server, key) if server else _local_list()
    if as_json:
        print_json(collections)
        return
    print_table(
        ["name", "language", "chunking", "ranking", "description"],
        [
            [c["name"], c["language"], _shown(c["chunking"]), _ranked(c["ranking"]), c["description"] or ""]
            for c in collections
        ],
    )


@app.command("create")
def create(
    name: str = NAME,
    description: str = typer.Option(None, "--description"),
    chunking: str = CHUNKING,
    language: str = LANGUAGE,
    ranking: str = RANKING,
    server: str = SERVER_OPTION,
    key: str = KEY_OPTION,
    as_json: bool = JSON_OPTION,
) -> None:
    """Create an empty collection."""
    settings: dict[str, Any] = {
        "chunking": json_object(chunking, "chunking"),
        "language": _language(language),
        "ranking": json_object(ranking, "ranking"),
    }
    if server:
        with remote(server, key) as client:
            made = read(client.post("/v1/collections", json={"name": name, "description": description, **settings}))
    else:
        with local_services() as services, services.database.write() as session:
            made = describe(create_collection(session, name, description, **settings))
    if as_json:
        print_json(made)
    else:
        out.print(f"Created {made['name']}: {_all_shown(made)}.", markup=False)


@app.command("set")
def set_command(
    name: str = NAME,
    chunking: str = CHUNKING,
    language: str = LANGUAGE,
    ranking: str = RANKING,
    server: str = SERVER_OPTION,
    key: str = KEY_OPTION,
    as_json: bool = JSON_OPTION,
) -> None:
    """Set how the documents of a collection are cut (those that are there are cut again; it may be stopped and repeated), the
    language its words are analysed in, or how its results are ranked, both from the next search on.
    """
    changes: dict[str, Any] = {
        option: json_object(given, option)
        for option, given in (("chunking", chunking), ("ranking", ranking))
        if given is not None
    }
    if language is not None:
        changes["language"] = _language(language)
    if not changes:
        raise InvalidInput(
            "Say what to set: --chunking or --ranking with a JSON object or default, --language with a language or default."
        )
    if server:
        with remote(server, key) as client:
            changed = read(client.patch(f"/v1/collections/{name}", json=changes))
            if (job_id := changed.get("job_id")) is not None:
                counts = _counts(follow(lambda: read(client.get(f"/v1/jobs/{job_id}"))))
                changed = {**read(client.get(f"/v1/collections/{name}")), "job_id": job_id, "counts": counts}
    else:
        with local_services() as services:
            changed = _set_local(services, name, changes)
    if as_json:
        print_json(changed)
        return
    counts = changed.get("counts")
    done = f"; {counts['modified']} of {counts['scanned']} documents were cut again" if counts else ""
    out.print(f"{name}: {_all_shown(changed)}{done}.", markup=False)


def _set_local(services: Services, name: str, changes: Mapping[str, Any]) -> dict[str, Any]:
    with services.database.write() as session:
        collection = get_collection(session, name)
        if "language" in changes:
            set_language(session, collection, changes["language"])
        if "ranking" in changes:
            set_ranking(collection, changes["ranking"])
        job = request_chunking(session, collection, changes["chunking"], None) if "chunking" in changes else None
        if job is not None:
            check_free(job)
        job_id = None if job is None else job.id
        changed = describe(collection)
    if job_id is None:
        return changed
    counts = _counts(run_here(services, job_id))
    with services.database.read() as session:
        return {**describe(get_collection(session, name)), "counts": counts}


def _counts(job: Mapping[str, Any]) -> Mapping[str, int]:
    """What a job did; raises ``Conflict`` if it failed: the settings are as they were."""
    if job["status"] != "succeeded":
        why = job["error"] or f"The job was {job['status']}."
        raise Conflict(f"{why} The chunking settings are as they were.", code="job_failed")
    counts: Mapping[str, int] = job["counts"]
    return counts


def _language(given: str | None) -> str | None:
    return None if given == "default" else check_language(given)


def _ranked(ranking: Mapping[str, Any]) -> str:
    """What of the settings is not the default."""
    defaults = DEFAULT_RANKING.as_json()
    changed = [f"{name} {_brief(value)}" for name, value in ranking.items() if value != defaults[name]]
    return ", ".join(changed) or "default ranking"


def _brief(value: Any) -> str:
    return (
        f"of {len(value)}" if isinstance(value, list) else str(value).lower() if isinstance(value, bool) else str(value)
    )


def _all_shown(collection: Mapping[str, Any]) -> str:
    return f"{collection['language']}, {_shown(collection['chunking'])}; {_ranked(collection['ranking'])}"


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
