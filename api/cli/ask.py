"""``footnote ask``."""

from __future__ import annotations

import asyncio
from typing import Any

import typer

from api.asking import ask_once
from api.caller import Caller
from api.cli.context import JSON_OPTION, KEY_OPTION, SERVER_OPTION, local_services, out, parse_filter_option, print_json
from api.cli.remote import read, remote
from api.keys import SCOPES
from api.search_view import check_question
from api.services import Services
from retrieval.access import EVERYTHING, Access
from retrieval.answers.answering import Ask
from retrieval.answers.records import answer_body
from retrieval.generator.client import ModelWriter


def ask_command(
    question: str = typer.Argument(help="What you want to know."),
    collection: list[str] = typer.Option(
        None, "--collection", help="Only from there (repeatable); default: everywhere."
    ),
    where: str = typer.Option(None, "--filter", help="A filter, as a JSON object."),
    group: list[str] = typer.Option(None, "--group", help="Ask as a member of this group (repeatable)."),
    audience: str = typer.Option("internal", "--audience", help="internal or customer."),
    server: str = SERVER_OPTION,
    key: str = KEY_OPTION,
    as_json: bool = JSON_OPTION,
) -> None:
    """Answer a question, with a footnote under every sentence; exit 0 also when the documents don't say."""
    if audience not in ("internal", "customer"):
        raise typer.BadParameter("allowed: internal, customer", param_hint="--audience")
    condition = parse_filter_option(where)
    if server is not None:
        body: dict[str, Any] = {"question": question, "audience": audience}
        body |= {"collections": collection} if collection else {}
        body |= {"filter": condition} if condition is not None else {}
        with remote(server, key, group) as client:
            result = read(client.post("/v1/answer", json=body))
    else:
        ask = Ask(
            check_question(question, "question"),
            collections=collection or None,
            filter=condition,
            audience=audience,
        )
        access = Access(frozenset(group)) if group else EVERYTHING
        with local_services() as services:
            result = asyncio.run(_ask(services, ask, Caller("local", frozenset(SCOPES), access)))
    if as_json:
        print_json(result)
    else:
        _show(result)


async def _ask(services: Services, ask: Ask, caller: Caller) -> dict[str, Any]:
    try:
        return answer_body((await ask_once(services, ask, caller)).answer)
    finally:
        if isinstance(services.engine.writer, ModelWriter):
            await services.engine.writer.aclose()


def _show(answer: dict[str, Any]) -> None:
    out.print(answer["answer"], markup=False)
    unproven = [s for s in answer["sentences"] if s["verdict"] == "unsupported"]
    for sentence in unproven:
        out.print(f"  not proven: {sentence['text']} ({sentence['reason']})", markup=False, style="yellow")
    if answer["status"] == "abstained":
        detail = f": {answer['detail']}" if answer.get("detail") else ""
        out.print(f"({answer['reason']}{detail})", markup=False, style="dim")
    if answer["citations"]:
        out.print()
    for citation in answer["citations"]:
        document = citation["document"]
        page = f", page {citation['page']}" if citation["page"] else ""
        place = " > ".join(citation["heading_path"])
        out.print(
            f"[{citation['n']}] {document['external_id']} (version {document['version']}{page})  {place}", markup=False
        )
        out.print(f"    “{' '.join(citation['quote'].split())}”", markup=False, style="dim")
