"""``footnote search``."""

from __future__ import annotations

import textwrap
import time
from dataclasses import replace
from typing import Any

import typer

from api.cli.context import JSON_OPTION, KEY_OPTION, SERVER_OPTION, local_services, out, parse_filter_option, print_json
from api.cli.remote import read, remote
from api.search_view import check_question, search_body
from infra.errors import InvalidInput
from ingest.generation import complete
from retrieval.access import EVERYTHING, Access
from retrieval.search import SearchQuery, search


def search_command(
    query: str = typer.Argument(help="What to look for."),
    collection: list[str] = typer.Option(None, "--collection", help="Only there (repeatable); default: everywhere."),
    top_k: int = typer.Option(10, "--top-k", min=1, max=100, help="How many passages."),
    mode: str = typer.Option("hybrid", "--mode", help="hybrid, dense or lexical."),
    where: str = typer.Option(None, "--filter", help="A filter, as a JSON object."),
    rerank: bool = typer.Option(
        None, "--rerank/--no-rerank", help="Have the reranker reorder the results; default: as the collection says."
    ),
    collapse: bool | None = typer.Option(
        None, "--collapse/--no-collapse", help="Show results that say the same as one, with the others listed."
    ),
    expand: int = typer.Option(0, "--expand", min=0, max=3, help="Show so many chunks on either side of each passage."),
    generation: int = typer.Option(
        None, "--generation", help="Search by this generation of the index, live or not; needs one --collection."
    ),
    group: list[str] = typer.Option(None, "--group", help="Search as a member of this group (repeatable)."),
    server: str = SERVER_OPTION,
    key: str = KEY_OPTION,
    as_json: bool = JSON_OPTION,
) -> None:
    """Find passages."""
    if mode not in ("hybrid", "dense", "lexical"):
        raise typer.BadParameter("allowed: hybrid, dense, lexical", param_hint="--mode")
    if generation is not None and (server is not None or len(collection or ()) != 1):
        raise InvalidInput("--generation works on the data folder, without --server, and with one --collection.")
    condition = parse_filter_option(where)
    if server is not None:
        body: dict[str, Any] = {"query": query, "top_k": top_k, "mode": mode}
        body |= {"collections": collection} if collection else {}
        body |= {"filter": condition} if condition is not None else {}
        body |= {"rerank": rerank} if rerank is not None else {}
        body |= {} if collapse is None else {"collapse": collapse}
        body |= {"expand": expand} if expand else {}
        with remote(server, key, group) as client:
            result = read(client.post("/v1/search", json=body))
    else:
        question = check_question(query, "query")
        asked = SearchQuery(question, collection or None, top_k, mode, condition, rerank, collapse, expand)
        with local_services() as services:
            engine = services.engine
            if generation is not None:
                complete(services.ingestion, collection[0], generation)
                engine = replace(engine, generations={collection[0]: generation})
            started = time.perf_counter()
            found = search(engine, asked, Access(frozenset(group)) if group else EVERYTHING)
            result = search_body(found, (time.perf_counter() - started) * 1000)
    if as_json:
        print_json(result)
        return
    if not result["results"]:
        out.print("Nothing was found.")
    for number, hit in enumerate(result["results"], start=1):
        _show(number, hit)


def _show(number: int, hit: dict[str, Any]) -> None:
    document = hit["document"]
    place = " > ".join(hit["heading_path"])
    page = f", page {hit['page']}" if hit["page"] else ""
    out.print(f"{number:>2}. {document['external_id']}{page}  [score {hit['score']:.3f}]", markup=False, style="bold")
    if place:
        out.print(f"    {place}", markup=False, style="dim")
    text = hit["context"]["text"] if "context" in hit else textwrap.shorten(hit["text"], 300, placeholder=" …")
    out.print(textwrap.indent(text, "    "), markup=False)
    if hit["duplicates"]:
        also = ", ".join(dict.fromkeys(each["document"]["external_id"] for each in hit["duplicates"]))
        out.print(f"    also in: {also}", markup=False, style="dim")
